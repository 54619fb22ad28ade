"""The data dictionary, as the walk needs it: names for messages, and the VR of elements that do not carry one."""

from functools import lru_cache

from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, STANDARD_VR

# VR as encoded, to the VR and whether a 32-bit length follows two reserved bytes (PS3.5 7.1.2).
ENCODED_VRS = {str(vr).encode(): (str(vr), vr in EXPLICIT_VR_LENGTH_32) for vr in STANDARD_VR}
VRS = frozenset(vr for vr, _ in ENCODED_VRS.values())


@lru_cache(maxsize=8192)
def dictionary_vr(tag: int) -> str | None:
    """Return the VR of a public attribute (PS3.6), perhaps ambiguous (``"US or SS"``); None when unknown."""
    if tag & 0x10000:  # private
        return None
    try:
        vr = dictionary_VR(tag)
    except KeyError:
        return None
    return None if vr == "NONE" else vr


@lru_cache(maxsize=8192)
def key_of(tag: int) -> str:
    """Return a tag as DICOM JSON writes it: the same few in every item, so the same few strings."""
    return f"{tag:08X}"


@lru_cache(maxsize=8192)
def label(tag: int) -> str:
    """Return ``(gggg,eeee) Keyword`` for messages."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X}) {keyword_for_tag(tag)}".rstrip()
