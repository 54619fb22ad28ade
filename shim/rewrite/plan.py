"""Which index, and which part of it, a search for studies reads: the choice that makes its cost follow the answer.

A key that a view emits is an array of strings and ends in the study's date, time and UID, so the studies that share its
beginning come newest first. The list function matches what the range does not decide.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace

from dicouch.rewrite import normalise, sound
from dicouch.rewrite.query import STUDY_UID, Query
from dicouch.rewrite.values import is_wild
from dicouch.tables import HIGH, LIMITS

# Longer values than a VR can have find nothing, and keys in a URL must stay short: such searches filter.
LONGEST_KEY = 64
DATE, MODALITIES, ACCESSION, PATIENT_ID, PATIENT_NAME = "00080020", "00080061", "00080050", "00100020", "00100010"
BY_VALUE = {ACCESSION: "studies_by_accession_number", PATIENT_ID: "studies_by_patient_id"}
BEGINNINGS = {ACCESSION: "AccessionNumber", PATIENT_ID: "PatientID"}
BY_NAME = "studies_by_patient_name"
# Longer beginnings are searched among those of this length; views/lib/names.js makes them.
LONGEST_BEGINNING: int = LIMITS["longestBeginning"]


@dataclass(frozen=True)
class Range:
    """A part of an index.

    Attributes
    ----------
    view : str
    params : dict
        ``startkey`` and ``endkey``, or nothing.
    keys : list or None
        Several keys to look up one by one instead.
    covered : frozenset of str
        Tags of matching keys that the range alone decides.
    sort : bool
        True when the rows do not come in the order of the answer, or one document may have several.
    documents : bool
        True when the rows have no value and the documents must be read.
    study : str or None
        The one study whose own rows, or whose series', these are.
    """

    view: str
    params: dict = field(default_factory=dict)
    keys: list | None = None
    covered: frozenset[str] = frozenset()
    sort: bool = False
    documents: bool = False
    study: str | None = None


def literal_prefix(value: str) -> str:
    """Return what stands before the first wild card."""
    for position, character in enumerate(value):
        if character in "*?":
            return value[:position]
    return value


def between(low: list, high: list, *, descending: bool = False) -> dict:
    """Return the parameters of a key range; `high` is a prefix of the last keys."""
    start, end = low, [*high, HIGH]
    if descending:
        return {"startkey": end, "endkey": start, "descending": True}
    return {"startkey": start, "endkey": end}


def beginning(kind: str, text: str, covered: frozenset[str] = frozenset()) -> Range:
    """Return the studies with a name, ID, accession number or sound that begins with `text`, newest first."""
    key = [kind, text[:LONGEST_BEGINNING]]
    if len(text) > LONGEST_BEGINNING:
        covered = frozenset()
    return Range("studies_by_beginning", between(key, key, descending=True), covered=covered, documents=True)


def study_range(query: Query) -> Range:
    """Choose the index of studies that narrows the search most (PS3.18 Table 10.6.1-5).

    Returns
    -------
    Range
        Newest study first, unless several are asked for by UID.
    """
    uids = query.values(STUDY_UID)
    if uids:
        return uid_range(list(dict.fromkeys(uids)))
    return _exact(query) or _by_beginning(query) or _by_sound(query) or _newest_first(query)


def uid_range(uids: list[str]) -> Range:
    """Return the studies with these UIDs."""
    if len(uids) == 1:
        return Range("studies_by_uid", one_key(uids[0]), covered=frozenset([STUDY_UID]), study=uids[0])
    return Range("studies_by_uid", keys=uids, covered=frozenset([STUDY_UID]), sort=True)


def one_key(key: str) -> dict:
    """Return the parameters for the rows of one key."""
    return {"key": json.dumps(key)}


def _single(query: Query, tag: str) -> str | None:
    """Return the only value of a key, when it is short enough for a range."""
    values = query.values(tag)
    return values[0] if len(values) == 1 and len(values[0]) <= LONGEST_KEY else None


def _name(query: Query) -> str | None:
    """Return the patient's name as a normalised key, when an index of names can serve it."""
    value = _single(query, PATIENT_NAME)
    if value is None or "=" in value or (query.keys[PATIENT_NAME].get("fuzzy") and not is_wild(value)):
        return None
    return normalise.name(value)


def _exact(query: Query) -> Range | None:
    for tag, view in BY_VALUE.items():
        value = _single(query, tag)
        if value is not None and not is_wild(value):
            exact = value.strip(" ")
            return Range(view, between([exact], [exact], descending=True), covered=frozenset([tag]))
    name = _name(query)
    if name and not is_wild(name):
        return Range(BY_NAME, between([name], [name], descending=True), covered=frozenset([PATIENT_NAME]))
    return None


def _by_beginning(query: Query) -> Range | None:
    for tag, kind in BEGINNINGS.items():
        value = _single(query, tag)
        prefix = literal_prefix(value).lstrip(" ") if value is not None else ""
        if prefix:
            return beginning(kind, prefix, frozenset([tag] if value.lstrip(" ") == prefix + "*" else []))
    name = _name(query)
    prefix = literal_prefix(name) if name else ""
    if prefix.rstrip(" ") != prefix:
        return beginning("PatientName", prefix.rstrip(" "))  # "doe *" finds "doe", too
    covered = frozenset([PATIENT_NAME] if name == prefix + "*" else [])
    return beginning("PatientName", prefix, covered) if prefix else None


def _by_sound(query: Query) -> Range | None:
    """The words that begin like the query's longest word sounds: those with that prefix and those that sound alike."""
    value = _single(query, PATIENT_NAME)
    if value is None or is_wild(value) or not query.keys[PATIENT_NAME].get("fuzzy"):
        return None
    code = max((sound.code(word) for word in sound.words(normalise.name(value))), key=len, default="")
    return beginning("sound", code) if code else None


def _newest_first(query: Query) -> Range:
    """All studies, or those of a modality or of a range of dates, newest first."""
    low, high, dates = _dates(query)
    modality = _single(query, MODALITIES)
    if modality is not None and not is_wild(modality):
        exact = modality.strip(" ")
        params = between([exact, low], [exact, high], descending=True)
        return Range("studies_by_modality", params, covered=frozenset([MODALITIES, *dates]))
    return Range("studies_by_date", between([low], [high], descending=True), covered=frozenset(dates))


def text_range(query: Query) -> Range:
    """Return what all studies, or those of a range of dates, say as text (``names.text``), newest first."""
    low, high, _ = _dates(query)
    return Range("studies_by_beginning", between(["text", low], ["text", high], descending=True))


def _dates(query: Query) -> tuple[str, str, list[str]]:
    """Return the lowest and highest date of a search, and the tags of the keys which these alone decide."""
    date = _single(query, DATE)
    low, high = date_span(date) if date is not None else ("", HIGH)
    # With the times of a combined range the dates are only a beginning.
    dates = [DATE] if date is not None and low <= high and not query.keys[DATE].get("time") else []
    # The database refuses a range from late to early; in one of a single day the list finds nothing.
    return low, max(low, high), dates


def date_span(value: str) -> tuple[str, str]:
    """Return the lowest and the highest date of a DA matching key (PS3.4 C.2.2.2.5)."""
    low, hyphen, high = value.strip().replace(".", "").partition("-")
    if not hyphen:
        return low, low
    # A study without a date has the key "" and is not in any range.
    return low or "0", high or "9"


def patient_range(query: Query) -> Range:
    """Choose the index for a list of patients: by ID where the rows of one patient stand together, else by name."""
    value = _single(query, PATIENT_ID)
    if value is not None and not is_wild(value):
        exact = value.strip(" ")
        return Range(BY_VALUE[PATIENT_ID], between([exact], [exact]), covered=frozenset([PATIENT_ID]))
    name = _name(query)
    if name and not is_wild(name):
        return Range(BY_NAME, between([name], [name]), covered=frozenset([PATIENT_NAME]), sort=True)
    some = _by_beginning(query) or _by_sound(query)
    return replace(some, sort=True) if some else Range(BY_VALUE[PATIENT_ID])


def narrowed_by_series(query: Query) -> Query:
    """Return the keys for the studies of a search below them: a Modality is one of the Modalities in Study."""
    keys = query.of_level("study")
    modality = query.keys.get("00080060", {})
    if MODALITIES not in keys and query.values("00080060") and not modality.get("every"):
        keys[MODALITIES] = {"vr": "CS", "values": modality["values"]}
    return Query(keys=keys, include=query.include, limit_given=True)
