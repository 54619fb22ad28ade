"""Instances of the database as the pixel package takes them: images, and files to be transcoded."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator

from dicouch.dicom.errors import PixelError, TooLarge, Unsupported
from dicouch.dicom.json_model import JsonDataset
from dicouch.dicom.pixels.image import SMALL, Image
from dicouch.dicom.pixels.transcode import SourceFile
from dicouch.dicom.syntaxes import EXPLICIT_LITTLE, is_known, is_native
from dicouch.dicom.waveform import Read
from dicouch.read.retrieve import Retriever, pixel_path


def form_problem(file: dict) -> str:
    """Return what is wrong with pixel data that its transfer syntax cannot have, and that are of no known kind."""
    syntax, fragments = file["transferSyntax"], "fragments" in (file.get("frames") or {})
    if not file.get("frames") or not is_known(syntax) or fragments is not is_native(syntax):
        return ""
    form = "in fragments" if fragments else "not in fragments"
    return f"the pixel data are {form}, unlike the transfer syntax {syntax}, and nothing tells what they are"


def image_of(reader: Retriever, document: dict) -> Image:
    """Return the image of an instance, whose document has its whole data set; `Unsupported` without pixel data."""
    file = document["file"]
    frames = file.get("frames")
    if not frames or pixel_path(document) is None:
        raise Unsupported("the instance has no pixel data")
    if problem := form_problem(file):
        raise Unsupported(problem)

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

    syntax, size, careful = file["transferSyntax"], reader.inflated_size(document), bool(document.get("warnings"))
    if path is None:
        return SourceFile(syntax, size, read, careful=careful)
    image = image_of(reader, document) if file.get("frames") and not form_problem(file) else None
    value = file["bulk"][path]
    return SourceFile(syntax, size, read, value, image, lambda: reader.bulk(document, value)[1](), careful)
