"""The beginning of a file: preamble, File Meta Information (PS3.10 7.1), encoding of the data set that follows."""

from __future__ import annotations

from dataclasses import dataclass, field
from struct import unpack_from

from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicouch.dicom.part10.byte_source import ByteSource
from dicouch.dicom.part10.dictionary import ENCODED_VRS
from dicouch.dicom.part10.encode import file_header
from dicouch.dicom.part10.model import Unreadable, Warnings
from dicouch.dicom.part10.walk import Walk, is_vr
from dicouch.dicom.syntaxes import syntax_of
from dicouch.dicom.uids import uid_problem

_WANTED = {0x00020002: "sop_class_uid", 0x00020003: "sop_instance_uid", 0x00020010: "transfer_syntax"}
_MAX_META = 1024 * 1024
_PREFIXED = 132
_PLAIN = frozenset(map(str, (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)))
# Groups a data set without File Meta Information can sensibly begin with.
_FIRST_GROUPS = frozenset((0x0004, 0x0008, 0x0010, 0x0018, 0x0020, 0x0028))


@dataclass
class Meta:
    """What precedes the data set, where that starts and how it is encoded; UIDs that are absent are empty.

    Attributes
    ----------
    transfer_syntax : str
        What the file is in, as far as its first elements tell.
    proper : bool
        The file begins as PS3.10 7.1 wants it, and names that transfer syntax.
    others : dict
        Where the other elements of group 0002 lie (start and end), by tag.
    """

    start: int
    transfer_syntax: str = ""
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    explicit: bool = True
    little: bool = True
    deflated: bool = False
    proper: bool = True
    others: dict[int, tuple[int, int]] = field(default_factory=dict)

    @property
    def plain_syntax(self) -> str:
        """The transfer syntax without compression in which the data set is."""
        explicit = ExplicitVRLittleEndian if self.little else ExplicitVRBigEndian
        return str(explicit if self.explicit else ImplicitVRLittleEndian)

    def header(self, source: ByteSource, sop_class: str, sop_instance: str) -> bytes:
        """Return the beginning that the file should have (PS3.10 7.1), with what else its group 0002 says."""
        others = {tag: source.read(start, end - start) for tag, (start, end) in self.others.items()}
        return file_header(sop_class or self.sop_class_uid, sop_instance, self.transfer_syntax, others)


def read_meta(source: ByteSource, warnings: Warnings) -> Meta:
    """Read up to the data set and find out how that is encoded.

    Raises
    ------
    Unreadable
        The file does not look like DICOM.
    """
    meta = Meta(_prefix(source, warnings))
    meta.proper = meta.start == _PREFIXED
    _read_group(source, meta, warnings)
    problem = uid_problem(meta.transfer_syntax)
    if meta.transfer_syntax and problem:
        warnings.add(f"(0002,0010) TransferSyntaxUID {problem}.")
        meta.transfer_syntax = ""
    syntax = syntax_of(meta.transfer_syntax)
    meta.explicit, meta.little, meta.deflated = not syntax.implicit, not syntax.big_endian, syntax.deflated
    if not meta.deflated:
        _check_encoding(source, meta, warnings)
    if not meta.transfer_syntax:
        meta.transfer_syntax = meta.plain_syntax
        warnings.add(f"(0002,0010) TransferSyntaxUID is missing; the data set reads as {meta.transfer_syntax}.")
        meta.proper = False
    elif meta.transfer_syntax in _PLAIN and meta.transfer_syntax != meta.plain_syntax:
        meta.transfer_syntax, meta.proper = meta.plain_syntax, False
    if not meta.proper:
        warnings.add("The header of the file is made anew when it is sent.")
    return meta


def _prefix(source: ByteSource, warnings: Warnings) -> int:
    """Return where the first element begins: after preamble and prefix (PS3.10 7.1), if they are there."""
    source.fill(0, 132)
    if source.buffer[128:132] == b"DICM":
        return _PREFIXED
    if source.buffer[:4] == b"DICM":
        warnings.add("The preamble of 128 bytes is missing.")
        return 4
    if len(source.buffer) < 8 or not _plausible_start(source.buffer):
        raise Unreadable("not a DICOM file: neither the prefix 'DICM' nor a data set at its beginning")
    warnings.add("The preamble and the prefix 'DICM' are missing.")
    return 0


def _plausible_start(head: bytes) -> bool:
    """Tell whether bytes look like the first element of a meta group or a data set."""
    group, _, length = unpack_from("<HHI", head)
    if head[4:6] in ENCODED_VRS:
        return group == 2 or group in _FIRST_GROUPS or (group >> 8 | (group & 0xFF) << 8) in _FIRST_GROUPS
    return (group == 2 or group in _FIRST_GROUPS) and length < 0x10000


def _read_group(source: ByteSource, meta: Meta, warnings: Warnings) -> None:
    """Read the elements of group 0002; its group length is not trusted."""
    first = meta.start
    if source.read(first, 2) != b"\x02\x00":
        warnings.add("The File Meta Information is missing.")
        meta.proper = False
        return
    explicit = is_vr(source.read(first + 4, 2))
    # Its warnings may be about the first element of the data set, which is read once more.
    walk = Walk(source, Warnings())
    for tag, vr, position, value, length in walk.elements(first, source.size, explicit, little=True):
        if tag >> 16 != 2 or position - first > _MAX_META:
            break
        if vr is None:
            warnings.add("The File Meta Information is not in Explicit VR.")
            meta.proper = False
        if value + length > source.size:
            raise Unreadable("the File Meta Information is cut off")
        if tag in _WANTED and length <= 1024:
            setattr(meta, _WANTED[tag], source.read(value, length).decode("latin-1").rstrip("\0 "))
        elif vr and tag & 0xFFFF:
            meta.others[tag] = position, value + length
        meta.start = value + length


def _check_encoding(source: ByteSource, meta: Meta, warnings: Warnings) -> None:
    """Compare the declared encoding with the first element of the data set, and believe the data set."""
    head = source.read(meta.start, 8)
    if len(head) < 8:
        return
    group = int.from_bytes(head[:2], "little")
    # A VR that the standard does not know still shows that there is one, unless Implicit VR was announced.
    explicit = is_vr(head[4:6]) if meta.explicit else head[4:6] in ENCODED_VRS
    # No data set begins with a group this high, but 0008 in the other byte order does.
    little = not (explicit and group >= 0x0400 and group & 0xFF == 0)
    if meta.transfer_syntax and (explicit, little) != (meta.explicit, meta.little):
        if explicit and little != meta.little:
            warnings.add("The data set is not in the byte order of its transfer syntax.")
        elif explicit != meta.explicit:
            warnings.add(f"The data set is in {'Explicit' if explicit else 'Implicit'} VR, unlike its transfer syntax.")
    meta.explicit = explicit
    meta.little = little
