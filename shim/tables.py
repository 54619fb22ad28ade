"""Which attributes belong to a study and which to a series: the design document's ``views/lib/attributes.js``."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import orjson

FOLDER = Path(str(files("dicouch.designdocs"))) / "dicom"


def read_table(name: str, folder: str = "views/lib") -> dict:
    """Return a table of the design document: a module that is JSON behind ``module.exports =``."""
    text = (FOLDER / folder / f"{name}.js").read_text(encoding="utf-8").partition("module.exports =")[2]
    return orjson.loads(text.strip().removesuffix(";"))


_LEVELS = read_table("attributes")
STUDY_TAGS = frozenset(_LEVELS["study"])
SERIES_TAGS = frozenset(_LEVELS["series"])
# What the headers of both show besides, though every instance may say otherwise.
BESIDE_TAGS = frozenset(_LEVELS["beside"])
# What an instance's index row carries besides its transfer syntax; everything else needs the document.
ROW_TAGS = frozenset(_LEVELS["instance"]) | {"00083002"}


def pick(dataset: dict, tags: frozenset[str]) -> dict:
    """Return the attributes of `dataset` (DICOM JSON Model) that `tags` names."""
    return {tag: dataset[tag] for tag in dataset if tag in tags}
