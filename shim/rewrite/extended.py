"""Attributes that a site searches by besides those of the standard: the list of them, and their index ranges.

The list is JSON, of entries such as ``{"attribute": "00091001", "vr": "LO", "level": "study"}``. ``make push-views``
makes one view of each in ``_design/dicom-extended``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
from pydicom.datadict import keyword_for_tag

from dicouch.rewrite import normalise
from dicouch.rewrite.plan import LONGEST_KEY, Range, date_span, literal_prefix
from dicouch.rewrite.query import LEVELS, STUDY_UID, Query, attribute_path, level_of
from dicouch.rewrite.requests import LISTS, as_json, ids
from dicouch.rewrite.values import BINARY, NUMERIC, UNKNOWN, is_wild, known_vr
from dicouch.tables import HIGH

DESIGN = "_design/dicom-extended"
# Behind every text in byte order.
LAST = "\U0010ffff"
MOST = 128


@dataclass(frozen=True)
class Extended:
    """One attribute that a site has listed."""

    # Tags, from the outermost sequence to the attribute.
    path: tuple[str, ...]
    vr: str
    # ``study``, ``series`` or ``instance``: the highest level that can be searched by it.
    level: str

    @property
    def view(self) -> str:
        """The name of its view."""
        return f"{LISTS[self.level]}_by_{'_'.join(self.path)}"

    @property
    def name(self) -> str:
        """What a person calls it."""
        return ".".join(keyword_for_tag(int(tag, 16)) or tag for tag in self.path)

    @property
    def carrier(self) -> str:
        """The type of the documents that carry it."""
        return level_of(self.path[0])

    @property
    def depth(self) -> int:
        """How many UIDs name a study (1), a series (2) or an instance (3)."""
        return LEVELS.index(self.level)

    def key_of(self, query: Query) -> dict[str, Any] | None:
        """Return the matching key for this attribute, None when the query asks for more below its sequence."""
        if any(self.path[0] in (tag, key["time"]) for tag, key in query.keys.items() if "time" in key):
            return None  # a date that makes one range with a time is no key of its own
        level = query.keys
        for tag in self.path[:-1]:
            below = level.get(tag, {}).get("items", {})
            if len(below) != 1 or level[tag].get("empty"):
                return None
            level = below
        return level.get(self.path[-1])

    def range(self, key: dict[str, Any]) -> Range | None:
        """Return the part of the index that holds what `key` may match; None when no part does.

        A key that no value matches, or that wants several values at once, cannot be decided by single values.
        """
        values = key.get("values", [])
        if "items" in key or key.get("empty") or key.get("every") or key.get("fuzzy"):
            return None
        bounds = self._bounds(values[0]) if len(values) == 1 and len(values[0]) <= LONGEST_KEY else None
        return Range(self.view, {"startkey": [bounds[0]], "endkey": [bounds[1], HIGH]} if bounds else {})

    def _bounds(self, value: str) -> tuple[float, float] | tuple[str, str] | None:
        text = normalise.name(value) if self.vr == "PN" else value.strip(" ")
        if self.vr in NUMERIC:
            return float(text), float(text)
        if self.vr == "DA":
            low, high = date_span(text)
            return (low, high) if low <= high else (low, low)
        if self.vr in ("TM", "DT") or "=" in value:
            return None
        if not is_wild(text):
            return text, text
        prefix = literal_prefix(text).rstrip(" ")
        return (prefix, prefix + LAST) if prefix else None


def parse(text: bytes, name: str) -> list[Extended]:
    """Return the attributes that a list (JSON) names; ValueError, with `name` and the entry, for nonsense."""
    try:
        entries = orjson.loads(text)
    except orjson.JSONDecodeError as problem:
        raise ValueError(f"{name} is not JSON: {problem}") from problem
    if not isinstance(entries, list) or len(entries) > MOST:
        raise ValueError(f"{name} must be a list of at most {MOST} attributes")
    found = {}  # the last of those with the same path counts
    for number, entry in enumerate(entries, 1):
        try:
            one = _entry(entry)
        except ValueError as problem:
            raise ValueError(f"{name}, attribute {number}: {problem}") from problem
        found[one.path] = one
    return list(found.values())


def _entry(entry: object) -> Extended:
    if not isinstance(entry, dict) or not isinstance(entry.get("attribute"), str):
        raise ValueError('must be an object with "attribute" and "level"')
    unknown = sorted(set(entry) - {"attribute", "vr", "level", "comment"})
    if unknown:
        raise ValueError(f"{unknown[0]!r} means nothing here")
    path = attribute_path(entry["attribute"])
    if not path:
        raise ValueError(f"{entry['attribute']!r} is no keyword, tag or path of these")
    vr = entry.get("vr", known_vr(path[-1]))
    if not (isinstance(vr, str) and len(vr) == 2) or vr in BINARY | {"SQ", UNKNOWN}:
        raise ValueError(f'{entry["attribute"]!r} needs a "vr" whose values can be matched')
    level = entry.get("level")
    if level not in LEVELS[1:]:
        raise ValueError(f'"level" must be study, series or instance, not {level!r}')
    if LEVELS.index(level_of(path[0])) < LEVELS.index(level):
        raise ValueError(f"{entry['attribute']!r} is an attribute of the {level_of(path[0])}, not of the {level}")
    return Extended(tuple(path), vr, level)


def view_source(one: Extended) -> str:
    """Return the map function of an attribute's view."""
    return f"""function (doc) {{
  // {one.name}, from the site's list of extended attributes: [value, study, series, instance].
  require('views/lib/keys').of(doc, '{one.carrier}', {as_json(one.path)}, '{one.vr}').forEach(function (key) {{
    emit(key, null);
  }});
}}
"""


def scan_range(query: Query) -> dict[str, str]:
    """Return the range of document ids to read where there is no index: one study's, or all."""
    studies = query.values(STUDY_UID)
    return ids(studies[0]) if len(studies) == 1 else {}
