"""One instance from its metadata and bulk data: a DICOM Part 10 file (PS3.10 7)."""

from __future__ import annotations

from collections.abc import Callable

from dicouch.dicom.build import pixels
from dicouch.dicom.build.model import BuildError, Bulk, Scratch, Target
from dicouch.dicom.errors import MISSING_BULK_DATA
from dicouch.dicom.json_model import JsonDataset, first_value
from dicouch.dicom.media.negotiate import MediaType
from dicouch.dicom.part10.dictionary import key_of, label
from dicouch.dicom.part10.encode import CHARACTER_SET, UTF8, Encoding, Stream, file_header, inline_binary, write_dataset
from dicouch.dicom.syntaxes import EXPLICIT_LITTLE, OCTETS

_DOCUMENT, _DOCUMENT_TYPE, _DOCUMENT_LENGTH = "00420011", "00420012", "00420015"
# Where metadata name the transfer syntax; the second belongs to answers only (PS3.18 10.6.1.2), neither to a data set.
_TRANSFER_SYNTAXES = ("00020010", "00083002")

_ENCODING = Encoding()

Find = Callable[[str], list[Bulk]]
"""From a BulkDataURI to the parts received for it."""
_Parts = Callable[[int, str], list[Bulk]]


def build(dataset: JsonDataset, media: MediaType, find: Find, scratch: Scratch, target: Target) -> None:
    """Write the Part 10 file of an instance.

    Identifiers are not checked here: reading the file does that. The ``transfer-syntax`` of `media`, the type of the
    metadata, is that of inline pixel data (PS3.18 8.7.3.5.2).

    Raises
    ------
    DicomError
        When metadata and bulk data do not make an instance.
    """
    if not isinstance(dataset, dict):
        raise BuildError("the metadata of an instance are no object")
    hint = next(filter(None, (string_in(dataset, tag) for tag in _TRANSFER_SYNTAXES)), "")
    made = {
        name.upper() if len(name) == 8 else name: element
        for name, element in dataset.items()
        if name not in _TRANSFER_SYNTAXES
    }
    if len(made) != len(dataset.keys() - set(_TRANSFER_SYNTAXES)):
        raise BuildError("an attribute appears twice, in capitals and small letters")
    made = {name: element for name, element in made.items() if not name.startswith("0002")}
    if CHARACTER_SET in made or not _in_ascii(made, 0):
        made[CHARACTER_SET] = {"vr": "CS", "Value": [UTF8]}

    def parts(tag: int, uri: str) -> list[Bulk]:
        found = find(uri)
        if not found:
            raise BuildError(f"{label(tag)}: the bulk data {uri[:200]!r} are not in the request", MISSING_BULK_DATA)
        return found

    def resolve(tag: int, uri: str) -> Stream:
        found = parts(tag, uri)
        if len(found) > 1:
            raise BuildError(f"{label(tag)}: {len(found)} parts have the location {uri[:200]!r}")
        return scratch.stream(found[0])

    syntax = EXPLICIT_LITTLE
    for tag in pixels.PIXEL_TAGS:
        received = _pixel_parts(made, tag, media, parts, scratch)
        if received:
            syntax = pixels.prepare(made, tag, received, hint, scratch)
    _describe_document(made, parts)
    target.write(file_header(string_in(made, "00080016"), string_in(made, "00080018"), syntax))
    write_dataset(made, target, _ENCODING, resolve)
    target.file.seek(0)


def string_in(dataset: object, tag: str) -> str:
    """Return the first value of an attribute where it is a string, else an empty one."""
    first = first_value(dataset, tag) if isinstance(dataset, dict) else None
    return first.rstrip("\0 ") if isinstance(first, str) else ""


def _pixel_parts(dataset: JsonDataset, tag: int, media: MediaType, parts: _Parts, scratch: Scratch) -> list[Bulk]:
    """Return where the pixel data of an attribute are, if the data set has any."""
    element = dataset.get(key_of(tag))
    if not isinstance(element, dict):
        return []
    if isinstance(element.get("BulkDataURI"), str):
        return parts(tag, element["BulkDataURI"])
    if element.get("InlineBinary") is None:
        return []
    syntax = media.transfer_syntax
    octets = MediaType("application", "octet-stream", {"transfer-syntax": syntax} if syntax else {})
    return [Bulk(*scratch.add([inline_binary(tag, "OB", element["InlineBinary"])]), octets)]


def _describe_document(dataset: JsonDataset, parts: _Parts) -> None:
    """Say what an Encapsulated Document is and how long without its padding (PS3.3 C.24.2)."""
    element = dataset.get(_DOCUMENT)
    if not isinstance(element, dict) or not isinstance(element.get("BulkDataURI"), str):
        return
    part = parts(int(_DOCUMENT, 16), element["BulkDataURI"])[0]
    if not string_in(dataset, _DOCUMENT_TYPE) and part.media.essence != OCTETS:
        dataset[_DOCUMENT_TYPE] = {"vr": "LO", "Value": [part.media.essence]}
    dataset.setdefault(_DOCUMENT_LENGTH, {"vr": "UL", "Value": [part.length]})


def _in_ascii(value: object, depth: int) -> bool:
    """Tell whether all text is known to be ASCII; too deep a nesting is for the encoder to refuse."""
    if isinstance(value, str):
        return value.isascii()
    if isinstance(value, dict) and "BulkDataURI" in value and value.get("vr") in ("LT", "ST", "UC", "UT"):
        return False
    if depth < 400 and isinstance(value, dict | list):
        return all(_in_ascii(inner, depth + 1) for inner in (value.values() if isinstance(value, dict) else value))
    return True
