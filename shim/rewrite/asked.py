"""What a person asks for in a form, as the query parameters of a search (QIDO-RS, PS3.18 8.3.4). Pure functions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date

from dicouch.rewrite.values import is_wild

# The fields of the form; those that are not dates have the keywords of the attributes.
FIELDS = (
    *("PatientName", "PatientID", "from", "to", "ModalitiesInStudy", "StudyDescription", "AccessionNumber"),
    "StudyInstanceUID",
)
LONGEST = 200
DATE = re.compile(r"(\d{4})([-./]?)(\d\d)\2(\d\d)")


def form_of(given: Mapping[str, str]) -> dict[str, str]:
    """Return the fields that somebody filled in."""
    fields = {name: given.get(name, "").strip()[:LONGEST] for name in FIELDS}
    return {name: text for name, text in fields.items() if text}


def parameters(form: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the query parameters of the search for studies that a form stands for.

    Names are found by words and sound, IDs and accession numbers by their beginning, descriptions by what they contain;
    with wild cards of the person's own by these.
    """
    pairs = []
    for name, text in form.items():
        if name == "PatientName" and not is_wild(text):
            pairs += [(name, text), ("fuzzymatching", "true")]
        elif name in ("PatientID", "AccessionNumber"):
            pairs.append((name, text if is_wild(text) else f"{text}*"))
        elif name == "StudyDescription":
            pairs.append((name, text if is_wild(text) else f"*{text}*"))
        elif name == "ModalitiesInStudy":
            pairs.append((name, text.upper()))
        elif name not in ("from", "to"):
            pairs.append((name, text))
    days = [_digits(form.get(name, "")) for name in ("from", "to")]
    if any(days):
        pairs.append(("StudyDate", "-".join(days)))
    return pairs


def guesses(text: str) -> list[dict[str, str]]:
    """Return the forms that what somebody typed into the one field of the home page may stand for, likeliest first."""
    text = text.strip()[:LONGEST]
    if not text:
        return []
    if day := _day(text):
        return [{"from": day, "to": day}, {"PatientID": text}, {"AccessionNumber": text}]
    if re.fullmatch(r"[0-9]+(\.[0-9]+){3,}", text):
        return [{"StudyInstanceUID": text}, {"PatientID": text}]
    names = ["PatientName", "PatientID", "AccessionNumber", "StudyDescription"]
    if re.search(r"\d", text):
        names = ["PatientID", "AccessionNumber", "PatientName", "StudyDescription"]
    if re.fullmatch(r"[A-Z]{2,16}", text):
        names.insert(0, "ModalitiesInStudy")
    return [{name: text} for name in names]


def _day(text: str) -> str:
    """Return a date as forms have it, nothing for what is none."""
    if found := DATE.fullmatch(text):
        try:
            return date(int(found[1]), int(found[3]), int(found[4])).isoformat()
        except ValueError:
            pass
    return ""


def _digits(day: str) -> str:
    found = DATE.fullmatch(day)
    return found[1] + found[3] + found[4] if found else day
