"""Pixel data of an instance that is built: its transfer syntax, its description, its encoding (PS3.18 10.5.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from struct import pack

from PIL import Image
from pydicom.uid import (
    HEVCM10P51,
    HEVCMP51,
    MPEG2MPML,
    MPEG4HP41,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from dicouch.dicom.build.model import BuildError, Bulk, Scratch
from dicouch.dicom.errors import MISSING_ATTRIBUTE, PIXELS_DO_NOT_FIT, UNSUPPORTED_SYNTAX
from dicouch.dicom.json_model import JsonDataset, first_value
from dicouch.dicom.part10.byte_source import ByteSource
from dicouch.dicom.part10.dictionary import key_of, label
from dicouch.dicom.part10.encode import Stream
from dicouch.dicom.part10.model import Warnings
from dicouch.dicom.part10.walk import Walk
from dicouch.dicom.pixels.codestream import HEAD, Codestream, identify, jpeg_2000_start
from dicouch.dicom.syntaxes import EXPLICIT_LITTLE, OCTETS, TABLE, syntax_of

# Uncompressed transfer syntaxes a part may name: the pixel data of all of them are little endian, and are stored as
# Explicit VR Little Endian (PS3.18 8.7.3 allows neither of the others).
_NATIVE = frozenset((ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian))

# Transfer syntaxes of each media type (PS3.18 Table 8.7.3-5).
_MEDIA: dict[str, set[str]] = {"video/h265": {HEVCMP51, HEVCM10P51}}
for _row in TABLE.values():
    if _row.stored and _row.media_type != OCTETS:
        _MEDIA.setdefault(_row.media_type, set()).add(_row.uid)
# Where one syntax is all there is, or nothing in the stream is read that would tell.
_ONLY = {"image/dicom-rle": RLELossless, "video/mpeg": MPEG2MPML, "video/mp4": MPEG4HP41, "video/h265": HEVCMP51}

_PICTURES = frozenset(("image/png", "image/gif"))
_LARGEST_PICTURE = 256 << 20  # bytes of the file; its decoder holds it in memory

SAMPLES, PHOTOMETRIC, PLANAR, FRAMES = 0x00280002, 0x00280004, 0x00280006, 0x00280008
ROWS, COLUMNS = 0x00280010, 0x00280011
ALLOCATED, STORED, HIGH_BIT, SIGNED = 0x00280100, 0x00280101, 0x00280102, 0x00280103
PIXEL_DATA, FLOAT_PIXELS, DOUBLE_PIXELS = 0x7FE00010, 0x7FE00008, 0x7FE00009
PIXEL_TAGS = (PIXEL_DATA, FLOAT_PIXELS, DOUBLE_PIXELS)


def is_video(bulk: Bulk) -> bool:
    """Tell whether a part holds all frames of a video."""
    return bulk.media.type == "video"


def holds_frames(bulk: Bulk) -> bool:
    """Tell whether a part may hold all frames of an instance: native pixel data, a video, an animation."""
    syntax = bulk.media.transfer_syntax
    return (
        is_video(bulk)
        or bulk.media.essence == "image/gif"
        or (bulk.media.essence == OCTETS and not syntax_of(syntax or "").encapsulated)
    )


def number_of_frames(dataset: JsonDataset) -> int | None:
    """Return Number of Frames; None where it is missing."""
    value = _first(dataset, FRAMES)
    if value is None:
        return None
    try:
        count = int(str(value).strip())
    except ValueError:
        count = 0
    if count < 1:
        raise BuildError(f"{label(FRAMES)} is {str(value)[:20]!r}, no number of frames")
    return count


def prepare(dataset: JsonDataset, tag: int, parts: list[Bulk], hint: str, scratch: Scratch) -> str:
    """Put the pixel data into the data set as they will be stored; return the transfer syntax of the instance.

    The data set must describe them. The parts are one, or one a frame; `hint` is the transfer syntax that the metadata
    name for parts that name none, perhaps empty.

    Raises
    ------
    BuildError
    """
    media = parts[0].media
    kinds = {(part.media.essence, part.media.transfer_syntax) for part in parts}
    if len(kinds) > 1:
        raise BuildError("the frames of the pixel data are not all of one media type and transfer syntax")
    numbers = [part.frame for part in parts]
    if any(numbers) and sorted(numbers) != list(range(1, len(parts) + 1)):
        raise BuildError(f"the frames received are {', '.join(map(str, sorted(numbers)[:20]))}")
    parts = sorted(parts, key=lambda part: part.frame)  # stable: without numbers they stay in order of arrival
    if media.essence in _PICTURES:
        return _transform(dataset, tag, parts, scratch)
    essence = media.essence
    named = media.transfer_syntax if media.transfer_syntax != "*" else None
    if essence == OCTETS:
        syntax = named or hint or EXPLICIT_LITTLE
        if syntax in _NATIVE:
            return _native(dataset, tag, parts, scratch)
        if not syntax_of(syntax).encapsulated:
            raise BuildError(f"pixel data of the transfer syntax {syntax[:64]} cannot be stored", UNSUPPORTED_SYNTAX)
    elif essence not in _MEDIA:
        raise BuildError(f"pixel data of the type {media.essence[:64]} cannot be stored", UNSUPPORTED_SYNTAX)
    else:
        if named and named not in _MEDIA[essence]:
            raise BuildError(f"{named[:64]} is no transfer syntax of {media.essence}", UNSUPPORTED_SYNTAX)
        syntax = named or (hint if hint in _MEDIA[essence] else "")
    if tag != PIXEL_DATA:
        raise BuildError(f"{label(tag)} cannot be compressed")
    return _compress(dataset, essence, syntax, parts, scratch)


def _native(dataset: JsonDataset, tag: int, parts: list[Bulk], scratch: Scratch) -> str:
    if _first(dataset, ALLOCATED) is None and tag != PIXEL_DATA:
        _set(dataset, ALLOCATED, "US", 32 if tag == FLOAT_PIXELS else 64)
    rows, columns, samples, allocated = (_number(dataset, name) for name in (ROWS, COLUMNS, SAMPLES, ALLOCATED))
    bits = rows * columns * samples * allocated * (number_of_frames(dataset) or 1)
    if _first(dataset, PHOTOMETRIC) == "YBR_FULL_422":
        bits = bits // 3 * 2  # PS3.3 C.7.6.3.1.2
    expected = (bits + 7) // 8
    length = sum(part.length for part in parts)
    if length not in (expected, expected + expected % 2):
        raise BuildError(f"the pixel data have {length} bytes, the image {expected}", PIXELS_DO_NOT_FIT)
    vr = {FLOAT_PIXELS: "OF", DOUBLE_PIXELS: "OD"}.get(tag, "OW")
    if vr == "OW" and allocated <= 8 and dataset[key_of(tag)].get("vr") == "OB":
        vr = "OB"
    pieces = [scratch.stream(part).pieces for part in parts]
    dataset[key_of(tag)] = {"vr": vr, "Stream": Stream(length, lambda: (piece for give in pieces for piece in give()))}
    return EXPLICIT_LITTLE


def _transform(dataset: JsonDataset, tag: int, parts: list[Bulk], scratch: Scratch) -> str:
    """Decode PNG and GIF; the description is that of what they decode to (PS3.18 Table 10.5.2-1)."""
    size: tuple[int, int, int, int] | None = None
    native: list[Bulk] = []
    for part in parts:
        if part.length > _LARGEST_PICTURE:
            raise BuildError(f"a picture of {part.length} bytes is larger than the {_LARGEST_PICTURE} that can be read")
        for told, pixels in _pictures(scratch.read(part.offset, part.length)):
            size = size or told
            if size != told:
                raise BuildError("the frames of the pixel data differ in size or depth")
            native.append(Bulk(*scratch.add([pixels]), part.media))
    if size is None:
        raise BuildError("the picture holds no frame")
    rows, columns, samples, bits = size
    _agree(dataset, ROWS, rows, "picture")
    _agree(dataset, COLUMNS, columns, "picture")
    _agree_frames(dataset, len(native))
    grey = samples == 1
    photometric = _first(dataset, PHOTOMETRIC)
    if not (grey and photometric in ("MONOCHROME1", "MONOCHROME2")):
        _set(dataset, PHOTOMETRIC, "CS", "MONOCHROME2" if grey else "RGB")
    for name, value in ((SAMPLES, samples), (ALLOCATED, bits), (STORED, bits), (HIGH_BIT, bits - 1), (SIGNED, 0)):
        _set(dataset, name, "US", value)
    if not grey:
        _set(dataset, PLANAR, "US", 0)
    return _native(dataset, tag, native, scratch)


def _pictures(data: bytes) -> Iterator[tuple[tuple[int, int, int, int], bytes]]:
    """Yield rows, columns, samples, bits, and the native pixels of each frame; an animated GIF has several (note 3)."""
    try:
        with Image.open(BytesIO(data), formats=["PNG", "GIF"]) as image:
            # IHDR: bit depth and colour type. Pillow reads 16-bit colour as 8-bit, which loses what is there.
            if image.format == "PNG" and data[24] == 16 and data[25] in (2, 4, 6):
                raise BuildError("a PNG of 16 bits a colour cannot be kept without loss")
            for number in range(getattr(image, "n_frames", 1)):
                image.seek(number)
                if image.mode.startswith("I"):
                    made, samples, bits = image if image.mode == "I;16" else image.convert("I;16"), 1, 16
                elif image.mode in ("1", "L", "LA"):  # transparency is discarded (notes 4 and 5)
                    made, samples, bits = image.convert("L"), 1, 8
                else:  # indexed colours become true ones (note 1)
                    made, samples, bits = image.convert("RGB"), 3, 8
                yield (image.height, image.width, samples, bits), made.tobytes()
    except BuildError:
        raise
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, Image.DecompressionBombError) as problem:
        raise BuildError(f"the picture cannot be read: {problem}") from problem


def _compress(dataset: JsonDataset, essence: str, syntax: str, parts: list[Bulk], scratch: Scratch) -> str:
    count = number_of_frames(dataset)
    video = is_video(parts[0]) or syntax_of(syntax).video
    head = scratch.read(parts[0].offset, min(parts[0].length, HEAD))
    if essence == OCTETS and len(parts) == 1 and head.startswith(b"\xfe\xff\x00\xe0"):
        _check_items(parts[0], scratch)
        _set_pixels(dataset, scratch.stream(parts[0]).pieces)
        return syntax
    if video and len(parts) > 1:
        raise BuildError(f"a video comes as one part, not {len(parts)}")
    if not video:
        _agree_frames(dataset, len(parts))
    found = _look(parts, scratch, video)
    syntax = syntax or (found.transfer_syntax if found else _ONLY.get(essence, ""))
    allowed = _MEDIA.get(essence)
    if not syntax or (allowed and syntax not in allowed):
        what = found.kind if found and found.kind else "what was received"
        raise BuildError(f"{what} is not of a transfer syntax of {essence}; name one", UNSUPPORTED_SYNTAX)
    _describe(dataset, found, syntax)
    starts = [0 if video else jpeg_2000_start(scratch.read(part.offset, min(part.length, HEAD))) for part in parts]
    frames = [(part.offset + start, part.length - start) for part, start in zip(parts, starts, strict=True)]
    if any(length == 0 for _offset, length in frames):
        raise BuildError("a frame of the pixel data is empty")
    if any(length > 0xFFFFFFFE - length % 2 for _offset, length in frames):
        raise BuildError("a frame has more bytes than a fragment can have")
    if video and count is None:
        raise BuildError(f"{label(FRAMES)} is missing", MISSING_ATTRIBUTE)
    _set_pixels(dataset, lambda: _items(frames, scratch))
    return syntax


def _look(parts: list[Bulk], scratch: Scratch, video: bool) -> Codestream | None:
    """Return what all frames say of themselves."""
    found = None
    for number, part in enumerate(parts, 1):
        head = scratch.read(part.offset, min(part.length, HEAD))
        start = jpeg_2000_start(head)
        if video and part.length > HEAD:
            head += scratch.read(max(part.offset + part.length - HEAD, part.offset), HEAD)
        said = identify(head[start:])
        if number > 1 and said != found:
            raise BuildError(f"frame {number} is not of the size, depth and kind of the first", PIXELS_DO_NOT_FIT)
        found = said
    return found


def _describe(dataset: JsonDataset, found: Codestream | None, syntax: str) -> None:
    """Fill in the Image Pixel Description Macro (PS3.3 Table C.7-11c) from the stream; what is there must agree."""
    if found is not None:
        for name, told in ((ROWS, found.rows), (COLUMNS, found.columns), (SAMPLES, found.samples)):
            _agree(dataset, name, told, found.kind)
        derived = {
            PHOTOMETRIC: ("CS", found.photometric),
            ALLOCATED: ("US", 8 if found.bits <= 8 else 16 if found.bits <= 16 else 32),
            STORED: ("US", found.bits),
            HIGH_BIT: ("US", found.bits - 1),
            SIGNED: ("US", int(found.signed)),
        }
        if found.samples > 1:
            derived[PLANAR] = ("US", 0)
        for name, (vr, value) in derived.items():
            if _first(dataset, name) is None:
                _set(dataset, name, vr, value)
    for name in (ROWS, COLUMNS, SAMPLES, ALLOCATED):
        _number(dataset, name)
    lossy = syntax_of(syntax).lossy
    if lossy and _first(dataset, 0x00282110) is None:
        _set(dataset, 0x00282110, "CS", "01")
        if _first(dataset, 0x00282114) is None:
            _set(dataset, 0x00282114, "CS", lossy)


def _items(frames: list[tuple[int, int]], scratch: Scratch) -> Iterator[bytes]:
    """Yield a Basic Offset Table and one fragment a frame (PS3.5 A.4); the table is empty where it cannot point.

    pydicom's `encapsulate_buffer` needs a file object of its own for each frame.
    """
    starts, position = [], 0
    for _offset, length in frames:
        starts.append(position)
        position += 8 + length + length % 2
    table = pack(f"<{len(starts)}I", *starts) if starts[-1] <= 0xFFFFFFFF else b""
    yield pack("<HHI", 0xFFFE, 0xE000, len(table)) + table
    for offset, length in frames:
        yield pack("<HHI", 0xFFFE, 0xE000, length + length % 2)
        yield from scratch.pieces(offset, length)
        if length % 2:
            yield b"\0"


def _check_items(part: Bulk, scratch: Scratch) -> None:
    """See that a part that comes encapsulated is a list of items that fill it, without delimiter."""
    position, end = part.offset, part.offset + part.length
    walk = Walk(ByteSource(scratch.file, scratch.size), Warnings())
    for start, length in walk.items(position, end, little=True, delimited=False):
        position = start + length
        if position > end:
            break
    if walk.problem:
        raise BuildError("the encapsulated pixel data are no list of items")
    if position != end:
        raise BuildError("the encapsulated pixel data are cut off")


def _set_pixels(dataset: JsonDataset, pieces: Callable[[], Iterable[bytes]]) -> None:
    dataset[key_of(PIXEL_DATA)] = {"vr": "OB", "Stream": Stream(None, pieces)}


def _agree_frames(dataset: JsonDataset, count: int) -> None:
    declared = number_of_frames(dataset)
    if declared is None and count > 1:
        _set(dataset, FRAMES, "IS", count)
    elif (declared or 1) != count:
        parts = "1 frame" if count == 1 else f"{count} frames"
        raise BuildError(f"{parts} received, {label(FRAMES)} is {declared}", PIXELS_DO_NOT_FIT)


def _agree(dataset: JsonDataset, tag: int, told: int, kind: str) -> None:
    """Take an attribute from the stream, unless the data set says otherwise already."""
    if not told:
        return
    if _first(dataset, tag) is None:
        _set(dataset, tag, "US", told)
    elif _number(dataset, tag) != told:
        raise BuildError(f"{label(tag)} is {_number(dataset, tag)}, the {kind} has {told}", PIXELS_DO_NOT_FIT)


def _first(dataset: JsonDataset, tag: int) -> object:
    return first_value(dataset, key_of(tag))


def _number(dataset: JsonDataset, tag: int) -> int:
    value = _first(dataset, tag)
    if value is None:
        raise BuildError(f"{label(tag)} is missing", MISSING_ATTRIBUTE)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or value < 1:
        raise BuildError(f"{label(tag)} is {str(value)[:20]!r}, no number above 0")
    return int(value)


def _set(dataset: JsonDataset, tag: int, vr: str, value: object) -> None:
    dataset[key_of(tag)] = {"vr": vr, "Value": [value]}
