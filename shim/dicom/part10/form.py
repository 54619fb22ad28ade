"""What the pixel data of a file are, where that is not what its transfer syntax says, and what makes the file right.

Only the first frame is looked at. What is found is told in a warning, and is the transfer syntax of the file from then
on: nothing is served under another.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from struct import pack

from pydicom import uid

from dicouch.dicom.json_model import JsonDataset, first_value
from dicouch.dicom.part10.byte_source import ByteSource
from dicouch.dicom.part10.dataset import PixelElement, value_bytes
from dicouch.dicom.part10.dictionary import key_of
from dicouch.dicom.part10.find_frames import is_rle
from dicouch.dicom.part10.meta import Meta
from dicouch.dicom.part10.model import Bulk, Mend, Warnings
from dicouch.dicom.part10.walk import UNDEFINED
from dicouch.dicom.pixels.codestream import HEAD, Codestream, identify, jpeg_2000_start
from dicouch.dicom.syntaxes import ENCAPSULATED_UNCOMPRESSED, EXPLICIT_LITTLE, JPEG_RETIRED, is_known, syntax_of

_HEAD = 4096  # holds what most streams say of themselves
_END = pack("<HHI", 0xFFFE, 0xE0DD, 0)
_NO_TABLE = pack("<HHI", 0xFFFE, 0xE000, 0)
# Progressive JPEG, which DICOM has retired and `codestream` has no name for.
_PROGRESSIVE = JPEG_RETIRED[3]
# What a stream says that it is, to the other transfer syntaxes that hold such streams (PS3.5 A.4.1 to A.4.4).
_FITS: dict[str, frozenset[str]] = {
    uid.JPEGBaseline8Bit: frozenset((uid.JPEGExtended12Bit, *JPEG_RETIRED)),
    uid.JPEGExtended12Bit: frozenset(JPEG_RETIRED),
    uid.JPEGLosslessSV1: frozenset((uid.JPEGLossless, *JPEG_RETIRED)),
    uid.JPEGLossless: frozenset(JPEG_RETIRED),
    _PROGRESSIVE: frozenset(JPEG_RETIRED),
    uid.JPEGLSLossless: frozenset((uid.JPEGLSNearLossless,)),
    uid.JPEG2000Lossless: frozenset((uid.JPEG2000, uid.JPEG2000MCLossless, uid.JPEG2000MC)),
    uid.JPEG2000: frozenset((uid.JPEG2000MC,)),
    uid.HTJ2KLossless: frozenset((uid.HTJ2KLosslessRPCL, uid.HTJ2K)),
}


@dataclass
class Form:
    """The pixel data as they are, and what is sent otherwise; see `dicouch.dicom.part10.Part10`."""

    pixels: PixelElement | None
    mended: list[Mend] = field(default_factory=list)
    recoded: bool = False


def find_form(
    pixels: PixelElement | None, dataset: JsonDataset, bulk: Bulk, meta: Meta, source: ByteSource, warnings: Warnings
) -> Form:
    """Compare the pixel data with the transfer syntax, which is replaced in `meta` where they differ."""
    form, declared = Form(pixels), meta.transfer_syntax
    row = syntax_of(declared)
    if pixels is None or row.video and pixels.fragments:
        return form
    found = _identify(pixels, dataset, source, row.encapsulated)
    if pixels.fragments is None and found:
        form.pixels = pixels._replace(fragments=[(pixels.offset, 0), (pixels.offset, pixels.length)])
        bulk[key_of(pixels.tag)] |= {"vr": "OB", "encapsulated": True}
    elif pixels.fragments is None and row.encapsulated:
        found = meta.plain_syntax
    elif pixels.fragments and not found and not row.encapsulated and is_known(declared):
        warnings.about(pixels.tag, f"has fragments that the transfer syntax {declared} cannot have, of an unknown kind")
    if found and found != declared and declared not in _FITS.get(found, ()):
        meta.transfer_syntax, meta.proper = found, False
        name = uid.UID(found).name
        warnings.about(pixels.tag, f"is not in the transfer syntax {declared}; sent as {found} {name}")
    actual = form.pixels or pixels
    if actual.fragments is not None and not meta.proper:  # PS3.5 A.4: Explicit VR Little Endian around them
        form.recoded = meta.deflated or meta.plain_syntax != EXPLICIT_LITTLE
    if not form.recoded and not meta.deflated:
        form.mended = _mends(pixels, actual, meta, source)
    return form


def _identify(pixels: PixelElement, dataset: JsonDataset, source: ByteSource, encapsulated: bool) -> str:
    """Return the transfer syntax that the beginning of the pixel data tells, an empty one when it tells none."""
    expected = value_bytes(pixels.tag, dataset)
    whole = expected + expected % 2
    if pixels.fragments is None:
        if pixels.length in (expected, whole) or (not encapsulated and pixels.length > whole > 0):
            return ""
        fragments = [(pixels.offset, pixels.length)]
    else:
        fragments = pixels.fragments[1:]
    said, head = _read_head(fragments, source)
    if said is not None:
        sides = first_value(dataset, "00280010"), first_value(dataset, "00280011")
        if pixels.fragments is None and (said.rows not in (0, sides[0]) or said.columns != sides[1]) and any(sides):
            return ""  # pixels that look like a stream
        return said.transfer_syntax or (_PROGRESSIVE if said.kind == "progressive JPEG" else "")
    if is_rle(head[:64]):
        return uid.RLELossless
    if pixels.fragments and expected and sum(length for _, length in fragments) in (expected, whole):
        return ENCAPSULATED_UNCOMPRESSED
    return ""


def _read_head(fragments: list[tuple[int, int]], source: ByteSource) -> tuple[Codestream | None, bytes]:
    """Return what a stream says of itself, and its first bytes; it may be in several fragments."""
    said, head = None, b""
    for most in (_HEAD, HEAD):  # a colour profile may precede what counts
        head = b""
        for offset, length in fragments:
            if len(head) >= most:
                break
            head += source.read(offset, min(length, most - len(head)))
        said = identify(head[jpeg_2000_start(head) :])
        if said or len(head) < _HEAD or not head.startswith((b"\xff\xd8\xff", b"\0\0\0\x0cjP")):
            break
    return said, head


def _mends(found: PixelElement, pixels: PixelElement, meta: Meta, source: ByteSource) -> list[Mend]:
    """Return what makes of an element with another form one that its transfer syntax can have (PS3.5 8.2, A.4)."""
    compressed = pixels.fragments is not None
    bare = compressed and found.fragments is None  # a stream that is in no fragment
    if compressed is found.delimited and not bare:
        return []
    head, padding = source.read(found.start, found.offset - found.start), bytes(found.length % 2)
    length, order = found.length + len(padding), "<" if meta.little else ">"
    first, last = b"", padding
    if compressed:
        if bare:
            first = _NO_TABLE + pack("<HHI", 0xFFFE, 0xE000, length)
        length, last = UNDEFINED, padding + _END
    vr = b""
    if meta.explicit:
        vr = (b"OB" if compressed else head[4:6] if len(head) == 12 else b"OW") + b"\0\0"
    first = head[:4] + vr + pack(f"{order}I", length) + first
    stop = found.offset + found.length
    return [
        (low, high, b64encode(new).decode("ascii"))
        for low, high, new in ((found.start, found.offset, first), (stop, found.end, last))
        if new or low < high
    ]
