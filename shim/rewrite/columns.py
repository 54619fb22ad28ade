"""Which attributes a row of a search answer has (PS3.18 Tables 10.6.3-3 to 10.6.3-5).

Where the range of an index decides which rows the answer has, they come straight from the view: a list function would
match nothing, and costs as much again as the view. Rows of lists are made by ``lib/search/fields.js``. Both read the
table ``returned``, and ``tests/designdocs/test_columns.py`` compares their rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from dicouch.tables import SERIES_TAGS, STUDY_TAGS, read_table

Attributes = dict[str, Any]
Wanted = Attributes | Literal[True] | None  # of a sequence's items, or all of an attribute

_TABLES = read_table("returned")
REQUIRED, CONDITIONAL = _TABLES["required"], _TABLES["conditional"]
ALWAYS, NEVER_EMPTY = _TABLES["always"], _TABLES["neverEmpty"]


def selector(level: str, options: Attributes) -> Callable[[Attributes], Attributes]:
    """Return what makes a row of a data set of `level` (DICOM JSON Model, PS3.18 F.2).

    Of `options`, ``include`` is ``"all"`` or a tree of what is wanted besides, ``{tag: True or a tree}``; ``only``
    means nothing else.
    """
    only, include = options.get("only", False), options.get("include") or {}
    required = {} if only else REQUIRED[level]
    wanted: Attributes = {}
    for some in (required, {} if only else CONDITIONAL[level], {} if include == "all" else include):
        for tag, inner in some.items():
            wanted[tag] = _joined(wanted.get(tag), True if isinstance(inner, str) else inner)
    outside = STUDY_TAGS | SERIES_TAGS if level == "instance" else frozenset()

    def select(dataset: Attributes) -> Attributes:
        if include == "all":
            row = {tag: value for tag, value in dataset.items() if value and (tag in wanted or tag not in outside)}
        else:
            row = {tag: _pick(dataset[tag], inner) for tag, inner in wanted.items() if dataset.get(tag)}
        for tag, vr in required.items():
            row.setdefault(tag, {"vr": vr})
        for tag in NEVER_EMPTY:
            if tag in row and row[tag].get("Value") is None:
                del row[tag]
        if not only:
            row.update(ALWAYS)
        return row

    return select


def dataset_of(row: Attributes) -> Attributes:
    """Return the data set of a row of an index, of one without a value that of its study, as ``views/lib/rows.js``."""
    if row["value"] is not None:
        dataset: Attributes = row["value"]["dataset"]
        return dataset
    series = row["doc"].get("series")
    named = series.values() if isinstance(series, dict) else ()
    found = sorted({modality for modality in named if isinstance(modality, str) and modality})
    return {**row["doc"]["dataset"], "00080061": {"vr": "CS", "Value": found} if found else {"vr": "CS"}}


def _pick(attribute: Attributes, wanted: Attributes | Literal[True]) -> Attributes:
    """Return an attribute with no more than the wanted attributes of its items."""
    if wanted is True or not isinstance(attribute.get("Value"), list):
        return attribute
    items = [
        {tag: _pick(item[tag], wanted[tag]) for tag in sorted(wanted) if isinstance(item, dict) and item.get(tag)}
        for item in attribute["Value"]
    ]
    return {"vr": attribute["vr"], "Value": items}


def _joined(one: Wanted, other: Wanted) -> Wanted:
    """Return what both want: all of an attribute, or the attributes that either wants of its items."""
    if one is True or other is True:
        return True
    if not one or not other:
        return one or other
    return {tag: _joined(one.get(tag), other.get(tag)) for tag in {**one, **other}}
