"""A Part 10 file in another transfer syntax, written while it is read: memory holds a frame and the other elements."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import chain
from struct import pack
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from pydicom import Dataset
from pydicom.encaps import itemize_fragment, itemize_frame
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless

from dicouch.dicom.errors import PixelError, TooLarge, Unsupported
from dicouch.dicom.native import join_bits
from dicouch.dicom.pixels.decode import Pixels, can_decode, decode, frame_bytes, native_bytes
from dicouch.dicom.pixels.encode import ENCODED, can_encode, encode
from dicouch.dicom.pixels.image import Image
from dicouch.dicom.pixels.part10_head import Head, Unwritable, read_head, write_elements, write_head

EXPLICIT = ExplicitVRLittleEndian
Pieces = tuple[int, Iterator[bytes]]
"""Size of a new file, and its bytes; to be closed when they are not all wanted."""

_END = pack("<HHI", 0xFFFE, 0xE0DD, 0)
_ALWAYS_LOSSY = frozenset((JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless))


@dataclass(frozen=True)
class SourceFile:
    """A Part 10 file as it is stored.

    Attributes
    ----------
    size : int
        Bytes; of a deflated file, those of the inflated stream in which `read` counts.
    read : callable
        From a start and an end (exclusive) to the pieces of bytes in between.
    pixels : dict or None
        Where the value of the pixel data lies: ``offset``, ``length``, ``vr``, perhaps ``encapsulated``.
    native : callable
        Gives the pieces of native pixel data in little-endian order.
    careful : bool
        Something in it breaks the standard.
    """

    transfer_syntax: str
    size: int
    read: Callable[[int, int], Iterator[bytes]]
    pixels: dict[str, Any] | None = None
    image: Image | None = None
    native: Callable[[], Iterator[bytes]] = lambda: iter(())
    careful: bool = False


def targets(source: SourceFile) -> list[str]:
    """Return the transfer syntaxes in which a file can be had, the one it is stored in first."""
    found, image = [source.transfer_syntax], source.image
    if image is None or image.native or can_decode(image.transfer_syntax):
        found.append(EXPLICIT)
        with suppress(Unsupported):  # an image that does not say what it is is not encoded anew
            found += [syntax for syntax in ENCODED if image and can_encode(image, syntax)]
    return list(dict.fromkeys(found))


def transcode(source: SourceFile, target: str) -> Pieces:
    """Convert a file to Explicit VR Little Endian or one of `dicouch.dicom.pixels.encode.ENCODED`.

    The first frame is converted at once, so that an image that cannot be is refused before the answer begins.

    Raises
    ------
    Unsupported
        The file has no such form.
    PixelError
        Its pixel data are damaged.
    """
    try:
        return _transcode(source, target, source.careful)
    except Unwritable:
        if source.careful:
            raise
        return _transcode(source, target, True)


def _transcode(source: SourceFile, target: str, careful: bool) -> Pieces:
    if target not in (EXPLICIT, source.transfer_syntax, *ENCODED):
        raise Unsupported(f"files are not converted to the transfer syntax {target}")
    end = source.pixels["offset"] if source.pixels else source.size
    head = read_head(b"".join(source.read(0, end)), careful=careful)
    tail = _tail(source, head)
    if source.pixels is None:
        return _whole(write_head(head, target) + tail, iter(()), 0, b"")
    image = source.image
    if image is None:
        raise Unsupported("the pixel data cannot be told apart into frames")
    for tag in (0x7FE00001, 0x7FE00002):  # Extended Offset Table and its lengths
        head.dataset.pop(tag, None)
    if target != EXPLICIT:
        return _encapsulated(image, head, target, tail)
    if image.native:
        return _native(image, head, source.pixels["length"], source.native(), tail)
    return _decoded(image, head, tail)


def _tail(source: SourceFile, head: Head) -> bytes:
    """Return what follows the pixel data, in Explicit VR Little Endian, but padding and signatures."""
    if source.pixels is None:
        return b""
    start = source.pixels["offset"] + source.pixels["length"]
    rest = b"".join(source.read(start, source.size)).removeprefix(_END) if start < source.size else b""
    if not rest:
        return b""
    dataset = head.read_more(rest)
    # Padding is void; a signature over other bytes is too.
    for tag in list(dataset.keys()):
        if tag >= 0xFFFA0000:
            del dataset[tag]
    return write_elements(dataset, head) if len(dataset) else b""


def _whole(start: bytes, body: Iterator[bytes], length: int, end: bytes) -> Pieces:
    return len(start) + length + len(end), chain((start,), body, (end,) if end else ())


def _native(image: Image, head: Head, length: int, pixels: Iterator[bytes], tail: bytes) -> Pieces:
    """Native pixel data with what stands around them."""
    of_floats = {"7FE00008": b"OF", "7FE00009": b"OD"}.get(image.pixel_tag)
    vr = of_floats or (b"OB" if image.bits_allocated <= 8 else b"OW")
    padding = length % 2
    element = pack("<HH2sHI", 0x7FE0, int(image.pixel_tag[4:], 16), vr, 0, length + padding)
    return _whole(write_head(head, EXPLICIT) + element, pixels, length, b"\0" * padding + tail)


def _decoded(image: Image, head: Head, tail: bytes) -> Pieces:
    """Compressed pixel data to native."""
    single = image.bits_allocated == 1
    bits = image.count * image.rows * image.columns * image.samples
    length = (bits + 7) // 8 if single else image.count * frame_bytes(image)
    if length > 0xFFFFFFFE:  # the longest value of defined length (PS3.5 7.1.2)
        raise TooLarge(f"decoded pixel data of {length} bytes fit in no file of Explicit VR Little Endian")
    begun = decode(image, 1)
    _update_description(image, head.dataset, begun.photometric, image.planar)

    def frames() -> Iterator[Pixels]:
        yield begun
        for number in range(2, image.count + 1):
            pixels = decode(image, number)
            if pixels.photometric != begun.photometric:
                raise PixelError(f"frame {number} is {pixels.photometric}, the first {begun.photometric}")
            yield pixels

    if single:
        body = join_bits(pixels.array for pixels in frames())
    else:
        body = (native_bytes(image, pixels) for pixels in frames())
    return _native(image, head, length, body, tail)


def _encapsulated(image: Image, head: Head, target: str, tail: bytes) -> Pieces:
    """Pixel data to compressed frames, one fragment each, with a table of their offsets (PS3.5 A.4).

    pydicom's `encapsulate_buffer` wants a buffer for each frame. Here they share one file, as there may be thousands.
    """
    with ExitStack() as opened:
        body = opened.enter_context(SpooledTemporaryFile(max_size=8 * 1024 * 1024))
        offsets, lengths, photometric, planar = [], [], "", 0
        for number in range(1, image.count + 1):
            if target == image.transfer_syntax:  # only what is around the pixels changes
                encoded, photometric, planar = image.frame(number), image.photometric, image.planar
            else:
                encoded, photometric = encode(image, number, target)
            offsets.append(body.tell())
            lengths.append(len(encoded))
            body.writelines(itemize_frame(encoded))
        size = body.tell()
        _update_description(image, head.dataset, photometric, planar)
        table = b""
        if size <= 0xFFFFFFFF:
            table = pack(f"<{len(offsets)}I", *offsets)
        else:
            head.dataset.add_new(0x7FE00001, "OV", pack(f"<{len(offsets)}Q", *offsets))
            head.dataset.add_new(0x7FE00002, "OV", pack(f"<{len(lengths)}Q", *lengths))
        start = write_head(head, target) + pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)
        start += itemize_fragment(table)
        opened.pop_all()  # from here on the iterator closes it
        return _whole(start, _file_pieces(body), size, _END + tail)


def _file_pieces(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        file.seek(0)
        yield from iter(lambda: file.read(256 * 1024), b"")


def _update_description(image: Image, dataset: Dataset, photometric: str, planar: int) -> None:
    """Bring the Image Pixel Module (PS3.3 C.7.6.3) in line with converted pixels."""
    dataset.PhotometricInterpretation = photometric
    if image.samples > 1:
        dataset.PlanarConfiguration = planar
    if image.count > 1 and dataset.get("NumberOfFrames") != image.count:
        dataset.NumberOfFrames = image.count
    if image.transfer_syntax in _ALWAYS_LOSSY and "LossyImageCompression" not in dataset:
        # PS3.3 C.7.6.1.1.5: once lossy, always lossy.
        dataset.LossyImageCompression = "01"
