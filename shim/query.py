"""Parsing of QIDO-RS query parameters (PS3.18 8.3.4, 10.6.1.2) into names, values and limits."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword

from shim.errors import DicomWebError
from shim.levels import SERIES_TAGS, STUDY_TAGS

# Answers that are computed, not stored: they can be asked for but not matched.
COMPUTED = {"00081190", "00080056", "00201206", "00201208", "00201209", "00201200", "00201202", "00201204"}

DATE = r"\d{4}\.?\d{2}\.?\d{2}"
TIME = r"\d{2}(?::?\d{2}(?::?\d{2}(?:\.\d{1,6})?)?)?"
DATETIME = r"\d{4}(?:\d{2}(?:\d{2}(?:\d{2}(?:\d{2}(?:\d{2}(?:\.\d{1,6})?)?)?)?)?)?(?:[+-]\d{4})?"
TEMPORAL = {
    vr: re.compile(rf"(?:{one}|{one}-|-{one}|{one}-{one})")
    for vr, one in (("DA", DATE), ("TM", TIME), ("DT", DATETIME))
}
UID = re.compile(r"[0-9A-Za-z._-]{1,64}")
NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
NUMERIC = {"DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"}


@dataclass
class Query:
    """A search request, understood.

    Attributes
    ----------
    keys : dict
        The matching keys as the tree ``lib/match.js`` reads: ``{tag: {"vr", "values"}}``, sequences with ``"items"``.
    include : list of str or str
        Tags asked for besides the required ones, or ``"all"``.
    limit, offset : int
    fuzzy : bool
    unknown : list of str
        Parameters that mean nothing here; they are ignored and named in a ``Warning`` (PS3.18 8.3).
    limit_given : bool
        False when the server's own maximum stands in for a missing ``limit``.
    """

    keys: dict = field(default_factory=dict)
    include: list[str] | str = field(default_factory=list)
    limit: int = 0
    offset: int = 0
    fuzzy: bool = False
    unknown: list[str] = field(default_factory=list)
    limit_given: bool = False


def attribute_path(name: str) -> list[str] | None:
    """Return the tags that `name` stands for, or None.

    Parameters
    ----------
    name : str
        A keyword, eight hexadecimal digits, or a dotted path of these (PS3.18 8.3.4.1, `attributeID`).
    """
    path = []
    for part in name.split("."):
        if re.fullmatch(r"[0-9A-Fa-f]{8}", part):
            path.append(part.upper())
        else:
            tag = tag_for_keyword(part) if part.isascii() and part.isalnum() else None
            if tag is None:
                return None
            path.append(f"{tag:08X}")
    return path


def vr_of(tag: str) -> str:
    """Return the VR of a tag from the data dictionary (PS3.6), ``LO`` for what it does not know."""
    try:
        vr = dictionary_VR(int(tag, 16))
    except KeyError:
        return "LO"
    return vr.split(" or ")[0]


def split_values(vr: str, text: str) -> list[str]:
    """Split a parameter's value into the values any of which may match (PS3.4 C.2.2.2.2, PS3.18 8.3.4.1)."""
    if vr == "UI":
        return [value.strip() for value in re.split(r"[,\\]", text)]
    return text.split("\\") if vr not in ("LT", "ST", "UT", "UR") else [text]


def check_value(name: str, vr: str, value: str) -> None:
    """Refuse a value that its VR cannot have.

    Raises
    ------
    DicomWebError
        400, naming the parameter and the value.
    """
    if value == "" or vr == "PN":
        return
    shown = value if len(value) <= 80 else value[:77] + "..."
    if any(ord(character) < 32 for character in value):
        raise DicomWebError(400, f"{name}: the value holds control characters")
    if vr in TEMPORAL and not TEMPORAL[vr].fullmatch(value.strip()):
        kind = {"DA": "a date YYYYMMDD", "TM": "a time HHMMSS.FFFFFF", "DT": "a date-time YYYYMMDDHHMMSS"}[vr]
        raise DicomWebError(400, f"{name}: {shown!r} is not {kind} or a range of two")
    if vr == "UI" and not UID.fullmatch(value):
        raise DicomWebError(400, f"{name}: {shown!r} is not a UID")
    if vr in NUMERIC and not NUMBER.fullmatch(value.strip()):
        raise DicomWebError(400, f"{name}: {shown!r} is not a number")


def whole_number(name: str, text: str) -> int:
    """Return a parameter that must be a whole number of 0 or more; DicomWebError 400 otherwise."""
    if not (text.isascii() and text.isdigit()) or len(text) > 15:
        raise DicomWebError(400, f"{name} must be a whole number of 0 or more, not {text[:80]!r}")
    return int(text)


def parse(pairs: Iterable[tuple[str, str]], maximum: int) -> Query:
    """Read the query parameters of a search.

    Parameters
    ----------
    pairs : iterable of (str, str)
        Percent-decoded names and values, in order.
    maximum : int
        Most rows the server answers with.

    Returns
    -------
    Query

    Raises
    ------
    DicomWebError
        400 for a malformed value of a known parameter.
    """
    query = Query(limit=maximum)
    pairs = [(name, value) for name, value in pairs if name != ""]  # Weasis sends "?&includefield=…"
    if len(pairs) > 500:
        raise DicomWebError(400, f"{len(pairs)} query parameters are more than the 500 that are read")
    for name, value in pairs:
        if name == "limit":
            number = whole_number(name, value)
            query.limit, query.limit_given = min(number, maximum), number <= maximum
        elif name == "offset":
            query.offset = whole_number(name, value)
        elif name == "fuzzymatching":
            if value not in ("true", "false"):
                raise DicomWebError(400, f"fuzzymatching must be true or false, not {value[:80]!r}")
            query.fuzzy = value == "true"
        elif name == "includefield":
            _include(query, value)
        elif name not in ("accept", "charset"):
            _key(query, name, value)
    if query.fuzzy:
        _mark_fuzzy(query.keys)
    return query


def _include(query: Query, value: str) -> None:
    for name in value.split(","):
        name = name.strip()
        if name == "all":
            query.include = "all"
        elif name and (path := attribute_path(name)) is None:
            query.unknown.append(f"includefield={name}")
        elif name and query.include != "all" and path[0] not in query.include:
            query.include.append(path[0])


def _key(query: Query, name: str, value: str) -> None:
    path = attribute_path(name)
    if path is None or path[0] in COMPUTED:
        query.unknown.append(name)
        return
    vr = vr_of(path[-1])
    values = split_values(vr, value)
    for one in values:
        check_value(name, vr, one)
    level = query.keys
    for tag in path[:-1]:
        level = level.setdefault(tag, {"vr": "SQ", "items": {}}).setdefault("items", {})
    if vr == "SQ":
        level.setdefault(path[-1], {"vr": "SQ", "items": {}})
        return
    known = level.setdefault(path[-1], {"vr": vr, "values": []})
    if "values" not in known:
        raise DicomWebError(400, f"{name} is asked for both as a sequence and as a value")
    known["values"] += [one for one in values if one not in known["values"]]


def _mark_fuzzy(keys: dict) -> None:
    for key in keys.values():
        if "items" in key:
            _mark_fuzzy(key["items"])
        elif key["vr"] == "PN":
            key["fuzzy"] = True


def keys_of_level(keys: dict, level: str) -> dict:
    """Return those matching keys that are decided at `level`: ``study``, ``series`` or ``instance``."""
    return {tag: key for tag, key in keys.items() if level_of(tag) == level}


def level_of(tag: str) -> str:
    """Return the level whose rows carry the attribute `tag` (PS3.3 A.1.2, the Information Object's modules)."""
    if tag in STUDY_TAGS or tag == "00080061":
        return "study"
    return "series" if tag in SERIES_TAGS else "instance"


def describe(tag: str) -> str:
    """Return a tag as a person reads it: ``PatientID (0010,0020)``."""
    return f"{keyword_for_tag(int(tag, 16)) or 'attribute'} ({tag[:4]},{tag[4:]})"
