"""A Part 10 file in another transfer syntax, written while it is read: memory holds a frame and the other elements."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from struct import pack
from tempfile import SpooledTemporaryFile
from typing import BinaryIO

from pydicom.dataset import Dataset

from dicouch.dicom.pixels.decode import Pixels, can_decode, decode, frame_bytes, native_bytes
from dicouch.dicom.pixels.encode import ENCODED, can_encode, encode
from dicouch.dicom.pixels.errors import PixelError, TooLarge, Unsupported
from dicouch.dicom.pixels.image import Image
from dicouch.dicom.pixels.part10_head import Head, read_head, write_elements, write_head

EXPLICIT = "1.2.840.10008.1.2.1"
LARGEST_VALUE = 0xFFFFFFFE
"""Longest value of defined length (PS3.5 7.1.2)."""

_SPOOLED = 8 * 1024 * 1024
_CHUNK = 256 * 1024
_ITEM, _END = 0xE000, 0xE0DD
_ALWAYS_LOSSY = frozenset(("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.81"))


@dataclass(frozen=True)
class Stored:
    """A Part 10 file as it is stored.

    Attributes
    ----------
    transfer_syntax : str
    size : int
        Bytes; of a deflated file, those of the inflated stream in which `read` counts.
    read : callable
        From a start and an end (exclusive) to the pieces of bytes in between.
    pixels : dict or None
        Where the value of the pixel data lies: ``offset``, ``length``, ``vr``, perhaps ``encapsulated``.
    image : Image or None
        The image, when there are pixel data.
    native : callable
        Gives the pieces of native pixel data in little-endian order.
    """

    transfer_syntax: str
    size: int
    read: Callable[[int, int], Iterator[bytes]]
    pixels: dict | None = None
    image: Image | None = None
    native: Callable[[], Iterator[bytes]] = lambda: iter(())


def targets(stored: Stored) -> list[str]:
    """Return the transfer syntaxes in which a file can be had, the one it is stored in first."""
    found = [stored.transfer_syntax]
    image = stored.image
    if image is None:
        return list(dict.fromkeys([*found, EXPLICIT]))
    if image.native or can_decode(image.transfer_syntax):
        found.append(EXPLICIT)
        found += [syntax for syntax in ENCODED if can_encode(image, syntax)]
    return list(dict.fromkeys(found))


def transcode(stored: Stored, target: str) -> tuple[int, Iterator[bytes]]:
    """Convert a file to another transfer syntax.

    The first frame is converted at once, so that an image that cannot be is refused before the answer begins.

    Parameters
    ----------
    stored : Stored
    target : str
        Transfer syntax UID: Explicit VR Little Endian, or one of `dicouch.dicom.pixels.encode.ENCODED`.

    Returns
    -------
    size : int
        Bytes of the new file.
    pieces : iterator of bytes
        Its bytes. To be closed when they are not all wanted.

    Raises
    ------
    Unsupported
        The file has no such form.
    PixelError
        Its pixel data are damaged.
    """
    if target != EXPLICIT and target not in ENCODED:
        raise Unsupported(f"files are not converted to the transfer syntax {target}")
    end = stored.pixels["offset"] if stored.pixels else stored.size
    head = read_head(b"".join(stored.read(0, end)))
    tail = _tail(stored, head)
    if stored.pixels is None:
        return _whole(write_head(head, target) + tail, iter(()), 0, b"")
    image = stored.image
    if image is None:
        raise Unsupported("the pixel data cannot be told apart into frames")
    for tag in (0x7FE00001, 0x7FE00002):  # Extended Offset Table and its lengths
        head.dataset.pop(tag, None)
    if target != EXPLICIT:
        return _encapsulated(image, head, target, tail)
    if image.native:
        return _native_copy(stored, head, tail)
    return _decoded(image, head, tail)


def _tail(stored: Stored, head: Head) -> bytes:
    """Return what follows the pixel data, in Explicit VR Little Endian, but padding and signatures."""
    if stored.pixels is None:
        return b""
    start = stored.pixels["offset"] + stored.pixels["length"]
    rest = b"".join(stored.read(start, stored.size)) if start < stored.size else b""
    if rest.startswith(pack("<HHI", 0xFFFE, _END, 0)):
        rest = rest[8:]
    if not rest:
        return b""
    dataset = head.read_more(rest)
    # Padding is void; a signature over other bytes is too.
    for element in list(dataset):
        if element.tag >= 0xFFFA0000:
            del dataset[element.tag]
    return write_elements(dataset, head) if len(dataset) else b""


def _whole(start: bytes, body: Iterator[bytes], length: int, end: bytes) -> tuple[int, Iterator[bytes]]:
    return len(start) + length + len(end), chain((start,), body, (end,) if end else ())


def _native_copy(stored: Stored, head: Head, tail: bytes) -> tuple[int, Iterator[bytes]]:
    """Pixel data that stay native: only what stands around them changes."""
    length = stored.pixels["length"]
    vr = {"7FE00008": "OF", "7FE00009": "OD"}.get(stored.image.pixel_tag)
    start = write_head(head, EXPLICIT) + _element(stored.image, vr, length + length % 2)
    return _whole(start, stored.native(), length, b"\0" * (length % 2) + tail)


def _decoded(image: Image, head: Head, tail: bytes) -> tuple[int, Iterator[bytes]]:
    """Compressed pixel data to native."""
    if image.bits_allocated == 1 and image.count > 1 and image.rows * image.columns % 8:
        raise Unsupported("frames of single bits that do not fill bytes are not converted")
    length = image.count * frame_bytes(image)
    if length > LARGEST_VALUE:
        raise TooLarge(f"decoded pixel data of {length} bytes fit in no file of Explicit VR Little Endian")
    begun = decode(image, 1)
    _describe(image, head.dataset, begun, image.planar)
    start = write_head(head, EXPLICIT) + _element(image, None, length + length % 2)

    def frames() -> Iterator[bytes]:
        yield native_bytes(image, begun)
        for number in range(2, image.count + 1):
            pixels = decode(image, number)
            if pixels.photometric != begun.photometric:
                raise PixelError(f"frame {number} is {pixels.photometric}, the first {begun.photometric}")
            yield native_bytes(image, pixels)

    return _whole(start, frames(), length, b"\0" * (length % 2) + tail)


def _encapsulated(image: Image, head: Head, target: str, tail: bytes) -> tuple[int, Iterator[bytes]]:
    """Pixel data to compressed frames, one fragment each, with a table of their offsets (PS3.5 A.4)."""
    with ExitStack() as opened:
        body = opened.enter_context(SpooledTemporaryFile(max_size=_SPOOLED))
        offsets, lengths = [], []
        photometric = ""
        for number in range(1, image.count + 1):
            encoded, photometric = encode(image, number, target)
            offsets.append(body.tell())
            lengths.append(len(encoded))
            body.write(pack("<HHI", 0xFFFE, _ITEM, len(encoded) + len(encoded) % 2) + encoded)
            body.write(b"\0" * (len(encoded) % 2))
        size = body.tell()
        _describe(image, head.dataset, Pixels(None, photometric), 0)
        table = b""
        if size <= 0xFFFFFFFF:
            table = pack(f"<{len(offsets)}I", *offsets)
        else:
            head.dataset.add_new(0x7FE00001, "OV", pack(f"<{len(offsets)}Q", *offsets))
            head.dataset.add_new(0x7FE00002, "OV", pack(f"<{len(lengths)}Q", *lengths))
        start = write_head(head, target) + pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)
        start += pack("<HHI", 0xFFFE, _ITEM, len(table)) + table
        opened.pop_all()  # from here on the iterator closes it
        return _whole(start, _file_pieces(body), size, pack("<HHI", 0xFFFE, _END, 0) + tail)


def _file_pieces(file: BinaryIO) -> Iterator[bytes]:
    with file:
        file.seek(0)
        while piece := file.read(_CHUNK):
            yield piece


def _element(image: Image, vr: str | None, length: int) -> bytes:
    """Encode the beginning of the pixel data element."""
    vr = vr or ("OB" if image.bits_allocated <= 8 else "OW")
    return pack("<HH2sHI", 0x7FE0, int(image.pixel_tag[4:], 16), vr.encode(), 0, length)


def _describe(image: Image, dataset: Dataset, pixels: Pixels, planar: int) -> None:
    """Bring the Image Pixel Module (PS3.3 C.7.6.3) in line with converted pixels."""
    dataset.PhotometricInterpretation = pixels.photometric
    if image.samples > 1:
        dataset.PlanarConfiguration = planar
    if image.count > 1 and dataset.get("NumberOfFrames") != image.count:
        dataset.NumberOfFrames = image.count
    if image.transfer_syntax in _ALWAYS_LOSSY and "LossyImageCompression" not in dataset:
        # PS3.3 C.7.6.1.1.5: once lossy, always lossy.
        dataset.LossyImageCompression = "01"
