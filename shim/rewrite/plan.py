"""Which index, and which part of it, a search for studies reads: the choice that makes its cost follow the answer.

A key that a view emits is an array of strings and ends in the study's date, time and UID, so the studies that share its
beginning come newest first. The list function matches what the range does not decide.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import Any

from dicouch.rewrite import normalise, pieces
from dicouch.rewrite.query import STUDY_UID, Query
from dicouch.rewrite.values import is_wild
from dicouch.tables import HIGH, LIMITS

# Longer values than a VR can have find nothing, and keys in a URL must stay short: such searches filter.
LONGEST_KEY = 64
DATE, MODALITIES, ACCESSION, PATIENT_ID, PATIENT_NAME = "00080020", "00080061", "00080050", "00100020", "00100010"
BY_VALUE = {
    ACCESSION: "studies_by_accession_number",
    PATIENT_ID: "studies_by_patient_id",
    PATIENT_NAME: "studies_by_patient_name",
}
BEGINNINGS = {ACCESSION: "AccessionNumber", PATIENT_ID: "PatientID", PATIENT_NAME: "PatientName"}
BY_TEXT = "studies_by_text"
# Characters of names and numbers, the commonest first: which of several texts to look for while no count is known.
COMMON = " 0e1a2n3i4r5s6o7t8l9dhcmugpbkfyvwzjxq"
# The views that are read where no key narrows a search; the last one for patients.
WALKED = ("studies_by_date", "studies_by_modality", BY_VALUE[PATIENT_ID])
# Longer beginnings are searched among those of this length; views/lib/names.js makes them.
LONGEST_BEGINNING: int = LIMITS["longestBeginning"]
# From three characters on a beginning narrows more than any piece of it.
LONG_BEGINNING = pieces.LENGTH


@dataclass(frozen=True)
class Range:
    """A part of an index."""

    view: str
    # ``startkey`` and ``endkey``, or nothing.
    params: dict[str, Any] = field(default_factory=dict)
    # Several keys to look up one by one instead.
    keys: list[str] | None = None
    # Tags of matching keys that the range alone decides.
    covered: frozenset[str] = frozenset()
    # True when the rows do not come in the order of the answer, or one document may have several.
    sort: bool = False
    # True when the rows have no value and the documents must be read.
    documents: bool = False
    # The one study whose own rows, or whose series', these are.
    study: str | None = None
    # Where `keys` are only the newest that may match: what to choose from for the others.
    behind: list[tuple[tuple[Range, ...], ...]] = field(default_factory=list)


# Ranges that hold all that a search finds: one of each tuple together.
Candidate = tuple[tuple[Range, ...], ...]


def literal_prefix(value: str) -> str:
    """Return what stands before the first wild card."""
    return re.split(r"[*?]", value, maxsplit=1)[0]


def between(low: list[Any], high: list[Any], *, descending: bool = False) -> dict[str, Any]:
    """Return the parameters of a key range; `high` is a prefix of the last keys."""
    start, end = low, [*high, HIGH]
    if descending:
        return {"startkey": end, "endkey": start, "descending": True}
    return {"startkey": start, "endkey": end}


def study_candidates(query: Query) -> list[Candidate]:
    """Return the ranges of indexes that hold what a search for studies finds (PS3.18 Table 10.6.1-5).

    One, or several among which `rarest` decides. Their rows come newest first, unless studies are asked for by UID.
    """
    if uids := list(dict.fromkeys(query.values(STUDY_UID))):
        decided = frozenset([STUDY_UID])
        if len(uids) > 1:
            return [((Range("studies_by_uid", keys=uids, covered=decided, sort=True),),)]
        return [((Range("studies_by_uid", one_key(uids[0]), covered=decided, study=uids[0]),),)]
    if exact := _exact(query, BY_VALUE, descending=True):
        return [((exact,),)]
    found, newest = text_candidates(query), _newest_first(query)
    if not found or (needs_counts(found) and MODALITIES in newest.covered):
        found.append(((newest,),))
    return found


def text_candidates(query: Query) -> list[Candidate]:
    """Return the ranges of the index of texts that hold what matches: by beginnings, sound and three characters."""
    found: list[Candidate] = []
    for tag in pieces.ATTRIBUTES:
        if begun := _by_beginning(query, tag):
            found.append(((begun[0],),))
        # Behind a beginning of some length the pieces would narrow nothing further.
        if begun is None or not LONG_BEGINNING <= begun[1] <= LONGEST_BEGINNING:
            found += _by_pieces(query, tag)
    if sounding := _by_sound(query):
        found.append(((sounding,),))
    return found


def needs_counts(candidates: list[Candidate]) -> bool:
    """Return whether there is a choice between ranges, or more than one to read."""
    return len(candidates) > 1 or any(len(parts) > 1 or len(parts[0]) > 1 for parts in candidates)


def rarest(candidates: list[Candidate], counts: Iterable[int]) -> tuple[Range, ...]:
    """Choose the ranges with the fewest rows that hold all that a search finds; none when nothing matches.

    `counts` says how many rows each range has, in the order in which the candidates name them.
    """
    numbers = iter(counts)
    totals: list[tuple[int, tuple[Range, ...]]] = []
    for parts in candidates:
        fewest = [min([(next(numbers), one) for one in part], key=itemgetter(0)) for part in parts]
        totals.append((sum(count for count, _ in fewest), tuple(one for count, one in fewest if count)))
    return min(totals, key=itemgetter(0))[1]


def likely(candidates: list[Candidate], is_common: Callable[[Range], bool]) -> Candidate:
    """Choose ranges of the index of texts that hold all that a search finds and seem to have few rows; or none.

    Of each part one or two, both of which have what matches in it. `is_common` says which are known to have many.
    """
    found: list[tuple[int, Candidate]] = []
    for parts in candidates:
        some = [[one for one in part if one.view == BY_TEXT and not is_common(one)] for part in parts]
        if all(some):
            rare = tuple(tuple(sorted(part, key=_rarity, reverse=True)[:2]) for part in some)
            found.append((min(_rarity(part[0]) for part in rare), rare))
    return max(found, key=itemgetter(0), default=(0, ()))[1]


def _rarity(one: Range) -> int:
    """Return a guess how seldom the text of a range is; no study has too many pieces."""
    text = one.params["startkey"][1].lower()
    return sum(COMMON.find(character) % len(COMMON) for character in text) if text else LONGEST_KEY * len(COMMON)


def walked(query: Query, chosen: Range) -> list[str]:
    """Return the tags of the keys for whose sake all studies of a range are read, none where an index narrows them."""
    if chosen.view not in WALKED or (chosen.view == WALKED[-1] and chosen.params):
        return []
    keys = {tag: key for tag, key in query.of_level("study").items() if tag not in chosen.covered}
    return [tag for tag, key in keys.items() if "items" in key or key.get("empty") or query.values(tag)]


def one_key(key: str) -> dict[str, str]:
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


def _exact(query: Query, tags: Iterable[str], *, descending: bool) -> Range | None:
    """Return the studies with a value without wild cards of one of `tags`: the first that is asked for."""
    for tag in tags:
        value = _name(query) if tag == PATIENT_NAME else _single(query, tag)
        if value and not is_wild(value):
            exact = [value.strip(" ")]
            # Studies with one name are of several patients, whose rows do not stand together.
            mixed = tag == PATIENT_NAME and not descending
            params = between(exact, exact, descending=descending)
            return Range(BY_VALUE[tag], params, covered=frozenset([tag]), sort=mixed)
    return None


def _of_text(query: Query, kind: str, text: str, covered: Iterable[str] = ()) -> Range:
    """Return a range of the index of texts, of the dates that are asked for."""
    low, high, dates = _dates(query)
    params = between([kind, text, low], [kind, text, high], descending=True)
    return Range(BY_TEXT, params, covered=frozenset([*covered, *dates]), documents=True)


def _by_beginning(query: Query, tag: str) -> tuple[Range, int] | None:
    """Return the studies with a name, ID or accession number that begins like the key, and the beginning's length."""
    if tag not in BEGINNINGS:
        return None
    value = _name(query) if tag == PATIENT_NAME else (_single(query, tag) or "").lstrip(" ")
    prefix = literal_prefix(value) if value else ""
    begins_so = value == prefix + "*" and len(prefix) <= LONGEST_BEGINNING
    if tag == PATIENT_NAME and prefix != prefix.rstrip(" "):
        prefix, begins_so = prefix.rstrip(" "), False  # "doe *" finds "doe", too
    if not prefix:
        return None
    return _of_text(query, BEGINNINGS[tag], prefix[:LONGEST_BEGINNING], [tag] if begins_so else []), len(prefix)


def _by_sound(query: Query) -> Range | None:
    """The words that begin like the query's longest word sounds: those with that prefix and those that sound alike."""
    value = _single(query, PATIENT_NAME)
    if value is None or is_wild(value) or not query.keys[PATIENT_NAME].get("fuzzy"):
        return None
    code = max((normalise.sound(word) for word in normalise.words(normalise.name(value))), key=len, default="")
    return _of_text(query, "sound", code[:LONGEST_BEGINNING]) if code else None


def _by_pieces(query: Query, tag: str) -> list[Candidate]:
    """Return the studies whose attribute has one of the pieces of the key, or too many pieces to be indexed."""
    kind = f"*{pieces.ATTRIBUTES[tag]}*"
    return [
        (
            *(tuple(_of_text(query, kind, piece) for piece in some) for some in alternatives),
            (_of_text(query, kind, pieces.TOO_MANY),),
        )
        for alternatives in pieces.of_key(query, tag)
    ]


def _newest_first(query: Query) -> Range:
    """All studies, or those of a modality or of a range of dates, newest first."""
    low, high, dates = _dates(query)
    modality = _single(query, MODALITIES)
    if modality is not None and not is_wild(modality):
        exact = modality.strip(" ")
        params = between([exact, low], [exact, high], descending=True)
        return Range("studies_by_modality", params, covered=frozenset([MODALITIES, *dates]))
    return Range("studies_by_date", between([low], [high], descending=True), covered=frozenset(dates))


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


def patient_candidates(query: Query) -> list[Candidate]:
    """Return the ranges for a list of patients: by ID where the rows of one patient stand together, else by texts."""
    if exact := _exact(query, (PATIENT_ID, PATIENT_NAME), descending=False):
        return [((exact,),)]
    found = [
        tuple(tuple(replace(one, sort=True) for one in part) for part in parts) for parts in text_candidates(query)
    ]
    return found or [((Range(BY_VALUE[PATIENT_ID]),),)]


def narrowed_by_series(query: Query) -> Query:
    """Return the keys for the studies of a search below them: a Modality is one of the Modalities in Study."""
    keys = query.of_level("study")
    modality = query.keys.get("00080060", {})
    if MODALITIES not in keys and query.values("00080060") and not modality.get("every"):
        keys[MODALITIES] = {"vr": "CS", "values": modality["values"]}
    return Query(keys=keys, level=query.level, include=query.include, limit_given=True)
