"""Decoding of text by Specific Character Set (0008,0005): PS3.3 C.12.1.1.2, PS3.5 6.1.2."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydicom.charset import CODES_TO_ENCODINGS, ENCODINGS_TO_CODES, python_encoding

DEFAULT = "ascii"  # the Default Character Repertoire (ISO-IR 6), PS3.5 6.1.2.1
_ESCAPE = b"\x1b"
_FRAGMENTS = re.compile(rb"^[^\x1b]+|\x1b[^\x1b]*")
# PS3.5 6.1.2.5.3: control characters, and "\\", "^" and "=" of names, switch back to the first character set.
_RESET = re.compile(rb"[\t\n\f\r\\^=]")
# Python's codecs of these take the escape sequences themselves.
_WITH_ESCAPES = ("iso2022_jp", "iso2022_jp_2")
_ESCAPED_LENGTH = {b"\x1b$(": 4, b"\x1b$)": 4}
# Latin alphabet No. 9 (PS3.3 Tables C.12-2 and C.12-3) is not in pydicom 3.0, which also writes what is corrected.
for _term in ("ISO_IR 203", "ISO 2022 IR 203"):
    python_encoding.setdefault(_term, "iso8859_15")
CODES_TO_ENCODINGS.setdefault(b"\x1b-b", "iso8859_15")
ENCODINGS_TO_CODES.setdefault("iso8859_15", b"\x1b-b")
_ALIASES = {"".join(c for c in term if c.isalnum()).upper(): python for term, python in python_encoding.items()}
_ALIASES.update({"": DEFAULT, "ISOIR6": DEFAULT, "ISO2022IR6": DEFAULT, "ASCII": DEFAULT, "UTF8": "utf-8"})
# Some writers put "ISO_IR" where "ISO 2022 IR" is due, and the other way round.
_ALIASES.update({key.replace("ISOIR", "ISO2022IR"): python for key, python in list(_ALIASES.items())})
_ALIASES.update({key.replace("ISO2022IR", "ISOIR"): python for key, python in list(_ALIASES.items())})


def encodings_of(terms: Sequence[str | None]) -> tuple[list[str], list[str]]:
    """Return Python codecs, at least one, for terms of (0008,0005), and the terms that the standard does not define."""
    encodings, unknown = [], []
    for term in terms:
        python = _ALIASES.get("".join(c for c in term or "" if c.isalnum()).upper())
        if python is None:
            unknown.append(term or "")
        else:
            encodings.append(python)
    return encodings or [DEFAULT], unknown


def decode(raw: bytes, encodings: list[str]) -> tuple[str, str | None]:
    """Decode text that is not plain ASCII; return it, and what was wrong with the bytes, if anything.

    Nothing is lost when the bytes do not fit the declared character sets: UTF-8 is tried, then Latin-1, which maps each
    byte to one character.
    """
    try:
        if _ESCAPE not in raw:
            return raw.decode(encodings[0]), None
        return "".join(_decode_fragment(part, encodings) for part in _FRAGMENTS.findall(raw)), None
    except (UnicodeDecodeError, LookupError):
        pass
    try:
        return raw.decode("utf-8"), "is not in the declared character set; read as UTF-8"
    except UnicodeDecodeError:
        return raw.decode("latin-1"), "is not in the declared character set; read as Latin-1"


def _decode_fragment(part: bytes, encodings: list[str]) -> str:
    """Decode a run of text that begins with at most one escape sequence (PS3.3 Tables C.12-3 and C.12-4)."""
    if not part.startswith(_ESCAPE):
        return part.decode(encodings[0])
    skip = _ESCAPED_LENGTH.get(part[:3], 3)
    encoding = CODES_TO_ENCODINGS.get(part[:skip])
    if encoding is None:
        raise UnicodeDecodeError(encodings[0], part, 0, skip, "unknown escape sequence")
    if encoding in _WITH_ESCAPES:
        return part.decode(encoding)
    part = part[skip:]
    reset = _RESET.search(part)
    if not reset:
        return part.decode(encoding)
    head, tail = part[: reset.start()].decode(encoding), part[reset.start() :]
    try:
        return head + tail.decode(encodings[0])
    except UnicodeDecodeError:
        # Some writers do not repeat the escape sequence after a delimiter.
        return head + tail.decode(encoding)
