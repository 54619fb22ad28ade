"""The DICOM JSON Model (PS3.18 F.2) as Python has it."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Any, overload

import orjson

Attribute = dict[str, Any]
"""``{"vr": …}`` with at most one of ``Value``, ``InlineBinary``, ``BulkDataURI``."""

JsonDataset = dict[str, Attribute]
"""Attributes by tag: eight upper-case hexadecimal digits."""

# Per-Frame Functional Groups Sequence: hundreds of megabytes, as Python has it, of tens of thousands of frames.
_OF_FRAMES = "52009230"
_BEFORE, _AFTER = b'"52009230":{"vr":"SQ","Value":[\n', b"\n]}"


def first_value(dataset: JsonDataset, key: str) -> Any:  # noqa: ANN401 - a value of any VR
    """Return the first value of an attribute, None when it has none; `dataset` may be as a client wrote it."""
    attribute = dataset.get(key)
    values = attribute.get("Value") if isinstance(attribute, dict) else None
    return values[0] if isinstance(values, list) and values else None


def as_lines(dataset: JsonDataset) -> bytes:
    """Return a data set as JSON, in the order of its tags, that has each item of the frames on a line of its own."""
    lines = []
    for tag in sorted(dataset):
        element = dataset[tag]
        items = element.get("Value") if tag == _OF_FRAMES else None
        if items and element == {"vr": "SQ", "Value": items}:
            lines.append(_BEFORE + b",\n".join(map(orjson.dumps, items)) + _AFTER)
        else:
            lines.append(orjson.dumps(tag) + b":" + orjson.dumps(element))
    return b"{" + b",".join(lines) + b"}"


def read_lines(data: bytes) -> JsonDataset:
    """Read a data set of which the items of frames are made when they are looked at; it may be without lines."""
    start = data.find(_BEFORE)  # in no text of the data set: there quotes and line ends are escaped
    if start < 0:
        dataset: JsonDataset = orjson.loads(data)
        return dataset
    start += len(_BEFORE)
    end = data.index(_AFTER, start)
    dataset = orjson.loads(data[: start - 1] + data[end + 1 :])
    dataset[_OF_FRAMES]["Value"] = Items(data, start, end)
    return dataset


class Items(Sequence[JsonDataset]):
    """The items of a sequence that stand in JSON from `start` to `end`, each on a line, with commas between them."""

    def __init__(self, data: bytes, start: int, end: int) -> None:
        self._data = data
        self._starts = array("Q", [start])
        while (start := data.find(b"\n", start, end) + 1) > 0:
            self._starts.append(start)
        self._starts.append(end + 2)

    def __len__(self) -> int:
        return len(self._starts) - 1

    @overload
    def __getitem__(self, place: int) -> JsonDataset: ...

    @overload
    def __getitem__(self, place: slice) -> list[JsonDataset]: ...

    def __getitem__(self, place: int | slice) -> JsonDataset | list[JsonDataset]:
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        one = range(len(self))[place]
        item: JsonDataset = orjson.loads(self._data[self._starts[one] : self._starts[one + 1] - 2])
        return item

    def __iter__(self) -> Iterator[JsonDataset]:
        return map(self.__getitem__, range(len(self)))
