"""The beginning of a file: preamble, File Meta Information (PS3.10 7.1), encoding of the data set that follows."""

from dataclasses import dataclass
from struct import unpack_from

from dicouch.dicom.part10.dictionary import ENCODED_VRS
from dicouch.dicom.part10.model import Unreadable, Warnings
from dicouch.dicom.part10.window import Window
from dicouch.dicom.uids import uid_problem

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
DEFLATED_SYNTAXES = frozenset(
    ("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205")  # PS3.5 A.5, A.7, A.14
)
# Papyrus 3 (retired), and GE's private syntax, whose pixel data alone are big endian.
IMPLICIT_SYNTAXES = frozenset((IMPLICIT_LITTLE, "1.2.840.10008.1.20", "1.2.840.113619.5.2"))

_WANTED = {0x00020002: "sop_class_uid", 0x00020003: "sop_instance_uid", 0x00020010: "transfer_syntax"}
_MAX_META = 1024 * 1024
# Groups a data set without File Meta Information can sensibly begin with.
_FIRST_GROUPS = frozenset((0x0004, 0x0008, 0x0010, 0x0018, 0x0020, 0x0028))


@dataclass
class Meta:
    """What precedes the data set, and how the data set is encoded.

    Attributes
    ----------
    start : int
        Position of the data set's first byte.
    transfer_syntax, sop_class_uid, sop_instance_uid : str
        (0002,0010), (0002,0002), (0002,0003); empty when absent.
    explicit, little : bool
        Encoding of the data set.
    deflated : bool
        The data set is deflated (PS3.5 A.5).
    """

    start: int
    transfer_syntax: str = ""
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    explicit: bool = True
    little: bool = True
    deflated: bool = False


def read_meta(window: Window, warnings: Warnings) -> Meta:
    """Read up to the data set and find out how that is encoded.

    Parameters
    ----------
    window : Window
        The file.
    warnings : Warnings
        Receives what breaks PS3.10.

    Returns
    -------
    Meta

    Raises
    ------
    Unreadable
        The file does not look like DICOM.
    """
    meta = Meta(_prefix(window, warnings))
    _read_group(window, meta, warnings)
    if meta.transfer_syntax and uid_problem(meta.transfer_syntax):
        warnings.add(f"(0002,0010) TransferSyntaxUID {uid_problem(meta.transfer_syntax)}.")
        meta.transfer_syntax = ""
    syntax = meta.transfer_syntax
    meta.deflated = syntax in DEFLATED_SYNTAXES
    if syntax:
        meta.explicit = syntax not in IMPLICIT_SYNTAXES
        meta.little = syntax != EXPLICIT_BIG
    if not meta.deflated:
        _check_encoding(window, meta, warnings)
    if not syntax:
        if meta.explicit:
            meta.transfer_syntax = EXPLICIT_LITTLE if meta.little else EXPLICIT_BIG
        else:
            meta.transfer_syntax = IMPLICIT_LITTLE
        warnings.add(f"(0002,0010) TransferSyntaxUID is missing; the data set reads as {meta.transfer_syntax}.")
    return meta


def _prefix(window: Window, warnings: Warnings) -> int:
    """Return where the first element begins: after preamble and prefix (PS3.10 7.1), if they are there."""
    window.fill(0, 132)
    if window.buffer[128:132] == b"DICM":
        return 132
    if window.buffer[:4] == b"DICM":
        warnings.add("The preamble of 128 bytes is missing.")
        return 4
    if len(window.buffer) < 8 or not _plausible_start(window.buffer):
        raise Unreadable("not a DICOM file: neither the prefix 'DICM' nor a data set at its beginning")
    warnings.add("The preamble and the prefix 'DICM' are missing.")
    return 0


def _plausible_start(head: bytes) -> bool:
    """Tell whether bytes look like the first element of a meta group or a data set."""
    group, _, length = unpack_from("<HHI", head)
    if head[4:6] in ENCODED_VRS:
        return group == 2 or group in _FIRST_GROUPS or (group >> 8 | (group & 0xFF) << 8) in _FIRST_GROUPS
    return (group == 2 or group in _FIRST_GROUPS) and length < 0x10000


def _read_group(window: Window, meta: Meta, warnings: Warnings) -> None:
    """Walk the elements of group 0002; its group length is not trusted."""
    position = first = meta.start
    while position - first <= _MAX_META:
        window.fill(position, 12)
        offset = position - window.base
        head = window.buffer[offset : offset + 12]
        if len(head) < 8 or head[:2] != b"\x02\x00":
            break
        element, vr, length = unpack_from("<H2sH", head, 2)
        value = position + 8
        if vr in ENCODED_VRS:
            if ENCODED_VRS[vr][1] and len(head) == 12:
                (length,), value = unpack_from("<I", head, 8), position + 12
        else:
            warnings.add("The File Meta Information is not in Explicit VR.")
            (length,) = unpack_from("<I", head, 4)
        if value + length > window.size:
            raise Unreadable("the File Meta Information is cut off")
        name = _WANTED.get(0x00020000 | element)
        if name and length <= 1024:
            window.fill(value, length)
            raw = window.buffer[value - window.base : value - window.base + length]
            setattr(meta, name, raw.decode("latin-1").rstrip("\0 "))
        position = value + length
    if position == first:
        warnings.add("The File Meta Information is missing.")
    meta.start = position


def _check_encoding(window: Window, meta: Meta, warnings: Warnings) -> None:
    """Compare the declared encoding with the first element of the data set, and believe the data set."""
    window.fill(meta.start, 8)
    offset = meta.start - window.base
    head = window.buffer[offset : offset + 8]
    if len(head) < 8:
        return
    group = int.from_bytes(head[:2], "little")
    # A VR that the standard does not know still shows that there is one, unless Implicit VR was announced.
    explicit = head[4:6] in ENCODED_VRS or (meta.explicit and head[4:6].isalpha() and head[4:6].isupper())
    # No data set begins with a group this high, but 0008 in the other byte order does.
    little = not (explicit and group >= 0x0400 and group & 0xFF == 0)
    if meta.transfer_syntax and (explicit, little) != (meta.explicit, meta.little):
        if explicit and little != meta.little:
            warnings.add("The data set is not in the byte order of its transfer syntax.")
        elif explicit != meta.explicit:
            warnings.add(f"The data set is in {'Explicit' if explicit else 'Implicit'} VR, unlike its transfer syntax.")
    meta.explicit = explicit
    meta.little = little
