"""The tables that the design document and the shim share, ``designdocs/dicom/tables``: plain data, read once."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import orjson


def read_table(name: str) -> dict[str, Any]:
    """Return a table of the design document; ``tables/README.md`` says what is in each."""
    table: dict[str, Any] = orjson.loads(
        (files("dicouch.designdocs") / "dicom" / "tables" / f"{name}.json").read_bytes()
    )
    return table


LIMITS = read_table("limits")
# Keys of views are compared as bytes (raw collation): this is behind all dates, times and UIDs.
HIGH: str = LIMITS["highest"]
_LEVELS = read_table("levels")
STUDY_TAGS = frozenset(_LEVELS["study"])
SERIES_TAGS = frozenset(_LEVELS["series"])
# What the headers of both show besides, though every instance may say otherwise.
BESIDE_TAGS = frozenset(_LEVELS["beside"])
# What an instance's index row carries, and its transfer syntax under both names; everything else needs the document.
ROW_TAGS = frozenset(_LEVELS["instance"]) | {"00083002", "00020010"}


def pick(dataset: dict[str, Any], tags: frozenset[str]) -> dict[str, Any]:
    """Return the attributes of `dataset` (DICOM JSON Model) that `tags` names."""
    return {tag: dataset[tag] for tag in dataset if tag in tags}
