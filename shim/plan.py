"""Which index, and which part of it, a search for studies reads: the choice that makes its cost follow the answer.

A key that a view emits is an array of strings (raw collation: byte order), so a range ends in `HIGH`. The list function
matches what the range does not decide.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from shim import normalise, sound
from shim.query import STUDY_UID, Query
from shim.values import is_wild

HIGH = "\ufff0"
# Longer values than a VR can have find nothing, and keys in a URL must stay short: such searches filter.
LONGEST_KEY = 64
DATE, MODALITIES, ACCESSION, PATIENT_ID, PATIENT_NAME = "00080020", "00080061", "00080050", "00100020", "00100010"
BY_VALUE = {ACCESSION: "studies_by_accession_number", PATIENT_ID: "studies_by_patient_id"}
BY_NAME = "studies_by_patient_name"


@dataclass(frozen=True)
class Range:
    """A part of an index.

    Attributes
    ----------
    view : str
    params : dict
        ``startkey`` and ``endkey``, or nothing.
    keys : list or None
        Keys to look up one by one instead.
    covered : frozenset of str
        Tags of matching keys that the range alone decides.
    sort : bool
        True when the rows do not come in the order of the answer, or one document may have several.
    documents : bool
        True when the rows have no value and the documents must be read.
    """

    view: str
    params: dict = field(default_factory=dict)
    keys: list | None = None
    covered: frozenset[str] = frozenset()
    sort: bool = False
    documents: bool = False


def literal_prefix(value: str) -> str:
    """Return what stands before the first wild card."""
    for position, character in enumerate(value):
        if character in "*?":
            return value[:position]
    return value


def after(prefix: str) -> str:
    """Return the first string behind all that begin with `prefix`, in byte order as in UTF-16 order.

    The two orders differ only above U+D7FF; a prefix that ends there is shortened, and the wider range filtered. `HIGH`
    says that there is no such string.
    """
    prefix = prefix.rstrip("".join(sorted({character for character in prefix if ord(character) >= 0xD7FF})))
    return prefix[:-1] + chr(ord(prefix[-1]) + 1) if prefix else HIGH


def between(low: list, high: list, *, descending: bool = False) -> dict:
    """Return the parameters of a key range; `high` is a prefix of the last keys."""
    start, end = low, [*high, HIGH]
    if descending:
        return {"startkey": end, "endkey": start, "descending": True}
    return {"startkey": start, "endkey": end}


def beginning(prefix: str) -> dict:
    """Return the parameters of the range of keys whose first part begins with `prefix`."""
    return {"startkey": [prefix], "endkey": [after(prefix)], "inclusive_end": False}


def study_ranges(query: Query) -> tuple[Range, Range | None]:
    """Choose the index of studies that narrows the search most (PS3.18 Table 10.6.1-5).

    Returns
    -------
    Range
        What the most selective key allows.
    Range or None
        The same studies in the order of the answer, when the first is not: the cheaper one where the first is wide and
        the page small; see `cheaper`.
    """
    uids = query.values(STUDY_UID)
    if uids:
        keys = list(dict.fromkeys(uids))
        return Range("studies_by_uid", keys=keys, covered=frozenset([STUDY_UID]), sort=len(keys) > 1), None
    exact = _exact(query)
    if exact:
        return exact, None
    narrow = _by_prefix(query) or _by_sound(query)
    return (narrow, _newest_first(query)) if narrow else (_newest_first(query), None)


def cheaper(narrow: Range, wide: Range, counts: tuple[int, int], rows: int) -> Range:
    """Choose between a range to be sorted and one in order.

    Parameters
    ----------
    narrow, wide : Range
        As `study_ranges` gives them.
    counts : (int, int)
        Rows in each.
    rows : int
        How many rows of the answer must be found: offset and limit.

    Returns
    -------
    Range
        `wide` when what matches is so frequent there that the page is full before as many rows are read.
    """
    few, many = counts
    return wide if rows * many < few * few else narrow


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


def _by_prefix(query: Query) -> Range | None:
    for tag, view in BY_VALUE.items():
        value = _single(query, tag)
        prefix = literal_prefix(value).lstrip(" ") if value is not None else ""
        if after(prefix) != HIGH:
            covered = frozenset([tag] if value.lstrip(" ") in (prefix + "*", prefix + "**") else [])
            return Range(view, beginning(prefix), covered=covered, sort=True)
    name = _name(query)
    prefix = literal_prefix(name).rstrip(" ") if name else ""
    return Range(BY_NAME, beginning(prefix), sort=True) if after(prefix) != HIGH else None


def _by_sound(query: Query) -> Range | None:
    """The words that begin like the query's longest word sounds: those with that prefix and those that sound alike."""
    value = _single(query, PATIENT_NAME)
    if value is None or is_wild(value) or not query.keys[PATIENT_NAME].get("fuzzy"):
        return None
    code = max((sound.code(word) for word in sound.words(normalise.name(value))), key=len, default="")
    return Range("studies_by_name_sound", beginning(code), sort=True, documents=True) if after(code) != HIGH else None


def _newest_first(query: Query) -> Range:
    """All studies, or those of a modality or of a range of dates, newest first."""
    date = _single(query, DATE)
    low, high = date_span(date) if date is not None else ("", HIGH)
    # With the times of a combined range the dates are only a beginning.
    dates = [DATE] if date is not None and low <= high and not query.keys[DATE].get("time") else []
    # The database refuses a range from late to early; in one of a single day the list finds nothing.
    high = max(low, high)
    modality = _single(query, MODALITIES)
    if modality is not None and not is_wild(modality):
        exact = modality.strip(" ")
        params = between([exact, low], [exact, high], descending=True)
        return Range("studies_by_modality", params, covered=frozenset([MODALITIES, *dates]))
    return Range("studies_by_date", between([low], [high], descending=True), covered=frozenset(dates))


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
    if value is not None:
        prefix = literal_prefix(value.strip(" "))
        if not is_wild(value):
            return Range(BY_VALUE[PATIENT_ID], between([prefix], [prefix]), covered=frozenset([PATIENT_ID]))
        if after(prefix) != HIGH:
            return Range(BY_VALUE[PATIENT_ID], beginning(prefix))
    name = _name(query)
    if name and not is_wild(name):
        return Range(BY_NAME, between([name], [name]), covered=frozenset([PATIENT_NAME]), sort=True)
    return _by_prefix(query) or _by_sound(query) or Range(BY_VALUE[PATIENT_ID])


def narrowed_by_series(query: Query) -> Query:
    """Return the keys for the studies of a search below them: a Modality is one of the Modalities in Study."""
    keys = query.of_level("study")
    modality = query.keys.get("00080060", {})
    if MODALITIES not in keys and query.values("00080060") and not modality.get("every"):
        keys[MODALITIES] = {"vr": "CS", "values": modality["values"]}
    return Query(keys=keys, include=query.include, limit_given=True)
