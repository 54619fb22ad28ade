"""DICOM JSON as bytes of a data set (PS3.18 F.2, PS3.5 7): the one encoder, the opposite of `values` and `dataset`.

pydicom's writer cannot take its place. `Dataset.from_json` refuses a DS or IS that is no number, although files have
them. Its writer accepts numbers longer than 16 characters and replaces characters that the character set lacks; it
holds every sequence in memory to find its length. Here a value that does not fit is an error or left empty, as
`Encoding` says; sequences have undefined length; bulk data are copied in pieces.
"""

from __future__ import annotations

import re
import struct
import warnings
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from struct import pack
from typing import Any, Protocol

from pydicom.charset import convert_encodings, encode_string
from pydicom.valuerep import PersonName, format_number_as_ds

from dicouch.dicom.errors import DicomError
from dicouch.dicom.json_model import Attribute, JsonDataset
from dicouch.dicom.part10.attributes import BINARY_VRS
from dicouch.dicom.part10.charset import DEFAULT, decode, encodings_of
from dicouch.dicom.part10.dictionary import ENCODED_VRS, dictionary_vr, label
from dicouch.dicom.part10.model import MAX_DEPTH
from dicouch.dicom.part10.walk import ITEM, ITEM_END, SEQUENCE_END, UNDEFINED

IMPLEMENTATION_CLASS_UID = "2.25.163826183549371530872291174236047128641"
IMPLEMENTATION_VERSION_NAME = "DICOUCH"
UTF8 = "ISO_IR 192"
CHARACTER_SET = "00080005"

_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_TEXT = frozenset(
    ("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT")
)
# PS3.5 6.1.2.3: where Specific Character Set counts.
_CODED = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))
_SINGLE = frozenset(("LT", "ST", "UR", "UT"))
_INTEGERS = {"SL": "i", "SS": "h", "SV": "q", "UL": "I", "US": "H", "UV": "Q"}
_FLOATS = {"FD": "d", "FL": "f"}
_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_KINDS = ("Value", "InlineBinary", "BulkDataURI", "Stream")
_LONGEST = 0xFFFFFFFE
_LONGEST_SHORT = 0xFFFE


class Unencodable(DicomError):
    """A data set is no DICOM JSON, or has a value that its VR cannot hold."""


class NotInCharacterSet(Unencodable):
    """A text has characters that the character set of the file does not have."""


@dataclass(frozen=True)
class Encoding:
    """How a data set is encoded.

    Attributes
    ----------
    terms : list of str
        Specific Character Set (0008,0005).
    replace : bool
        A character that the character set lacks becomes ``?``, instead of an error.
    forgiving : bool
        A value that its VR cannot hold is left empty, instead of an error, and bulk data are left out.
    """

    explicit: bool = True
    little: bool = True
    terms: list[str] = field(default_factory=lambda: [UTF8])
    replace: bool = False
    forgiving: bool = False

    @property
    def order(self) -> str:
        """Byte order, as `struct` writes it."""
        return "<" if self.little else ">"


@dataclass(frozen=True)
class Stream:
    """A value too long for memory.

    Attributes
    ----------
    length : int or None
        Bytes; None for encapsulated pixel data, whose length is undefined (PS3.5 A.4).
    pieces : callable
        Yields the bytes; each call starts at the first.
    """

    length: int | None
    pieces: Callable[[], Iterable[bytes]]


class Writable(Protocol):
    """A file, as far as the encoder needs it."""

    def write(self, data: bytes, /) -> object: ...


Resolve = Callable[[int, str], Stream]
"""From tag and ``BulkDataURI`` to the value."""


def encode_element(tag: int, attribute: Attribute, encoding: Encoding) -> bytes:
    """Return the bytes of an element.

    Raises
    ------
    NotInCharacterSet
        A text does not fit the character set.
    Unencodable
        A value does not fit its VR, unless the encoding is forgiving.
    """
    target = BytesIO()
    _write_element(tag, attribute, target, encoding, None, 0)
    return target.getvalue()


def file_header(sop_class: str, sop_instance: str, syntax: str, others: Mapping[int, bytes] | None = None) -> bytes:
    """Return preamble, prefix and File Meta Information (PS3.10 7.1).

    `others` are further elements of group 0002 as they are encoded, by tag; without any, it is this server that wrote.
    """
    made = {
        0x00020001: wrap(0x00020001, "OB", b"\0\1", Encoding()),
        **{
            tag: encode_element(tag, {"vr": "UI", "Value": [uid]}, Encoding())
            for tag, uid in ((0x00020002, sop_class), (0x00020003, sop_instance), (0x00020010, syntax))
        },
    }
    if not others:
        made[0x00020012] = encode_element(0x00020012, {"vr": "UI", "Value": [IMPLEMENTATION_CLASS_UID]}, Encoding())
        made[0x00020013] = encode_element(0x00020013, {"vr": "SH", "Value": [IMPLEMENTATION_VERSION_NAME]}, Encoding())
    made = {**(others or {}), **made}
    group = b"".join(made[tag] for tag in sorted(made))
    return bytes(128) + b"DICM" + wrap(0x00020000, "UL", pack("<I", len(group)), Encoding()) + group


def encode_item(dataset: JsonDataset, encoding: Encoding) -> bytes:
    """Return the bytes of a sequence item of defined length (PS3.5 7.5)."""
    target = BytesIO()
    write_dataset(dataset, target, encoding, depth=1)
    return wrap_item(target.getvalue(), encoding)


def wrap_item(content: bytes, encoding: Encoding) -> bytes:
    """Return a sequence item around encoded elements."""
    return _mark(ITEM, len(content), encoding) + content


def wrap(tag: int, vr: str, value: bytes, encoding: Encoding) -> bytes:
    """Return an element around an encoded value, whose length is even."""
    return _header(tag, vr, len(value), encoding) + value


def write_dataset(
    dataset: JsonDataset, target: Writable, encoding: Encoding, resolve: Resolve | None = None, depth: int = 0
) -> None:
    """Write a data set, in ascending order of tags.

    Group lengths are left out, and so is Specific Character Set inside items: all text is in the one character set of
    the data set. An element may have a `Stream` in place of ``Value``, ``InlineBinary`` or ``BulkDataURI``.

    Raises
    ------
    Unencodable
        When the data set is not one, naming the attribute.
    """
    if depth > MAX_DEPTH:
        raise Unencodable(f"sequences are nested more than {MAX_DEPTH} deep")
    if not isinstance(dataset, dict):
        raise Unencodable(f"a data set is {_json_type(dataset)}, not an object")
    for name in sorted(dataset, key=str.upper):
        if not _TAG.fullmatch(name):
            raise Unencodable(f"{name[:40]!r} is not a tag of eight hexadecimal digits")
        tag = int(name, 16)
        if tag & 0xFFFF == 0 or (depth and name == CHARACTER_SET):
            continue
        if tag < 0x00020000 or tag >> 16 in (0xFFFE, 0xFFFF):
            raise Unencodable(f"{label(tag)} cannot stand in a data set")
        _write_element(tag, dataset[name], target, encoding, resolve, depth)


def _write_element(
    tag: int, attribute: Attribute, target: Writable, encoding: Encoding, resolve: Resolve | None, depth: int
) -> None:
    vr = _vr_of(tag, attribute, encoding.forgiving)
    kind, content = _content(tag, attribute)
    if kind == "BulkDataURI":
        if resolve is None:
            if encoding.forgiving:
                return
            raise Unencodable(f"{label(tag)} cannot be bulk data")
        if vr == "SQ":
            raise Unencodable(f"{label(tag)} is a sequence, which cannot be bulk data")
        if not isinstance(content, str):
            raise Unencodable(f"{label(tag)} has a BulkDataURI that is no string")
        content = resolve(tag, content)
    if isinstance(content, Stream):
        _write_stream(tag, vr, content, target, encoding)
    elif kind == "Value" and vr == "SQ":
        target.write(_header(tag, vr, UNDEFINED, encoding))
        for item in content:
            target.write(_mark(ITEM, UNDEFINED, encoding))
            write_dataset({} if item is None else item, target, encoding, resolve, depth + 1)
            target.write(_mark(ITEM_END, 0, encoding))
        target.write(_mark(SEQUENCE_END, 0, encoding))
    else:
        try:
            value = inline_binary(tag, vr, content) if kind == "InlineBinary" else _encode(tag, vr, content, encoding)
        except NotInCharacterSet:
            raise
        except Unencodable:
            if not encoding.forgiving:
                raise
            value = b""  # no value is better than a wrong one
        if len(value) % 2:
            value += _padding(vr)
        target.write(wrap(tag, vr, value, encoding))


def _vr_of(tag: int, attribute: Attribute, forgiving: bool) -> str:
    """Return the VR of an attribute: one that there is, and that the data dictionary (PS3.6) allows."""
    if not isinstance(attribute, dict):
        raise Unencodable(f"{label(tag)} is {_json_type(attribute)}, not an object")
    vr = attribute.get("vr")
    if not isinstance(vr, str) or vr.encode("utf-8", "replace") not in ENCODED_VRS:
        if forgiving:
            return "UN"
        raise Unencodable(f"{label(tag)} has {'no vr' if vr is None else f'the vr {str(vr)[:20]!r}, which is none'}")
    expected = None if forgiving else dictionary_vr(tag)
    if expected and vr != "UN" and vr not in expected.split(" or ") and not (vr in BINARY_VRS and "O" in expected):
        raise Unencodable(f"{label(tag)} has the vr {vr}, not {expected}")
    return vr


def _content(tag: int, attribute: Attribute) -> tuple[str, Any]:
    """Return what an attribute has of ``Value``, ``InlineBinary``, ``BulkDataURI`` and ``Stream``, with its name."""
    kinds = [kind for kind in _KINDS if attribute.get(kind) is not None]
    if len(kinds) > 1:
        raise Unencodable(f"{label(tag)} has both {kinds[0]} and {kinds[1]}")
    kind = kinds[0] if kinds else "Value"
    content = attribute.get(kind)
    if kind == "Value":
        content = content or []
        if not isinstance(content, list):
            raise Unencodable(f"{label(tag)} has a Value that is no array")
    return kind, content


def inline_binary(tag: int, vr: str, content: Any) -> bytes:  # noqa: ANN401 - as a client wrote it
    """Return the bytes of an ``InlineBinary`` (PS3.18 F.2.7)."""
    if vr not in BINARY_VRS:
        raise Unencodable(f"{label(tag)} has InlineBinary, which {vr} cannot have")
    if isinstance(content, list) and len(content) == 1:  # as an example of the standard once had it
        content = content[0]
    try:
        return b64decode(content, validate=True)
    except (Base64Error, TypeError, ValueError) as problem:
        raise Unencodable(f"{label(tag)} has an InlineBinary that is not base64") from problem


def _encode(tag: int, vr: str, values: list[Any], encoding: Encoding) -> bytes:
    """Return the bytes of a value (PS3.5 6.2), not padded; `values` as in PS3.18 F.2.3 to F.2.6."""
    order = encoding.order
    try:
        if vr in _TEXT:
            if vr in _SINGLE and len(values) > 1:
                raise Unencodable(f"{label(tag)} has {len(values)} values, {vr} can have one")
            text = "\\".join(_person_name(value) if vr == "PN" else _string(vr, value) for value in values)
            return _encode_text(text, vr, encoding)
        if vr in _INTEGERS:
            return pack(f"{order}{len(values)}{_INTEGERS[vr]}", *map(_integer, values))
        if vr in _FLOATS:
            return pack(f"{order}{len(values)}{_FLOATS[vr]}", *map(_float, values))
        if vr == "AT":
            numbers = [_attribute_tag(value) for value in values]
            return b"".join(pack(f"{order}HH", number >> 16, number & 0xFFFF) for number in numbers)
    except Unencodable:
        raise
    except (TypeError, ValueError, OverflowError, struct.error) as problem:
        raise Unencodable(f"{label(tag)} has a value that is no {vr}: {problem}") from problem
    if values:
        raise Unencodable(f"{label(tag)} has Value, which {vr} cannot have")
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
    text = repr(value).removesuffix(".0")
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


def _encode_text(text: str, vr: str, encoding: Encoding) -> bytes:
    """Return text in the character set of a data set (PS3.5 6.1.2.3, PS3.3 C.12.1.1.2)."""
    if text.isascii() or vr not in _CODED:
        return text.encode("utf-8")
    codecs = encodings_of(encoding.terms)[0]
    raw = text.encode("utf-8") if codecs == ["utf-8"] else _in_character_set(text, vr, codecs, encoding.terms)
    if raw is not None:
        return raw
    if encoding.replace:
        return text.encode(codecs[0], "replace")
    raise NotInCharacterSet(f"{text[:64]!r} is not in the character set {encoding.terms or ['ISO_IR 6']}")


def _in_character_set(text: str, vr: str, codecs: list[str], terms: list[str]) -> bytes | None:
    """Return the bytes that read back as `text`, None if there are none."""
    try:
        if len(codecs) == 1:
            return None if codecs[0] == DEFAULT else text.encode(codecs[0])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            known = convert_encodings(list(terms))
            if vr == "PN":
                raw = b"\\".join(PersonName(name).encode(known) for name in text.split("\\"))
            else:
                raw = encode_string(text, known)
    except (UnicodeError, LookupError, ValueError):
        return None
    return raw if decode(raw, codecs) == (text, None) else None


def _json_type(value: object) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _mark(tag: int, length: int, encoding: Encoding) -> bytes:
    """Return the header of an item, or a delimiter (PS3.5 7.5)."""
    return pack(f"{encoding.order}HHI", tag >> 16, tag & 0xFFFF, length)


def _header(tag: int, vr: str, length: int, encoding: Encoding) -> bytes:
    if not encoding.explicit:
        return _mark(tag, length, encoding)
    known, wide = ENCODED_VRS.get(vr.encode("ascii", "replace"), ("UN", True))
    if not wide and length > _LONGEST_SHORT:
        known, wide = "UN", True  # PS3.5 6.2.2, note 4
    if wide:
        return pack(f"{encoding.order}HH2sHI", tag >> 16, tag & 0xFFFF, known.encode(), 0, length)
    return pack(f"{encoding.order}HH2sH", tag >> 16, tag & 0xFFFF, known.encode(), length)


def _padding(vr: str) -> bytes:
    return b" " if vr in _TEXT and vr != "UI" else b"\0"


def _write_stream(tag: int, vr: str, stream: Stream, target: Writable, encoding: Encoding) -> None:
    if stream.length is None:
        target.write(_header(tag, vr, UNDEFINED, encoding))
        for piece in stream.pieces():
            target.write(piece)
        target.write(_mark(SEQUENCE_END, 0, encoding))
        return
    length = stream.length + stream.length % 2
    if length > _LONGEST:
        raise Unencodable(f"{label(tag)} has {stream.length} bytes, more than a value can have")
    target.write(_header(tag, vr, length, encoding))
    for piece in stream.pieces():
        target.write(piece)
    if length > stream.length:
        target.write(_padding(vr))
