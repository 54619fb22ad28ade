"""Values of matching keys: splitting them, and refusing what a VR cannot have (PS3.4 C.2.2.2, PS3.5 6.2)."""

from __future__ import annotations

import calendar
import re

from pydicom.datadict import dictionary_VR

from dicouch.errors import DicomWebError
from dicouch.tables import read_table

UNKNOWN = "UN"
BINARY = frozenset({"OB", "OD", "OF", "OL", "OV", "OW"})
_VRS = read_table("vrs")
NUMERIC, SINGLE = frozenset(_VRS["numeric"]), frozenset(_VRS["single"])
# Several values of these must all be found when the client asks for that (PS3.4 C.2.2.2.8).
MULTIPLE = frozenset({"AE", "AS", "AT", "CS", "LO", "PN", "SH", "UC"})
MOST_VALUES = 100
MOST_UIDS = 10_000

# As lib/match/temporal.js reads them.
_GRAMMAR = read_table("temporal")
ONE = {"DA": _GRAMMAR["DA"], "TM": _GRAMMAR["TM"], "DT": f"{_GRAMMAR['DT']}(?:{_GRAMMAR['offset']})?"}
TEMPORAL = {vr: re.compile(rf"({one})|({one})?-({one})?", re.ASCII) for vr, one in ONE.items()}
KIND = {"DA": "a date YYYYMMDD", "TM": "a time HHMMSS.FFFFFF", "DT": "a date-time YYYYMMDDHHMMSS.FFFFFF&ZZXX"}
# PS3.5 9.1 has digits and dots; letters, hyphens and underscores come in real files.
UID = re.compile(r"[0-9A-Za-z._-]{1,64}")
# What lists of values are parted by, besides the backslash: neither VR has a comma in a value (PS3.5 6.2).
COMMAS = frozenset({"CS", "UI"})
NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
TAG = re.compile(r"[0-9A-Fa-f]{8}")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def known_vr(tag: str) -> str:
    """Return the VR of a tag from the data dictionary (PS3.6).

    It is ``UN`` where the stored VR decides: private attributes, unknown ones and those that may have one of several.
    """
    try:
        vr = dictionary_VR(int(tag, 16))
    except KeyError:
        return UNKNOWN
    several = vr.split(" or ")
    return several[0] if len(several) == 1 or BINARY.issuperset(several) else UNKNOWN


def split_values(vr: str, text: str) -> list[str]:
    """Split a parameter's value into the values any of which may match (PS3.4 C.2.2.2.2, PS3.18 8.3.4.1).

    Padding alone is a value without length, and so are the delimiters of a name alone (PS3.5 6.2.1): such a parameter
    is universal (PS3.4 C.2.2.2.3), while in a list they are no value: ``1.2,`` is the UID 1.2 and not every one.
    """
    values = re.split(r"[,\\]", text) if vr in COMMAS else [text] if vr in SINGLE else text.split("\\")
    nothing = " ^=" if vr == "PN" else " "
    return [value.strip() if vr == "UI" else value for value in values if value.strip(nothing)] or [""]


def is_universal(value: str) -> bool:
    """Return whether a value matches whatever there is (PS3.4 C.2.2.2.3)."""
    return value.strip("*") == ""


def is_wild(value: str) -> bool:
    """Return whether `value` holds a wild card (PS3.4 C.2.2.2.4)."""
    return "*" in value or "?" in value


def check(name: str, vr: str, values: list[str]) -> None:
    """Refuse values that their VR cannot have: DicomWebError 400, naming the parameter and the value."""
    most = MOST_UIDS if vr == "UI" else MOST_VALUES
    if len(values) > most:
        raise DicomWebError(400, f"{name}: {len(values)} values are more than the {most} that are read")
    for value in values:
        if problem := _problem(vr, value):
            shown = value if len(value) <= 80 else value[:77] + "..."
            raise DicomWebError(400, f"{name}: {shown!r} {problem}")


def _problem(vr: str, value: str) -> str | None:
    if is_universal(value):
        return None
    if CONTROL.search(value):
        return "holds control characters"
    text = value.strip(" ")
    if vr in TEMPORAL:
        match = TEMPORAL[vr].fullmatch(text)
        if not match or text == "-" or not all(_exists(vr, one) for one in match.groups() if one):
            return f"is not {KIND[vr]} or a range of two"
    if vr == "UI" and not UID.fullmatch(text):
        return "is not a UID"
    if vr in NUMERIC and not (NUMBER.fullmatch(text) and len(text) <= 32):
        return "is not a number"
    if vr == "AT" and not TAG.fullmatch(text):
        return "is not a tag of eight hexadecimal digits"
    return None


def _exists(vr: str, text: str) -> bool:
    """Return whether the calendar and the clock have such a date or time."""
    digits = re.sub(r"[.:]", "", text) if vr == "DA" else re.split(r"[.+-]", text.replace(":", ""))[0]
    date, time = (digits, "") if vr == "DA" else ("", digits) if vr == "TM" else (digits[:8], digits[8:])
    if date:
        year, month, day = int(date[:4]), int(date[4:6] or 1), int(date[6:8] or 1)
        if not (year >= 1 and 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]):
            return False
    hour, minute, second = (int(time[at : at + 2] or 0) for at in (0, 2, 4))
    return hour <= 23 and minute <= 59 and second <= 60


def same_form(dates: str, times: str) -> bool:
    """Return whether a date key and a time key are ranges that are open at the same end (PS3.4 C.2.2.2.5.4)."""
    first, second = dates.strip().partition("-"), times.strip().partition("-")
    return bool(first[1] and second[1]) and all(bool(first[end]) == bool(second[end]) for end in (0, 2))
