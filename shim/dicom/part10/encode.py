"""Elements of the DICOM JSON Model as bytes of a file (PS3.5 7.1): the opposite of `dicouch.dicom.part10.values`.

pydicom's writer refuses values that break their VR. Here they are what instances brought, and go out as they came in.
"""

import struct
import warnings
from base64 import b64decode
from dataclasses import dataclass, field
from struct import pack

from pydicom.charset import convert_encodings, encode_string
from pydicom.valuerep import PersonName, format_number_as_ds

from dicouch.dicom.part10.charset import DEFAULT, decode, encodings_of
from dicouch.dicom.part10.dictionary import ENCODED_VRS

_NUMBERS = {"FD": "d", "FL": "f", "SL": "i", "SS": "h", "SV": "q", "UL": "I", "US": "H", "UV": "Q"}
_TEXT_VRS = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))
_SHORT_LIMIT = 0xFFFE


class Unencodable(ValueError):
    """A text has characters that the character set of the file does not have."""


@dataclass
class Encoding:
    """How a data set is encoded.

    Attributes
    ----------
    explicit, little : bool
        Explicit VR; little endian.
    terms : list of str
        Specific Character Set (0008,0005).
    strict : bool
        Raise `Unencodable` where the character set lacks a character; otherwise it becomes ``?``.
    """

    explicit: bool
    little: bool
    terms: list[str] = field(default_factory=list)
    strict: bool = True

    @property
    def order(self) -> str:
        """Byte order, as `struct` writes it."""
        return "<" if self.little else ">"


def encode_element(tag: int, attribute: dict, encoding: Encoding) -> bytes:
    """Return the bytes of an element.

    Parameters
    ----------
    tag : int
    attribute : dict
        DICOM JSON Model, without ``BulkDataURI``.
    encoding : Encoding

    Raises
    ------
    Unencodable
        A text does not fit the character set.
    """
    vr = attribute["vr"]
    if vr == "SQ":
        items = [encode_item(item or {}, encoding) for item in attribute.get("Value", [])]
        return wrap(tag, "SQ", b"".join(items), encoding)
    return wrap(tag, vr, encode_value(attribute, encoding), encoding)


def encode_item(dataset: dict, encoding: Encoding) -> bytes:
    """Return the bytes of a sequence item of defined length (PS3.5 7.5)."""
    elements = sorted((int(tag, 16), attribute) for tag, attribute in dataset.items() if "BulkDataURI" not in attribute)
    return wrap_item(b"".join(encode_element(tag, attribute, encoding) for tag, attribute in elements), encoding)


def wrap_item(content: bytes, encoding: Encoding) -> bytes:
    """Return a sequence item around encoded elements."""
    return pack(f"{encoding.order}HHI", 0xFFFE, 0xE000, len(content)) + content


def wrap(tag: int, vr: str, value: bytes, encoding: Encoding) -> bytes:
    """Return an element around an encoded value, whose length is even."""
    head = (tag >> 16, tag & 0xFFFF)
    if not encoding.explicit:
        return pack(f"{encoding.order}HHI", *head, len(value)) + value
    known, wide = ENCODED_VRS.get(vr.encode("ascii", "replace"), ("UN", True))
    if not wide and len(value) > _SHORT_LIMIT:
        known, wide = "UN", True  # PS3.5 6.2.2, note 4
    if wide:
        return pack(f"{encoding.order}HH2sHI", *head, known.encode(), 0, len(value)) + value
    return pack(f"{encoding.order}HH2sH", *head, known.encode(), len(value)) + value


def encode_value(attribute: dict, encoding: Encoding) -> bytes:
    """Return the bytes of a value, padded to an even length (PS3.5 6.2)."""
    vr = attribute["vr"]
    if "InlineBinary" in attribute:
        raw = b64decode(attribute["InlineBinary"])
        return raw + b"\0" * (len(raw) % 2)
    values = attribute.get("Value") or []
    try:
        if vr in _NUMBERS:
            return b"".join(pack(encoding.order + _NUMBERS[vr], _number(value, vr)) for value in values)
        if vr == "AT":
            return b"".join(pack(f"{encoding.order}HH", int(value[:4], 16), int(value[4:8], 16)) for value in values)
    except (struct.error, TypeError, ValueError):
        return b""  # not a number after all: no value is better than a wrong one
    text = "\\".join(_text(value, vr) for value in values)
    raw = encode_text(text, vr, encoding) if vr in _TEXT_VRS else text.encode("utf-8")
    return raw + (b"\0" if vr == "UI" else b" ") * (len(raw) % 2)


def _number(value: object, vr: str) -> int | float:
    return float(value) if vr in ("FD", "FL") else int(value)


def _text(value: object, vr: str) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        groups = [str(value.get(name) or "") for name in ("Alphabetic", "Ideographic", "Phonetic")]
        return "=".join(groups).rstrip("=")
    if vr == "DS" and isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else format_number_as_ds(value)
    return str(value)


def encode_text(text: str, vr: str, encoding: Encoding) -> bytes:
    """Return text in the character set of a data set (PS3.5 6.1.2.3, PS3.3 C.12.1.1.2)."""
    if text.isascii():
        return text.encode("ascii")
    codecs = encodings_of(encoding.terms)[0]
    raw = _encode(text, vr, codecs, encoding.terms)
    if raw is None:
        if encoding.strict:
            raise Unencodable(f"{text[:64]!r} is not in the character set {encoding.terms or ['ISO_IR 6']}")
        return text.encode(codecs[0], "replace")
    return raw


def _encode(text: str, vr: str, codecs: list[str], terms: list[str]) -> bytes | None:
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
