"""The data dictionary, as the walk needs it: names for messages, and the VR of elements that do not carry one."""

from functools import lru_cache

from pydicom.datadict import dictionary_VR, keyword_for_tag, private_dictionary_VR
from pydicom.tag import Tag
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, STANDARD_VR

# VR as encoded, to the VR and whether a 32-bit length follows two reserved bytes (PS3.5 7.1.2).
ENCODED_VRS = {str(vr).encode(): (str(vr), vr in EXPLICIT_VR_LENGTH_32) for vr in STANDARD_VR}
VRS = frozenset(vr for vr, _ in ENCODED_VRS.values())


@lru_cache(maxsize=8192)
def dictionary_vr(tag: int) -> str | None:
    """Return the VR of a public attribute (PS3.6), perhaps ambiguous (``"US or SS"``); None when unknown."""
    if (tag >> 16) & 1:
        return None
    try:
        vr = dictionary_VR(tag)
    except KeyError:
        return None
    return None if vr == "NONE" else vr


def private_vr(tag: int, creator: str | None) -> str | None:
    """Return the VR of a private attribute, when pydicom's private dictionary knows its creator; None otherwise."""
    if not creator:
        return None
    try:
        vr = private_dictionary_VR(Tag(tag), creator)
    except KeyError:
        return None
    return vr if vr in VRS or " or " in vr else None


@lru_cache(maxsize=8192)
def key_of(tag: int) -> str:
    """Return a tag as DICOM JSON writes it: the same few in every item, so the same few strings."""
    return f"{tag:08X}"


def is_private(tag: int) -> bool:
    """Tell whether a tag is private: its group is odd (PS3.5 7.8)."""
    return bool(tag & 0x10000)


def is_private_creator(tag: int) -> bool:
    """Tell whether a tag reserves a block of private elements (PS3.5 7.8.1)."""
    return bool(tag & 0x10000) and 0x10 <= tag & 0xFFFF <= 0xFF


@lru_cache(maxsize=8192)
def label(tag: int) -> str:
    """Return ``(gggg,eeee) Keyword`` for messages."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X}) {keyword_for_tag(tag)}".rstrip()
