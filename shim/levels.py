"""Which attributes belong to a study and which to a series: the design document's ``views/lib/attributes.js``."""

from __future__ import annotations

from pathlib import Path

import orjson

SOURCE = Path(__file__).resolve().parent.parent / "designdocs" / "dicom" / "views" / "lib" / "attributes.js"


def _read() -> dict[str, list[str]]:
    text = SOURCE.read_text(encoding="utf-8")
    return orjson.loads(text[text.index("{") : text.rindex("}") + 1])


_LEVELS = _read()
STUDY_TAGS = frozenset(_LEVELS["study"])
SERIES_TAGS = frozenset(_LEVELS["series"])
# What an instance's index row carries besides its transfer syntax; everything else needs the document.
ROW_TAGS = frozenset(_LEVELS["instance"]) | {"00083002"}


def pick(dataset: dict, tags: frozenset[str]) -> dict:
    """Return the attributes of `dataset` (DICOM JSON Model) that `tags` names."""
    return {tag: dataset[tag] for tag in dataset if tag in tags}
