"""Data sets as a chronicle has them -> the DICOM JSON Model (PS3.18 F.2). Pure functions.

Both generations write ``{"GGGGEEEE": {"vr": …, "Value": …}}``. SlicerChronicle's ``Value`` is bare where there is one
value, all texts where there are several, and the printed form of a Python list for DS and AT; binary values are left
out. dicomweb-server's is always an array, as dcmjs reads it: what is binary has become an empty object.
"""

from __future__ import annotations

import base64
import json
import math
import re

from pydicom.datadict import dictionary_VR
from pydicom.valuerep import VR

from dicouch.dicom.json_model import Attribute, JsonDataset
from dicouch.dicom.part10.values import CONVERTERS, MAX_SAFE_INTEGER, Coding

MAX_DEPTH = 64
STUDY_UID, SERIES_UID, SOP_UID, SOP_CLASS = "0020000D", "0020000E", "00080018", "00080016"
UIDS = (STUDY_UID, SERIES_UID, SOP_UID)
CHARACTERS = "00080005"
# What stands for values that SlicerChronicle did not keep.
OMITTED = ("Binary Omitted", "Not encodable")

BINARY = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "UN"))
FLOATS = frozenset(("FD", "FL"))
NUMBERS = FLOATS | {"SL", "SS", "SV", "UL", "US", "UV"}
_VRS = frozenset(str(one) for one in VR if len(one) == 2)
_TAG = re.compile(r"[0-9A-F]{8}")
_PAIR = re.compile(r"([0-9A-Fa-f]{4})\s*,\s*([0-9A-Fa-f]{4})")
_PRINTED = re.compile(r"\[(.*)\]", re.DOTALL)
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


class _LeftOut(Exception):
    """The source did not keep the value."""


def dataset_of(source: object) -> tuple[JsonDataset, list[str]]:
    """Return the data set of a document in the DICOM JSON Model.

    Parameters
    ----------
    source : object
        What the document has as its ``dataset``.

    Returns
    -------
    tuple of (dict, list of str)
        The data set, and the tags of attributes whose values the source did not keep: they are not in it, as an
        attribute without a value would say that it is empty (PS3.18 F.2.5). Those of items come after that of their
        sequence, with a dot between them.
    """
    left_out: list[str] = []
    dataset = _dataset(source, left_out, "", 0)
    if CHARACTERS in dataset:
        dataset[CHARACTERS] = {"vr": "CS", "Value": ["ISO_IR 192"]}  # the texts of JSON are UTF-8 (PS3.18 F.2)
    return dataset, left_out


def _dataset(source: object, left_out: list[str], above: str, depth: int) -> JsonDataset:
    dataset: JsonDataset = {}
    for name, element in sorted(source.items()) if isinstance(source, dict) else ():
        tag = str(name).upper()
        # Neither file meta information nor group lengths are in the model (PS3.18 F.2.2).
        if not _TAG.fullmatch(tag) or tag[:4] in ("0000", "0002") or tag[4:] == "0000":
            continue
        try:
            dataset[tag] = _attribute(tag, element, left_out, above, depth)
        except _LeftOut:
            left_out.append(above + tag)
    return dataset


def _attribute(tag: str, element: object, left_out: list[str], above: str, depth: int) -> Attribute:
    if not isinstance(element, dict):
        raise _LeftOut
    values = _values(element.get("Value"))
    if any(isinstance(value, str) and value in OMITTED for value in values) or "BulkDataURI" in element:
        raise _LeftOut
    vr = _vr(tag, str(element.get("vr", "")), values)
    if vr == "SQ":
        if depth == MAX_DEPTH:
            raise _LeftOut
        items = [_dataset(value, left_out, f"{above}{tag}.", depth + 1) for value in values if isinstance(value, dict)]
        return _made(vr, items)
    if vr in BINARY:
        return _binary(vr, element, values)
    values = _apart(vr, values)
    if vr == "AT":
        found: list | None = [_read_tag(value) for value in values]
    elif vr in NUMBERS:
        found = [_read_number(vr, value) for value in values]
    else:
        found = _read_texts(vr, values)
    return _made(vr, [] if found == [None] else found or [])


def _values(value: object) -> list:
    """Return the values of an attribute as a list, whichever generation wrote them."""
    if value is None or value == "":
        return []
    return value if isinstance(value, list) else [value]


def _made(vr: str, values: list) -> Attribute:
    return {"vr": vr, "Value": values} if values else {"vr": vr}


def _vr(tag: str, told: str, values: list) -> str:
    """Return the VR of an attribute, one of two letters also where the source left the choice open."""
    if told in _VRS:
        return told
    if " or " not in told and "/" not in told:
        try:
            told = dictionary_VR(int(tag, 16))
        except KeyError:
            return "UN"
    if told in _VRS:
        return told
    if "US" not in told or "OW" in told and not all(isinstance(value, int | float) for value in values):
        return "OW"
    return "SS" if any(isinstance(value, int | float) and value < 0 for value in values) else "US"


def _apart(vr: str, values: list) -> list:
    """Return values that stand in one printed text each by itself."""
    if len(values) != 1 or not isinstance(values[0], str) or vr not in ("AT", "DS"):
        return values
    text = values[0]
    if vr == "AT":
        return ["".join(pair) for pair in _PAIR.findall(text)] or [text]
    if printed := _PRINTED.fullmatch(text.strip()):
        return [match[0] if (match := _NUMBER.search(one)) else "" for one in printed[1].split(",")]
    return [] if text == "None" else values


def _binary(vr: str, element: dict, values: list) -> Attribute:
    """Return a binary attribute: bytes that are UTF-8 became a text, those of node a Buffer; others are lost."""
    inline = element.get("InlineBinary")
    if isinstance(inline, str) and inline:
        return {"vr": vr, "InlineBinary": inline}
    if not values:
        return {"vr": vr}
    value = values[0]
    if len(values) == 1 and isinstance(value, str):
        return {"vr": vr, "InlineBinary": base64.b64encode(value.encode("utf-8", "surrogatepass")).decode("ascii")}
    if len(values) == 1 and isinstance(value, dict) and value.get("type") == "Buffer":
        try:
            return {"vr": vr, "InlineBinary": base64.b64encode(bytes(value["data"])).decode("ascii")}
        except (KeyError, TypeError, ValueError):
            pass
    raise _LeftOut


def _read_texts(vr: str, values: list) -> list | None:
    """Return the values of a VR that is text in a file, as they would be read from one."""
    coding = Coding(explicit=True, little=True, encodings=["utf8"])
    return CONVERTERS[vr]("\\".join(map(_as_text, values)).encode("utf-8", "replace"), coding)


def _as_text(value: object) -> str:
    if isinstance(value, dict):  # a name
        return "=".join(str(value.get(group) or "") for group in ("Alphabetic", "Ideographic", "Phonetic")).rstrip("=")
    if value is None or isinstance(value, bool | list):
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _read_number(vr: str, value: object) -> int | float | str | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value) if vr in FLOATS else int(value)
    except ValueError:
        return value if isinstance(value, str) and value else None
    if not math.isfinite(number):
        return json.dumps(number)  # JSON has no such numbers; as the files that are stored are read
    return str(number) if vr in ("SV", "UV") and abs(number) > MAX_SAFE_INTEGER else number


def _read_tag(value: object) -> str | None:
    if isinstance(value, int) and 0 <= value <= 0xFFFFFFFF:
        return f"{value:08X}"
    text = str(value).upper()
    return text if _TAG.fullmatch(text) else None
