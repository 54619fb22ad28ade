"""A plain model of attribute matching (PS3.4 C.2.2.2), written from the standard and not from the design document.

It knows nothing of indexes and cares for no cost: dates are `datetime` objects, wild cards a recursion with memory.
Where the standard leaves a choice (names, numbers, partial times), it says what docs/conformance.md says.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from functools import cache

from dicouch.rewrite import normalise

WILD = ("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT")
NUMBERS = ("DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV")
GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
FORMATS = {"DA": ("%Y%m%d",), "TM": ("%H", "%H%M", "%H%M%S", "%H%M%S.%f")}
FORMATS["DT"] = tuple("%Y%m%d%H%M%S"[: n * 2] for n in (1, 2, 3, 4, 5, 6)) + ("%Y%m%d%H%M%S.%f",)
STEPS = {
    "%Y": "year", "%Y%m": "month", "%Y%m%d": "day", "%Y%m%d%H": "hour", "%H": "hour", "%Y%m%d%H%M": "minute",
    "%H%M": "minute", "%Y%m%d%H%M%S": "second", "%H%M%S": "second",
}  # fmt: skip


def wild(pattern: str, text: str) -> bool:
    """Wild card matching, C.2.2.2.4."""

    @cache
    def ends(p: int, t: int) -> bool:
        if p == len(pattern):
            return t == len(text)
        if pattern[p] == "*":
            return ends(p + 1, t) or (t < len(text) and ends(p, t + 1))
        return t < len(text) and pattern[p] in ("?", text[t]) and ends(p + 1, t + 1)

    return ends(0, 0)


def span(vr: str, text: str) -> tuple[datetime, datetime, bool] | None:
    """First and last moment that a date or time names, and whether it says its offset from UTC."""
    zone = None
    # The forms of ACR-NEMA, 1999.12.31 and 10:15:00, are still found in files.
    text = text.replace(".", "") if vr == "DA" else text.replace(":", "")
    if vr == "DT" and (match := re.fullmatch(r"(.*?)([+-])(0\d|1[0-4])([0-5]\d)", text)):
        text = match[1]
        offset = timedelta(hours=int(match[3]), minutes=int(match[4]))
        zone = timezone(-offset if match[2] == "-" else offset)
    for form in FORMATS[vr]:
        if len(text.partition(".")[0]) != len(form.replace(".%f", "").replace("%Y", "YYYY").replace("%", "d")):
            continue
        try:
            begin = datetime.strptime(text, form)
        except ValueError:
            continue
        unit = STEPS.get(form)
        if unit == "year":
            end = begin.replace(month=12, day=31)
        elif unit == "month":
            end = (begin.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
        else:
            end = begin
        rest = {"hour": 23, "minute": 59, "second": 59, "microsecond": 999999}
        units = ["year", "month", "day", "hour", "minute", "second", "microsecond"]
        if unit:
            finer = units[units.index(unit) + 1 :]
            end = end.replace(**{name: rest[name] for name in finer if name in rest})
        elif "." in text:
            width = 10 ** (6 - len(text.partition(".")[2]))
            end = begin + timedelta(microseconds=width - 1)
        return begin.replace(tzinfo=zone), end.replace(tzinfo=zone), zone is not None
    return None


def not_after(a: datetime, b: datetime) -> bool:
    """Offsets count where both have one, else the clocks are compared."""
    if a.tzinfo and b.tzinfo:
        return a <= b
    return a.replace(tzinfo=None) <= b.replace(tzinfo=None)


def temporal(vr: str, low: str, high: str, stored: str) -> bool:
    """Whether the beginning of a stored value lies between two values, '' for an open end (C.2.2.2.5)."""
    begin = span(vr, stored)
    if begin is None:
        return False
    return (not low or not_after(span(vr, low)[0], begin[0])) and (not high or not_after(begin[0], span(vr, high)[1]))


def ends_of(value: str) -> tuple[str, str] | None:
    """The ends of a range of date-times: of several hyphens that can part them the last that leaves them in order."""
    found = []
    for at in reversed([at for at, letter in enumerate(value) if letter == "-"]):
        low, high = value[:at], value[at + 1 :]
        if (not low or span("DT", low)) and (not high or span("DT", high)):
            found.append((low, high))
    ordered = [ends for ends in found if not all(ends) or not_after(span("DT", ends[0])[0], span("DT", ends[1])[1])]
    return next(iter(ordered + found), None)


def names(stored: dict) -> list[str]:
    """The normalised component groups of a name."""
    return [key for group in GROUPS if (key := normalise.name(stored.get(group, "")))]


def longer(letter: str) -> bool:
    return "\u00a0" <= letter <= "\uffef" and len(normalise.text(letter)) > 1


def brief(text: str) -> str:
    return "".join(normalise.text(letter)[0] if longer(letter) else letter for letter in text)


def without_stars(group: str) -> set[str]:
    """A pattern, and what is left of it without some or all of the words that are a star alone."""
    found = {()}
    for word in group.split(" "):
        found = {(*some, word) for some in found} | (found if word == "*" else set())
    return {" ".join(some) for some in found}


def name(wanted: str, stored: dict) -> bool:
    """A name finds each of its component groups in any group of the stored name.

    A letter that is several in a key counts as these, and as one for a question mark.
    """
    if "?" in wanted and any(map(longer, wanted + "".join(map(str, stored.values())))):
        first = {"wanted": brief(wanted), "stored": {group: brief(text) for group, text in stored.items()}}
        if first != {"wanted": wanted, "stored": stored} and name(**first):
            return True
    for group in filter(None, map(normalise.name, wanted.split("="))):
        if any(wild(pattern, key) for pattern in without_stars(group) for key in names(stored)):
            return True
    return False


def matches(vr: str, wanted: str, stored) -> bool:
    """Whether one stored value matches one wanted value that is neither empty nor a range of DT."""
    if vr == "PN":
        return name(wanted, stored)
    if vr in NUMBERS:
        return float(wanted) == float(stored)
    if vr in FORMATS:
        low, hyphen, high = wanted.partition("-") if vr != "DT" else (wanted, "", "")
        return temporal(vr, low, high if hyphen else low, stored)
    if vr in ("LT", "ST", "UT"):
        wanted, stored = wanted.rstrip(" "), stored.rstrip(" ")
    else:
        wanted, stored = wanted.strip(" "), stored.strip(" ")
    return wild(wanted, stored) if vr in WILD else wanted == stored


def attribute(vr: str, values: list[str], stored: list, *, every: bool = False, empty: bool = False) -> bool:
    """Whether an attribute matches a key: any value, or all of them (C.2.2.2.8), or none (C.2.2.2.7)."""
    if not empty and (not values or any(set(value) <= {"*"} for value in values)):
        return True
    stored = [value for value in stored if value not in (None, "", {})]
    if not stored:
        return empty
    found = [any(matches(vr, value, one) for one in stored) for value in values]
    return bool(found) and (all(found) if every else any(found))
