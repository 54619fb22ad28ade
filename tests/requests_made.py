"""Store requests of metadata and bulk data (PS3.18 10.5.1.4), made part by part."""

from __future__ import annotations

import json
from dataclasses import dataclass

from pydicom import Dataset

BOUNDARY = "made-boundary"


@dataclass(frozen=True)
class Made:
    """One part: body, Content-Type, Content-Location, further header lines."""

    body: bytes
    kind: str = "application/octet-stream"
    location: str = ""
    more: str = ""

    def lines(self) -> bytes:
        head = f"Content-Type: {self.kind}\r\n" if self.kind else ""
        head += f"Content-Location: {self.location}\r\n" if self.location else ""
        return (head + self.more).encode() + b"\r\n" + self.body


def body(*parts: Made | bytes) -> bytes:
    """Return a multipart body."""
    between = f"--{BOUNDARY}\r\n".encode()
    lines = (part.lines() if isinstance(part, Made) else part for part in parts)
    return b"".join(between + line + b"\r\n" for line in lines) + f"--{BOUNDARY}--\r\n".encode()


def content_type(kind: str = "application/dicom+json") -> str:
    """Return the Content-Type of a request whose metadata are of a kind."""
    return f'multipart/related; type="{kind}"; boundary={BOUNDARY}'


def metadata(*datasets: dict, kind: str = "application/dicom+json") -> Made:
    """Return the part of JSON metadata."""
    return Made(json.dumps(list(datasets)).encode(), kind)


def attribute(vr: str, *values: object) -> dict:
    """Return an element of the DICOM JSON Model."""
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def image(number: int = 1, pixels: str = "bulk/1", rows: int = 2, columns: int = 3, **more: dict) -> dict:
    """Return the metadata of a 16-bit image; more elements by tag, None takes one out."""
    dataset = {
        "00080016": attribute("UI", "1.2.840.10008.5.1.4.1.1.7"),
        "00080018": attribute("UI", f"1.2.3.4.{number}"),
        "00080060": attribute("CS", "OT"),
        "00100010": attribute("PN", {"Alphabetic": "Doe^Jane"}),
        "00100020": attribute("LO", "4711"),
        "0020000D": attribute("UI", "1.2.3"),
        "0020000E": attribute("UI", "1.2.3.4"),
        "00280002": attribute("US", 1),
        "00280004": attribute("CS", "MONOCHROME2"),
        "00280010": attribute("US", rows),
        "00280011": attribute("US", columns),
        "00280100": attribute("US", 16),
        "00280101": attribute("US", 16),
        "00280102": attribute("US", 15),
        "00280103": attribute("US", 0),
        "7FE00010": {"vr": "OW", "BulkDataURI": pixels},
    }
    dataset |= {tag.removeprefix("x"): element for tag, element in more.items()}
    return {tag: element for tag, element in dataset.items() if element is not None}


def bare_image(number: int = 1, pixels: str = "bulk/1", **more: dict) -> dict:
    """Return the metadata of an image without the Image Pixel Description Macro."""
    macro = {f"x{tag}": None for tag in image() if tag.startswith("0028")}
    return image(number, pixels, **(macro | more))


def split(dataset: Dataset, threshold: int = 64) -> tuple[dict, dict[str, bytes]]:
    """Return DICOM JSON of a pydicom data set, and what its bulk data URIs stand for."""
    bulk: dict[str, bytes] = {}

    def keep(element):
        location = f"bulk/{len(bulk)}"
        bulk[location] = element.value
        return location

    return dataset.to_json_dict(threshold, keep), bulk
