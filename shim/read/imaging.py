"""Instances of the database as the pixel package takes them: images, and files to be transcoded."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator

from dicouch.dicom.errors import PixelError, TooLarge, Unsupported
from dicouch.dicom.json_model import JsonDataset
from dicouch.dicom.pixels.image import SMALL, Image
from dicouch.dicom.pixels.transcode import SourceFile
from dicouch.dicom.syntaxes import EXPLICIT_LITTLE
from dicouch.dicom.waveform import Read
from dicouch.read.retrieve import Retriever, pixel_path


def image_of(reader: Retriever, document: dict) -> Image:
    """Return the image of an instance, whose document has its whole data set; `Unsupported` without pixel data."""
    file = document["file"]
    frames = file.get("frames")
    if not frames or pixel_path(document) is None:
        raise Unsupported("the instance has no pixel data")

    def frame(number: int) -> bytes:
        return b"".join(reader.frame(document, number)[1]())

    def bulk(path: str) -> bytes:
        value = file["bulk"].get(path)
        if value is None:
            raise PixelError(f"the value {path} is not in the file")
        size, pieces = reader.bulk(document, value)
        if size > SMALL:
            raise TooLarge(f"the value {path} has {size} bytes")
        return b"".join(pieces())

    native = "fragments" not in frames
    syntax = EXPLICIT_LITTLE if native else file["transferSyntax"]
    return Image(document["dataset"], syntax, frames["count"], frame, bulk, native)


def values_of(reader: Retriever, document: dict) -> Read:
    """Return what gives the first bytes of binary values in the data set of an instance, inline or in the file."""

    def read(item: JsonDataset, tag: str, length: int) -> bytes | None:
        element = item.get(tag) or {}
        if "InlineBinary" in element:
            return b64decode(element["InlineBinary"])[:length]
        value = document["file"].get("bulk", {}).get(element.get("BulkDataURI", "").removeprefix("bulkdata/"))
        if value is None:
            return None
        size, pieces = reader.bulk(document, value)
        return b"".join(pieces(0, min(length, size)))

    return read


def stored_of(reader: Retriever, document: dict) -> SourceFile:
    """Return the file of an instance for `dicouch.dicom.pixels.transcode`."""
    file = document["file"]
    path = pixel_path(document)

    def read(start: int, end: int) -> Iterator[bytes]:
        return reader.read(document, start, end)

    syntax, size = file["transferSyntax"], reader.inflated_size(document)
    if path is None:
        return SourceFile(syntax, size, read)
    image = image_of(reader, document) if file.get("frames") else None
    value = file["bulk"][path]
    return SourceFile(syntax, size, read, value, image, lambda: reader.bulk(document, value)[1]())
