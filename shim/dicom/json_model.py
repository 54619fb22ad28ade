"""The DICOM JSON Model (PS3.18 F.2) as Python has it."""

from __future__ import annotations

from typing import Any

Attribute = dict[str, Any]
"""``{"vr": …}`` with at most one of ``Value``, ``InlineBinary``, ``BulkDataURI``."""

JsonDataset = dict[str, Attribute]
"""Attributes by tag: eight upper-case hexadecimal digits."""


def first_value(dataset: JsonDataset, key: str) -> Any:  # noqa: ANN401 - a value of any VR
    """Return the first value of an attribute, None when it has none; `dataset` may be as a client wrote it."""
    attribute = dataset.get(key)
    values = attribute.get("Value") if isinstance(attribute, dict) else None
    return values[0] if isinstance(values, list) and values else None
