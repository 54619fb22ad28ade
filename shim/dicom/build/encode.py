"""The DICOM JSON Model written as Explicit VR Little Endian (PS3.18 F.2, PS3.5 7, A.2).

pydicom's writer holds every sequence in memory to learn its length, and repairs values silently. Here sequences have
undefined length, bulk data are copied from where they lie, and a value that its VR cannot hold is an error.
"""

from __future__ import annotations

import re
import struct
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable
from struct import pack
from typing import Protocol

from pydicom.valuerep import format_number_as_ds

from dicouch.dicom.build.model import BuildError, Stream
from dicouch.dicom.part10.dictionary import ENCODED_VRS, dictionary_vr, label
from dicouch.dicom.part10.model import MAX_DEPTH

CHARACTER_SET = "00080005"

_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_BINARY = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "UN"))
_TEXT = frozenset(("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "SH", "ST", "TM", "UC", "UI", "UR", "UT"))
_SINGLE = frozenset(("LT", "ST", "UR", "UT"))
_INTEGERS = {"SL": "i", "SS": "h", "SV": "q", "UL": "I", "US": "H", "UV": "Q"}
_FLOATS = {"FD": "d", "FL": "f"}
_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_KINDS = ("Value", "InlineBinary", "BulkDataURI", "Stream")
_UNDEFINED = 0xFFFFFFFF
_LONGEST = 0xFFFFFFFE
_ITEM = pack("<HHI", 0xFFFE, 0xE000, _UNDEFINED)
_ITEM_END = pack("<HHI", 0xFFFE, 0xE00D, 0)
_SEQUENCE_END = pack("<HHI", 0xFFFE, 0xE0DD, 0)

Resolve = Callable[[int, str], Stream]


class Writable(Protocol):
    """What is written to."""

    def write(self, data: bytes, /) -> object: ...


def write_dataset(dataset: dict, target: Writable, resolve: Resolve, depth: int = 0) -> None:
    """Write a data set, in ascending order of tags.

    Group lengths are left out, and so is Specific Character Set inside items: all text is in the one character set of
    the data set, UTF-8.

    Parameters
    ----------
    dataset : dict
        DICOM JSON Model; an element may have a ``Stream`` in place of ``Value``, ``InlineBinary`` or ``BulkDataURI``.
    target : Target or other writable
    resolve : callable
        Given tag and ``BulkDataURI``, returns the `Stream` of the value.
    depth : int
        Sequences around the data set.

    Raises
    ------
    BuildError
        When the data set is not one, naming the attribute.
    """
    if depth > MAX_DEPTH:
        raise BuildError(f"sequences are nested more than {MAX_DEPTH} deep")
    if not isinstance(dataset, dict):
        raise BuildError(f"a data set is {_json_type(dataset)}, not an object")
    for name in sorted(dataset, key=str.upper):
        if not _TAG.fullmatch(name):
            raise BuildError(f"{name[:40]!r} is not a tag of eight hexadecimal digits")
        tag = int(name, 16)
        if tag & 0xFFFF == 0 or (depth and name == CHARACTER_SET):
            continue
        if tag < 0x00020000 or tag >> 16 in (0xFFFE, 0xFFFF):
            raise BuildError(f"{label(tag)} cannot stand in a data set")
        _write_element(tag, dataset[name], target, resolve, depth)


def vr_of(tag: int, element: object) -> str:
    """Return the VR of an element.

    Raises
    ------
    BuildError
        When it has none, or another than the data dictionary (PS3.6) allows for the attribute.
    """
    if not isinstance(element, dict):
        raise BuildError(f"{label(tag)} is {_json_type(element)}, not an object")
    vr = element.get("vr")
    if not isinstance(vr, str) or vr.encode("utf-8", "replace") not in ENCODED_VRS:
        raise BuildError(f"{label(tag)} has {'no vr' if vr is None else f'the vr {str(vr)[:20]!r}, which is none'}")
    expected = dictionary_vr(tag)
    if expected and vr != "UN" and vr not in expected.split(" or ") and not (vr in _BINARY and "O" in expected):
        raise BuildError(f"{label(tag)} has the vr {vr}, not {expected}")
    return vr


def _write_element(tag: int, element: dict, target: Writable, resolve: Resolve, depth: int) -> None:
    vr = vr_of(tag, element)
    kinds = [kind for kind in _KINDS if element.get(kind) is not None]
    if len(kinds) > 1:
        raise BuildError(f"{label(tag)} has both {kinds[0]} and {kinds[1]}")
    kind = kinds[0] if kinds else "Value"
    content = element.get(kind)
    if kind == "Stream":
        _write_stream(tag, vr, content, target)
    elif kind == "BulkDataURI":
        if vr == "SQ":
            raise BuildError(f"{label(tag)} is a sequence, which cannot be bulk data")
        if not isinstance(content, str):
            raise BuildError(f"{label(tag)} has a BulkDataURI that is no string")
        _write_stream(tag, vr, resolve(tag, content), target)
    elif kind == "InlineBinary":
        _write_value(tag, vr, inline_binary(tag, vr, content), target)
    elif not isinstance(content or [], list):
        raise BuildError(f"{label(tag)} has a Value that is no array")
    elif vr == "SQ":
        target.write(_header(tag, vr, _UNDEFINED))
        for item in content or []:
            target.write(_ITEM)
            write_dataset({} if item is None else item, target, resolve, depth + 1)
            target.write(_ITEM_END)
        target.write(_SEQUENCE_END)
    else:
        _write_value(tag, vr, encode(tag, vr, content or []), target)


def inline_binary(tag: int, vr: str, content: object) -> bytes:
    """Return the bytes of an ``InlineBinary`` (PS3.18 F.2.7)."""
    if vr not in _BINARY:
        raise BuildError(f"{label(tag)} has InlineBinary, which {vr} cannot have")
    if isinstance(content, list) and len(content) == 1:  # as an example of the standard once had it
        content = content[0]
    try:
        return b64decode(content, validate=True)
    except (Base64Error, TypeError, ValueError) as problem:
        raise BuildError(f"{label(tag)} has an InlineBinary that is not base64") from problem


def encode(tag: int, vr: str, values: list) -> bytes:
    """Return the bytes of a value (PS3.5 6.2), not padded.

    Parameters
    ----------
    tag : int
        For messages.
    vr : str
        Any that is no sequence.
    values : list
        As in ``Value`` (PS3.18 F.2.3 to F.2.6).
    """
    try:
        if vr == "PN":
            return "\\".join(_person_name(value) for value in values).encode()
        if vr in _TEXT:
            if vr in _SINGLE and len(values) > 1:
                raise BuildError(f"{label(tag)} has {len(values)} values, {vr} can have one")
            return "\\".join(_string(vr, value) for value in values).encode()
        if vr in _INTEGERS:
            return pack(f"<{len(values)}{_INTEGERS[vr]}", *map(_integer, values))
        if vr in _FLOATS:
            return pack(f"<{len(values)}{_FLOATS[vr]}", *map(_float, values))
        if vr == "AT":
            numbers = [_attribute_tag(value) for value in values]
            return b"".join(pack("<HH", number >> 16, number & 0xFFFF) for number in numbers)
    except (TypeError, ValueError, OverflowError, struct.error) as problem:
        if isinstance(problem, BuildError):
            raise
        raise BuildError(f"{label(tag)} has a value that is no {vr}: {problem}") from problem
    if values:
        raise BuildError(f"{label(tag)} has Value, which {vr} cannot have")
    return b""


def _person_name(value: object) -> str:
    if value is None or isinstance(value, str):  # a string is how names were written before 2013
        return value or ""
    if not isinstance(value, dict) or not set(value) <= set(_GROUPS):
        raise TypeError("a name is an object of Alphabetic, Ideographic and Phonetic")
    groups = [value.get(group) or "" for group in _GROUPS]
    if not all(isinstance(group, str) for group in groups):
        raise TypeError("a component group of a name is no string")
    return "=".join(groups).rstrip("=")


def _string(vr: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if vr not in ("DS", "IS") or isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{_json_type(value)} where a string is due")
    if vr == "IS":
        return str(_integer(value))
    text = repr(value)
    return text if len(text) <= 16 and "n" not in text else format_number_as_ds(float(value))


def _integer(value: object) -> int:
    if isinstance(value, str):  # integers beyond 2^53 (PS3.18 F.2.3, note)
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise TypeError(f"{_json_type(value)} where a whole number is due")
    return int(value)


def _float(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError(f"{_json_type(value)} where a number is due")
    return float(value)  # strings are NaN and Infinity


def _attribute_tag(value: object) -> int:
    if not isinstance(value, str) or not _TAG.fullmatch(value):
        raise ValueError(f"{str(value)[:20]!r} is not eight hexadecimal digits")
    return int(value, 16)


def _json_type(value: object) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _header(tag: int, vr: str, length: int) -> bytes:
    if ENCODED_VRS[vr.encode()][1]:
        return pack("<HH2sHI", tag >> 16, tag & 0xFFFF, vr.encode(), 0, length)
    return pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr.encode(), length)


def _fitting(vr: str, length: int) -> str:
    """Return UN for a value too long for the 16-bit length of its VR (PS3.5 6.2.2, note to UN)."""
    return vr if length <= 0xFFFE or ENCODED_VRS[vr.encode()][1] else "UN"


def _padding(vr: str) -> bytes:
    return b" " if (vr in _TEXT and vr != "UI") or vr == "PN" else b"\0"


def _write_value(tag: int, vr: str, value: bytes, target: Writable) -> None:
    if len(value) % 2:
        value += _padding(vr)
    target.write(_header(tag, _fitting(vr, len(value)), len(value)) + value)


def _write_stream(tag: int, vr: str, stream: Stream, target: Writable) -> None:
    if stream.length is None:
        target.write(_header(tag, vr, _UNDEFINED))
        for piece in stream.pieces():
            target.write(piece)
        target.write(_SEQUENCE_END)
        return
    length = stream.length + stream.length % 2
    if length > _LONGEST:
        raise BuildError(f"{label(tag)} has {stream.length} bytes, more than a value can have")
    target.write(_header(tag, _fitting(vr, length), length))
    for piece in stream.pieces():
        target.write(piece)
    if length > stream.length:
        target.write(_padding(vr))
