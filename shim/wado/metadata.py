"""Metadata: data sets without bulk data, as the list of the design document renders them (PS3.18 10.4.1.1.2)."""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from shim import rewrite
from shim.wado.retrieve import Retriever

# What the list sends in place of an instance whose data set is an attachment; see ``lib/metadata.js``. Quotes inside
# JSON strings are escaped, so it can be nothing else.
ELSEWHERE = b'{"datasetAttachment":'


def render(reader: Retriever, study: str, series: str | None, instance: str | None, base: str) -> Iterator[bytes]:
    """Yield the JSON array of data sets piece by piece, one data set a line.

    Parameters
    ----------
    reader : Retriever
    study, series, instance : str
        UIDs; None for all.
    base : str
        Absolute URL of the DICOMweb root, for BulkDataURIs.
    """
    corrected = reader.corrections(study)
    rest = b""
    for chunk in reader.ask(rewrite.metadata(study, series, instance, base, corrected)).chunks():
        lines, line_end, last = chunk.rpartition(b"\n")
        if not line_end:
            rest += chunk
            continue
        lines, rest = rest + lines + line_end, last
        if ELSEWHERE in lines:
            for line in lines.splitlines(keepends=True):
                yield _with_dataset(reader, line, base) if ELSEWHERE in line[:32] else line
        else:
            yield lines
    if rest:
        yield _with_dataset(reader, rest, base) if ELSEWHERE in rest[:32] else rest


def _with_dataset(reader: Retriever, line: bytes, base: str) -> bytes:
    """Put the data set of an attachment in the place of what the list sent for it."""
    start = line.index(b"{")
    end = line.rindex(b"}") + 1
    place = orjson.loads(line[start:end])
    document_id = place["datasetAttachment"]
    study, series, instance = document_id.split(":")
    dataset = orjson.loads(reader.dataset(document_id))
    dataset.update(place["values"])
    if place["items"]:
        told = dataset.get("04000561", {}).get("Value", [])
        dataset["04000561"] = {"vr": "SQ", "Value": [*told, *place["items"]]}
    dataset = {tag: dataset[tag] for tag in sorted(dataset) if dataset[tag]}
    url = f"{base}/studies/{study}/series/{series}/instances/{instance}/bulkdata/"
    text = orjson.dumps(dataset).replace(b'"BulkDataURI":"bulkdata/', b'"BulkDataURI":' + orjson.dumps(url)[:-1])
    return line[:start] + text + line[end:]


def split(pieces: Iterator[bytes]) -> Iterator[dict]:
    """Yield the data sets of a rendered array one by one; see `render`."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            dataset = _dataset_of(line)
            if dataset is not None:
                yield dataset
    dataset = _dataset_of(rest)
    if dataset is not None:
        yield dataset


def _dataset_of(line: bytes) -> dict | None:
    line = line.strip().lstrip(b"[").rstrip(b",")
    line = line.removesuffix(b"]") if line.endswith(b"}]") or line == b"]" else line
    return orjson.loads(line) if line else None
