"""DICOM files made byte by byte, right and wrong ones alike."""

import io
import struct
import zlib

from dicouch.dicom.part10 import Part10, read_part10

IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED, JPEG, RLE = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.5"
LONG = {"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"}
UNDEFINED = 0xFFFFFFFF
ITEM_END = bytes.fromhex("FEFF0DE000000000")
SEQUENCE_END = bytes.fromhex("FEFFDDE000000000")


def element(
    tag: int, vr: str | None, value: bytes | str = b"", length: int | None = None, order: str = "<", pad: bool = True
) -> bytes:
    """Encode a data element (PS3.5 7.1); `vr` None is Implicit VR, `length` replaces the true one."""
    if isinstance(value, str):
        value = value.encode()
    if pad and len(value) % 2:
        value += b"\0" if vr in ("UI", "OB", "UN") else b" "
    length = len(value) if length is None else length
    group, number = tag >> 16, tag & 0xFFFF
    if vr is None:
        return struct.pack(f"{order}HHI", group, number, length) + value
    if vr in LONG:
        return struct.pack(f"{order}HH2sHI", group, number, vr.encode(), 0, length) + value
    return struct.pack(f"{order}HH2sH", group, number, vr.encode(), length) + value


def item(*contents: bytes, undefined: bool = False, length: int | None = None) -> bytes:
    """Encode a sequence item (PS3.5 7.5) or a fragment."""
    content = b"".join(contents)
    if undefined:
        return struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED) + content + ITEM_END
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(content) if length is None else length) + content


def sequence(tag: int, *items: bytes, undefined: bool = False, vr: str | None = "SQ") -> bytes:
    if undefined:
        return element(tag, vr, b"".join(items) + SEQUENCE_END, length=UNDEFINED)
    return element(tag, vr, b"".join(items))


def encapsulated(*fragments: bytes, table: bytes = b"", tag: int = 0x7FE00010) -> bytes:
    """Encode encapsulated pixel data (PS3.5 A.4)."""
    return element(tag, "OB", b"".join(map(item, (table, *fragments))) + SEQUENCE_END, length=UNDEFINED)


def identifiers(vr: bool = True, order: str = "<", **uids: str) -> dict[int, bytes]:
    """Encode the four UIDs, by tag."""
    values = {"sop_class": "1.2.840.10008.5.1.4.1.1.7", "instance": "1.2.3.4.5", "study": "1.2.3", "series": "1.2.3.4"}
    values.update(uids)
    tags = {0x00080016: "sop_class", 0x00080018: "instance", 0x0020000D: "study", 0x0020000E: "series"}
    return {tag: element(tag, "UI" if vr else None, values[name], order=order) for tag, name in tags.items()}


def meta(syntax: str | None = EXPLICIT, preamble: bool = True) -> bytes:
    """Encode preamble, prefix and File Meta Information (PS3.10 7.1)."""
    group = element(0x00020002, "UI", "1.2.840.10008.5.1.4.1.1.7") + element(0x00020003, "UI", "1.2.3.4.5")
    if syntax:
        group += element(0x00020010, "UI", syntax)
    start = bytes(128) + b"DICM" if preamble else b""
    return start + element(0x00020000, "UL", struct.pack("<I", len(group))) + group


def made(*elements: bytes, syntax: str | None = EXPLICIT, order: str = "<", **uids: str) -> bytes:
    """Make a file of the four UIDs and the given elements, in ascending order of tags.

    Elements are sorted by their first four bytes; an element of a tag of the identifiers replaces that one.
    """
    everything = identifiers(syntax != IMPLICIT, order, **uids)
    for encoded in elements:
        group, number = struct.unpack_from(f"{order}HH", encoded)
        everything[group << 16 | number] = encoded
    return meta(syntax) + b"".join(encoded for _, encoded in sorted(everything.items()))


def read(content: bytes) -> Part10:
    return read_part10(io.BytesIO(content), len(content))


def image(
    rows: int = 2, columns: int = 2, bits: int = 16, samples: int = 1, order: str = "<", **more: str
) -> list[bytes]:
    """Encode the elements that describe an image."""
    numbers = {0x00280002: samples, 0x00280010: rows, 0x00280011: columns, 0x00280100: bits, 0x00280103: 0}
    elements = [element(tag, "US", struct.pack(f"{order}H", number), order=order) for tag, number in numbers.items()]
    elements.append(element(0x00280004, "CS", more.get("photometric", "MONOCHROME2"), order=order))
    if "frames" in more:
        elements.append(element(0x00280008, "IS", more["frames"], order=order))
    return elements


def deflate(content: bytes, wbits: int = -zlib.MAX_WBITS) -> bytes:
    """Deflate the data set of a file."""
    start = len(meta(DEFLATED))
    deflater = zlib.compressobj(9, zlib.DEFLATED, wbits)
    return content[:start] + deflater.compress(content[start:]) + deflater.flush()
