"""The VR of elements that do not carry a usable one (PS3.5 A.1, A.2, 6.2.2): Implicit VR, UN, ambiguous VRs of PS3.6.

A data set is passed as a chain: ``(elements, chain of the data set around it or None)``.
"""

from dicouch.dicom.part10.dictionary import dictionary_vr, is_private, is_private_creator, private_vr

PIXEL_DATA = 0x7FE00010
_LUT_DATA = 0x00283006
_WAVEFORM = frozenset((0x54000110, 0x54000112, 0x5400100A, 0x54001010))


def vr_of(tag: int, chain: tuple) -> str:
    """Return the VR the dictionaries give an element, perhaps ambiguous.

    Parameters
    ----------
    tag : int
        The element.
    chain : tuple
        Its data set, as far as it is read: private creators come before their elements (PS3.5 7.8.1).

    Returns
    -------
    str
        ``UN`` when no dictionary knows it.
    """
    if not is_private(tag):
        return dictionary_vr(tag) or "UN"
    if is_private_creator(tag):
        return "LO"
    creator = chain[0].get(f"{tag >> 16:04X}00{tag >> 8 & 0xFF:02X}", {}).get("Value")
    return (creator and isinstance(creator[0], str) and private_vr(tag, creator[0])) or "UN"


def unambiguous(tag: int, vr: str, chain: tuple, implicit: bool, encapsulated: bool) -> str | None:
    """Decide an ambiguous VR.

    Parameters
    ----------
    tag : int
        The element.
    vr : str
        Such as ``"OB or OW"``.
    chain : tuple
        Its data set, as far as it is read.
    implicit : bool
        The element is encoded in Implicit VR, where pixel data are OW (PS3.5 A.1).
    encapsulated : bool
        Its length is undefined.

    Returns
    -------
    str or None
        The VR; None when it depends on a Pixel Representation that has not been seen.
    """
    if vr == "US or SS":
        signed = pixel_representation(chain)
        return None if signed is None else "SS" if signed else "US"
    if vr == "US or OW" and tag == _LUT_DATA:
        # One entry: the value is a number (PS3.3 C.11.1.1.1).
        return "US" if _number(chain[0], "00283002") == 1 else "OW"
    if vr == "OB or OW":
        if encapsulated:
            return "OB"
        if not implicit:
            bits = "00280100" if tag == PIXEL_DATA else "54001004" if tag in _WAVEFORM else None
            if bits and (_number(chain[0], bits) or 16) <= 8:
                return "OB"
    return "OW"


def pixel_representation(chain: tuple | None) -> int | None:
    """Return Pixel Representation (0028,0103) of the nearest data set that has one."""
    while chain:
        elements, chain = chain
        number = _number(elements, "00280103")
        if number is not None:
            return number
    return None


def _number(elements: dict, key: str) -> int | None:
    """Return the first value of a numeric element, if it is there."""
    values = elements.get(key, {}).get("Value")
    return values[0] if values and isinstance(values[0], int) else None
