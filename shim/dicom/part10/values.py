"""Values of a data element, from the bytes of the file to DICOM JSON (PS3.18 F.2.3 to F.2.5).

Every converter takes the raw value and a `Coding`, and returns the list for ``Value`` (an empty value within several
is None), or None when the bytes do not fit the VR. It leaves a short reason in ``coding.problem`` when the standard is
broken.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from struct import unpack
from typing import Any

from dicouch.dicom.json_model import Attribute
from dicouch.dicom.part10.charset import decode

MAX_SAFE_INTEGER = 2**53 - 1
"""Integers beyond it are strings (PS3.18 F.2.3, note): JSON readers keep numbers as IEEE 754 doubles."""

_INTEGER = re.compile(r"[+-]?[0-9]+")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_DECIMAL_BYTES = b"0123456789+-.eE\\ "


class Coding:
    """How a data set is encoded; the last `problem` of a converter; what was converted, by VR and raw value."""

    __slots__ = ("cache", "encodings", "explicit", "little", "order", "problem")

    def __init__(self, explicit: bool, little: bool, encodings: list[str]) -> None:
        self.explicit = explicit
        self.little = little
        self.order = "<" if little else ">"
        self.encodings = encodings
        self.problem: str | None = None
        self.cache: dict[tuple[str, bytes], Attribute] = {}

    def text(self, raw: bytes) -> str:
        """Decode a value in the data set's character sets."""
        if raw.isascii() and b"\x1b" not in raw:
            return raw.decode("ascii")
        text, problem = decode(raw, self.encodings)
        if problem:
            self.problem = problem
        return text

    def plain(self, raw: bytes) -> str:
        """Decode a value that the standard limits to the default repertoire."""
        if raw.isascii():
            return raw.decode("ascii")
        self.problem = "has characters that its VR does not allow"
        return decode(raw, self.encodings)[0]


def _values(text: str, both_ends: bool = False) -> list[str | None]:
    """Split a value at backslashes, without the padding of each part."""
    if "\\" not in text:
        text = text.strip(" \0") if both_ends else text.rstrip(" \0")
        return [text] if text else []
    if both_ends:
        return [part.strip(" \0") or None for part in text.split("\\")]
    return [part.rstrip(" \0") or None for part in text.split("\\")]


def _stripped(raw: bytes, coding: Coding) -> list[str | None]:
    return _values(coding.plain(raw), both_ends=True)


def _single(text: str) -> list[str]:
    text = text.rstrip(" \0")
    return [text] if text else []


def _person_name(raw: bytes, coding: Coding) -> list[dict[str, str] | None]:
    """PS3.18 F.2.2: component groups by name, the empty ones left out."""
    names = []
    for name in _values(coding.text(raw)):
        groups = [group.strip(" \0") for group in (name or "").split("=", 2)]
        if len(groups) > 2 and "=" in groups[2]:
            coding.problem = "has more than three component groups"
        named = zip(("Alphabetic", "Ideographic", "Phonetic"), groups, strict=False)
        names.append({key: group for key, group in named if group} or None)
    return [] if names == [None] else names


def _integer_string(raw: bytes, coding: Coding) -> list[int | str | None]:
    numbers: list[int | str | None] = []
    for value in _stripped(raw, coding):
        if value is None:
            numbers.append(None)
        elif _INTEGER.fullmatch(value) and len(value) < 20:
            numbers.append(_safe(int(value)))
        else:
            coding.problem = "is not an integer string"
            numbers.append(value)
    return numbers


def _decimal_string(raw: bytes, coding: Coding) -> list[Any]:
    if not raw.translate(None, _DECIMAL_BYTES):
        try:
            numbers = [float(value) for value in raw.split(b"\\")]
        except ValueError:
            pass
        else:
            if math.inf not in numbers and -math.inf not in numbers:
                return numbers
    found: list[float | str | None] = []
    for value in _stripped(raw, coding):
        number = float(value) if value is not None and _DECIMAL.fullmatch(value) else math.inf
        if value is not None and math.isinf(number):
            coding.problem = "is not a decimal string"
        found.append(value if math.isinf(number) else number)
    return found


def _attribute_tag(raw: bytes, coding: Coding) -> list[str] | None:
    if len(raw) % 4:
        return None
    numbers = unpack(f"{coding.order}{len(raw) // 2}H", raw)
    return [f"{group:04X}{element:04X}" for group, element in zip(numbers[::2], numbers[1::2], strict=True)]


def _safe(number: int) -> int | str:
    return number if -MAX_SAFE_INTEGER <= number <= MAX_SAFE_INTEGER else str(number)


def _integers(code: str, width: int) -> Callable[[bytes, Coding], list[Any] | None]:
    def convert(raw: bytes, coding: Coding) -> list[int] | None:
        count, rest = divmod(len(raw), width)
        return None if rest else list(unpack(f"{coding.order}{count}{code}", raw))

    def convert_wide(raw: bytes, coding: Coding) -> list[int | str] | None:
        numbers = convert(raw, coding)
        return None if numbers is None else [_safe(number) for number in numbers]

    return convert_wide if width == 8 else convert


def _floats(code: str, width: int) -> Callable[[bytes, Coding], list[Any] | None]:
    def convert(raw: bytes, coding: Coding) -> list[float | str] | None:
        count, rest = divmod(len(raw), width)
        if rest:
            return None
        numbers = list(unpack(f"{coding.order}{count}{code}", raw))
        if not all(map(math.isfinite, numbers)):
            # JSON has no such numbers and PS3.18 F no rule: the words that ECMAScript's ``Number()`` reads back.
            return [number if math.isfinite(number) else json.dumps(number) for number in numbers]
        return numbers

    return convert


CONVERTERS: dict[str, Callable[[bytes, Coding], list[Any] | None]] = {
    **dict.fromkeys(("AS", "DA", "DT", "TM", "UI"), lambda raw, coding: _values(coding.plain(raw))),
    **dict.fromkeys(("AE", "CS"), _stripped),
    **dict.fromkeys(("LO", "SH", "UC"), lambda raw, coding: _values(coding.text(raw))),
    **dict.fromkeys(("LT", "ST", "UT"), lambda raw, coding: _single(coding.text(raw))),
    "AT": _attribute_tag,
    "DS": _decimal_string,
    "FD": _floats("d", 8),
    "FL": _floats("f", 4),
    "IS": _integer_string,
    "PN": _person_name,
    "SL": _integers("i", 4),
    "SS": _integers("h", 2),
    "SV": _integers("q", 8),
    "UL": _integers("I", 4),
    "UR": lambda raw, coding: _single(coding.plain(raw)),
    "US": _integers("H", 2),
    "UV": _integers("Q", 8),
}
"""One converter for each VR that has ``Value`` and is no sequence; all others are binary."""
