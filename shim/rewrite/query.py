"""Parsing of QIDO-RS query parameters (PS3.18 8.3.4, 10.6.1.2) into names, values and limits."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from pydicom.datadict import dictionary_has_tag, keyword_for_tag, tag_for_keyword

from dicouch.errors import DicomWebError
from dicouch.rewrite.values import BINARY, MULTIPLE, UNKNOWN, check, is_universal, known_vr, same_form, split_values
from dicouch.tables import BESIDE_TAGS, SERIES_TAGS, STUDY_TAGS

# Answers that are computed, not stored: they can be asked for but not matched.
COMPUTED = frozenset(
    {"00080005", "00081190", "00080056", "00201206", "00201208", "00201209", "00201200", "00201202", "00201204"}
)
LEVELS = ("patient", "study", "series", "instance")
STUDY_UID, SERIES_UID, SOP_UID = "0020000D", "0020000E", "00080018"
PATIENT_TAGS = frozenset(tag for tag in STUDY_TAGS if tag.startswith("0010"))
# Transfer Syntax UID is no attribute of a data set (PS3.10 7.1); Available Transfer Syntax UID is, of an answer.
TRANSFER_SYNTAX, AVAILABLE_SYNTAX = "00020010", "00083002"
FLAGS = ("fuzzymatching", "emptyvaluematching", "multiplevaluematching")
NOT_KEYS = frozenset({"accept", "charset", "explain", *FLAGS})
WORDS = frozenset({"includefield", "limit", "offset", *FLAGS})
EMPTY = '""'  # the value that finds what has none (PS3.4 C.2.2.2.7)
MOST_PARAMETERS = 500
# Attributes that includefield may name: each costs something in every row of the answer.
MOST_INCLUDED = 500
DEEPEST_PATH = 10
# Dates with the times that make one range of moments with them (PS3.4 C.2.2.2.5.4).
MOMENTS = {
    "00080012": "00080013",  # Instance Creation
    "00080020": "00080030",  # Study
    "00080021": "00080031",  # Series
    "00080022": "00080032",  # Acquisition
    "00080023": "00080033",  # Content
    "00400002": "00400003",  # Scheduled Procedure Step Start
    "00400244": "00400245",  # Performed Procedure Step Start
    "00400250": "00400251",  # Performed Procedure Step End
}


@dataclass
class Query:
    """A search request, understood."""

    # The matching keys as the tree ``lib/match`` reads: ``{tag: {"vr", "values"}}``, sequences with ``"items"``.
    keys: dict[str, Any] = field(default_factory=dict)
    # Of the resource: its rows decide what their headers show beside what they have (`BESIDE_TAGS`).
    level: str = "study"
    # What is asked for besides the required attributes: ``{tag: True}``, or a tree of a sequence's attributes.
    include: dict[str, Any] | Literal["all"] = field(default_factory=dict)
    limit: int = 0
    offset: int = 0
    # Parameters that mean nothing here; they are ignored and named in a ``Warning`` (PS3.18 8.3).
    unknown: list[str] = field(default_factory=list)
    # False when the server's own maximum stands in for a missing or larger ``limit``.
    limit_given: bool = False
    # How the client named each matching key.
    names: dict[str, str] = field(default_factory=dict)
    # Document ids of the instances that an index has found already (`dicouch.read.search.own_attributes`).
    located: list[str] | None = None

    def values(self, tag: str) -> list[str]:
        """Return the values of a key that narrow the search, none when there is no such key or any value will do."""
        key = self.keys.get(tag, {})
        values = key.get("values", [])
        return [] if key.get("empty") or any(map(is_universal, values)) else values

    def of_level(self, level: str) -> dict[str, Any]:
        """Return those matching keys that are decided at `level`: ``study``, ``series`` or ``instance``."""
        return {tag: key for tag, key in self.keys.items() if self.carrier(tag) == level}

    def carrier(self, tag: str) -> str:
        """Return the level whose rows carry the attribute `tag` in this search."""
        return self.level if tag in BESIDE_TAGS else level_of(tag)

    def include_of(self, level: str) -> dict[str, Any] | Literal["all"]:
        """Return what is asked for of `level`, matched attributes too (PS3.18 8.3.4.3)."""
        if self.include == "all":
            return "all"
        asked = {tag: wanted for tag, wanted in self.include.items() if self.carrier(tag) == level}
        return {**dict.fromkeys(self.of_level(level), True), **asked}

    def fields(self, level: str, only: bool = False) -> dict[str, Any]:
        """Return what rows of `level` have, as ``lib/search/fields.js`` reads it.

        With `only`, for a parent that the path names, nothing but what ``includefield`` names.
        """
        if not only:
            return {"include": self.include_of(level)}
        named = {} if self.include == "all" else self.include
        return {"include": {tag: wanted for tag, wanted in named.items() if self.carrier(tag) == level}, "only": True}

    def drop_below(self, level: str) -> None:
        """Ignore the keys that `level` (one of `LEVELS`) does not have, and remember their names."""
        for tag in list(self.keys):
            below = LEVELS.index(self.carrier(tag)) > LEVELS.index(level)
            if tag not in PATIENT_TAGS if level == "patient" else below:
                del self.keys[tag]
                self.unknown.append(self.names.get(tag, tag))


def attribute_path(name: str) -> list[str] | None:
    """Return the tags that `name` stands for: a keyword, eight hexadecimal digits, or a dotted path of these.

    None when it stands for nothing (PS3.18 8.3.4.1, `attributeID`).
    """
    path = [_tag_of(part) for part in name.split(".", DEEPEST_PATH + 1)]
    return path if all(path) and len(path) <= DEEPEST_PATH else None


def _tag_of(name: str) -> str:
    if re.fullmatch(r"[0-9A-Fa-f]{8}", name):
        return name.upper()
    tag = tag_for_keyword(name) if name.isascii() and name.isalnum() else None
    return "" if tag is None else f"{tag:08X}"


def _whole_number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 15:
        raise DicomWebError(400, f"{name} must be a whole number of 0 or more, not {text[:80]!r}")
    return int(text)


def parse(pairs: Iterable[tuple[str, str]], maximum: int) -> Query:
    """Read the query parameters of a search: percent-decoded names and values, in order.

    `maximum` is the most rows the server answers with. DicomWebError 400 for a malformed value of a known parameter.
    """
    query = Query(limit=maximum)
    # Weasis sends "?&includefield=…". The words of the grammar are not case-sensitive (RFC 5234 2.3), keywords are.
    pairs = [(name.lower() if name.lower() in WORDS else name, value) for name, value in pairs if name != ""]
    if len(pairs) > MOST_PARAMETERS:
        raise DicomWebError(400, f"{len(pairs)} query parameters are more than the {MOST_PARAMETERS} that are read")
    flags = {name: _flag(name, value) for name, value in pairs if name in FLAGS}
    included: dict[str, None] = {}
    for name, value in pairs:
        if name == "limit":
            number = _whole_number(name, value)
            query.limit, query.limit_given = min(number, maximum), number <= maximum
        elif name == "offset":
            query.offset = _whole_number(name, value)
        elif name == "includefield":
            included.update(dict.fromkeys(name.strip() for name in value.split(",")))
        elif name not in NOT_KEYS:
            _key(query, name, value, flags)
    _include(query, list(included))
    _finish(query.keys, flags)
    return query


def _flag(name: str, value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise DicomWebError(400, f"{name} must be true or false, not {value[:80]!r}")
    return value.lower() == "true"


def _include(query: Query, names: list[str]) -> None:
    if len(names) > MOST_INCLUDED:
        raise DicomWebError(400, f"includefield: {len(names)} names are more than the {MOST_INCLUDED} that are read")
    for name in names:
        path = attribute_path(name)
        if name.lower() == "all":
            query.include = "all"
        elif name and not (path and _exists(path)):
            query.unknown.append(f"includefield={name}")
        elif path and query.include != "all":
            _add_path(query.include, path)
            if path == [TRANSFER_SYNTAX]:
                query.include[AVAILABLE_SYNTAX] = True


def _exists(path: list[str]) -> bool:
    """Return whether a path can name an attribute: one of PS3.6 or private, below sequences."""
    known = all(_is_private(tag) or dictionary_has_tag(int(tag, 16)) for tag in path)
    return known and all(known_vr(tag) in ("SQ", UNKNOWN) for tag in path[:-1])


def _is_private(tag: str) -> bool:
    """Return whether the group of a tag is odd and none of those that nobody may use (PS3.5 7.8.1)."""
    group = int(tag[:4], 16)
    return group % 2 == 1 and 0x0007 < group < 0xFFFF


def _add_path(tree: dict[str, Any], path: list[str]) -> None:
    """Add a wanted attribute, and the Private Creator of a private one (PS3.18 10.6.3.3)."""
    tag, *rest = path
    if int(tag[:4], 16) % 2 and tag[4:6] != "00":
        tree.setdefault(f"{tag[:4]}00{tag[4:6]}", True)
    if not rest:
        tree[tag] = True
    elif tree.setdefault(tag, {}) is not True:
        _add_path(tree[tag], rest)


def _key(query: Query, name: str, value: str, flags: dict[str, bool]) -> None:
    path = attribute_path(name)
    path = [AVAILABLE_SYNTAX] if path == [TRANSFER_SYNTAX] else path
    vr = known_vr(path[-1]) if path else ""
    if not path or path[0] in COMPUTED or vr in BINARY:
        query.unknown.append(name)
        return
    query.names.setdefault(path[0], name)
    level = query.keys
    for tag in path[:-1]:
        above = level.setdefault(tag, {"vr": "SQ", "items": {}})
        if "items" not in above:
            raise DicomWebError(400, f"{name[:200]} is asked for both as a sequence and as a value")
        level = above["items"]
    key = level.setdefault(path[-1], {"vr": vr, "items": {}} if vr == "SQ" else {"vr": vr, "values": []})
    if value == EMPTY and flags.get("emptyvaluematching"):
        key["empty"] = True
    elif "values" in key:
        values = split_values(vr, value)
        check(name[:200], vr, values)
        # A dictionary keeps the order and asks once for what is given twice.
        key["values"] = list(dict.fromkeys([*key["values"], *values]))
    elif vr != "SQ":
        raise DicomWebError(400, f"{name[:200]} is asked for both as a sequence and as a value")
    elif value != "":
        query.unknown.append(f"{name}={value}")


def _finish(keys: dict[str, Any], flags: dict[str, bool]) -> None:
    """Mark what the flags and other keys change about each key."""
    for tag, key in keys.items():
        values = key.get("values", [])
        if "items" in key:
            _finish(key["items"], flags)
        elif key["vr"] == "PN" and flags.get("fuzzymatching"):
            key["fuzzy"] = True
        several = len(values) > 1 or (key["vr"] == UNKNOWN and "," in "".join(values))
        if flags.get("multiplevaluematching") and key["vr"] in MULTIPLE | {UNKNOWN} and several:
            key["every"] = True
        times = keys.get(MOMENTS.get(tag, ""), {}).get("values", [])
        if len(values) == len(times) == 1 and not key.get("empty") and same_form(values[0], times[0]):
            key["time"] = MOMENTS[tag]


def level_of(tag: str) -> str:
    """Return the level whose rows carry the attribute `tag` (PS3.3 A.1.2, the Information Object's modules)."""
    if tag in STUDY_TAGS or tag == "00080061":
        return "study"
    return "series" if tag in SERIES_TAGS else "instance"


def named(names: Iterable[str]) -> str:
    """Return names that a client sent as a ``Warning`` can hold them: not too many, and none too long."""
    names = list(names)
    more = ", ..." if len(names) > 10 else ""
    return ", ".join(name[:64] for name in names[:10]) + more


def describe(tag: str) -> str:
    """Return a tag as a person reads it: ``PatientID (0010,0020)``."""
    return f"{keyword_for_tag(int(tag, 16)) or 'attribute'} ({tag[:4]},{tag[4:]})"
