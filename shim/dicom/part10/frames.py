"""Where the frames of the pixel data lie in the file (PS3.5 8 and A.4, PS3.3 C.7.6.3).

Native pixel data give ``{"count", "offset", "length"}``, or ``"bits"`` instead of ``"length"`` when frames do not fill
whole bytes (PS3.5 8.1.1: they follow each other without padding). Encapsulated pixel data give ``{"count",
"fragments"}``: one list ``[offset, length, offset, length, …]`` a frame. Video is one stream, so one list, and
``"video": True``.
"""

from base64 import b64decode
from struct import unpack

from dicouch.dicom.part10.elements import PIXEL_TAGS
from dicouch.dicom.part10.model import Warnings
from dicouch.dicom.part10.walk import Pixels
from dicouch.dicom.part10.window import Window

_VIDEO = tuple(f"1.2.840.10008.1.2.4.{number}" for number in range(100, 109))
_RLE = "1.2.840.10008.1.2.5"
# What a frame begins with: JPEG and JPEG-LS, JPEG 2000 code streams, JP2 files (PS3.5 A.4.1 to A.4.4).
_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP")
_END_OF_IMAGE = b"\xff\xd9"

Fragments = list[tuple[int, int]]


def locate_frames(
    pixels: Pixels | None,
    dataset: dict,
    bulk: dict,
    transfer_syntax: str,
    little: bool,
    window: Window,
    warnings: Warnings,
) -> dict | None:
    """Find every frame of the pixel data.

    Parameters
    ----------
    pixels : Pixels or None
        The pixel data, as the walk met them.
    dataset, bulk : dict
        As in `dicouch.dicom.part10.model.Part10`.
    transfer_syntax : str
        Transfer syntax UID.
    little : bool
        Byte order of the file.
    window : Window
        The file; a few bytes of fragments are read where no table tells the frames.
    warnings : Warnings
        Receives what does not fit together.

    Returns
    -------
    dict or None
        As described above; None without pixel data.
    """
    if pixels is None or pixels.tag not in PIXEL_TAGS:
        return None
    declared = _first(dataset, "00280008")
    if declared is not None and (not isinstance(declared, int) or declared < 1):
        warnings.add(f"(0028,0008) NumberOfFrames is {declared!r}; the frames are counted.")
        declared = None
    if pixels.fragments is None:
        return _native(pixels, dataset, declared, warnings)
    if transfer_syntax.startswith(_VIDEO):
        stream = [number for fragment in pixels.fragments[1:] for number in fragment]
        return {"count": 1, "fragments": [stream], "video": True}
    frames = _encapsulated(pixels.fragments, dataset, bulk, transfer_syntax, declared, little, window, warnings)
    return {"count": len(frames), "fragments": [[n for fragment in frame for n in fragment] for frame in frames]}


def _native(pixels: Pixels, dataset: dict, declared: int | None, warnings: Warnings) -> dict:
    """Frames of one size, one after the other (PS3.5 8.1.1, 8.2)."""
    frame_bits = _frame_bits(pixels, dataset)
    value_bits = pixels.length * 8
    if not frame_bits:
        count = declared or 1
        length, rest = divmod(pixels.length, count)
        if rest > 1 or not length:
            warnings.add("The frames cannot be told apart: rows, columns or bits of the image are missing.")
            count, length = 1, pixels.length
        return {"count": count, "offset": pixels.offset, "length": length}
    if _first(dataset, "00280004") == "YBR_FULL_422" and (declared or 1) * frame_bits // 2 * 3 <= value_bits:
        warnings.add("(0028,0004) PhotometricInterpretation is YBR_FULL_422, yet the pixel data are not subsampled.")
        frame_bits = frame_bits // 2 * 3
    whole = value_bits // frame_bits
    count = declared or max(whole, 1)
    if declared is None and whole > 1:
        warnings.add(f"(0028,0008) NumberOfFrames is missing; the pixel data hold {whole} frames.")
    if whole < count:
        warnings.add(f"The pixel data hold {whole} of {count} frames whole.")
        if not whole:
            return {"count": 1, "offset": pixels.offset, "length": pixels.length}
        count = whole
    size = {"bits": frame_bits} if frame_bits % 8 and count > 1 else {"length": (frame_bits + 7) // 8}
    return {"count": count, "offset": pixels.offset, **size}


def _frame_bits(pixels: Pixels, dataset: dict) -> int:
    """Return the bits of one frame, 0 when the image description does not tell."""
    bits = {0x7FE00008: 32, 0x7FE00009: 64}.get(pixels.tag) or _first(dataset, "00280100")
    size = 1
    for number in (_first(dataset, "00280010"), _first(dataset, "00280011"), bits, _first(dataset, "00280002") or 1):
        if not isinstance(number, int) or number < 1:
            return 0
        size *= number
    # PS3.3 C.7.6.3.1.2: chrominance is sampled at half the rate horizontally.
    return size // 3 * 2 if _first(dataset, "00280004") == "YBR_FULL_422" else size


def _encapsulated(
    items: Fragments,
    dataset: dict,
    bulk: dict,
    transfer_syntax: str,
    declared: int | None,
    little: bool,
    window: Window,
    warnings: Warnings,
) -> list[Fragments]:
    """Share the fragments out to frames: by a table that is right, else by what the fragments themselves show."""
    fragments = items[1:]
    if not fragments:
        warnings.add("The pixel data hold no fragment.")
        return []
    index = {offset - fragments[0][0]: number for number, (offset, _) in enumerate(fragments)}
    frames = _by_extended_table(fragments, index, dataset, bulk, little, window, warnings)
    if frames is None:
        frames = _by_basic_table(items[0], fragments, index, declared, little, window, warnings)
    if frames is None:
        frames = _by_content(fragments, declared or 1, declared is not None, transfer_syntax, window)
    if declared is not None and len(frames) != declared:
        warnings.add(f"(0028,0008) NumberOfFrames is {declared}, the pixel data hold {len(frames)}.")
    return frames


def _by_extended_table(
    fragments: Fragments, index: dict, dataset: dict, bulk: dict, little: bool, window: Window, warnings: Warnings
) -> list[Fragments] | None:
    """Frames of the Extended Offset Table (PS3.3 C.7.6.3.1.8), each in one fragment; None without one that is right."""
    limit = 8 * len(fragments)
    tables = [_unsigned_long_longs(tag, dataset, bulk, limit, little, window) for tag in ("7FE00001", "7FE00002")]
    if not any(tables):
        return None
    offsets, lengths = tables
    numbers = [index.get(offset) for offset in offsets]
    if None in numbers or numbers != list(range(len(fragments))) or len(lengths) != len(offsets):
        warnings.add("(7FE0,0001) ExtendedOffsetTable does not fit the fragments and is not used.")
        return None
    frames = []
    for (offset, held), length in zip(fragments, lengths, strict=True):
        # The table knows the frame without its pad byte.
        frames.append([(offset, length if held - 1 <= length <= held else held)])
    return frames


def _unsigned_long_longs(tag: str, dataset: dict, bulk: dict, limit: int, little: bool, window: Window) -> list[int]:
    """Return the numbers of an OV element, none when it is missing, too long or no OV."""
    if tag in bulk:
        place = bulk[tag]
        raw = window.read(place["offset"], place["length"]) if place["length"] <= limit else b""
    else:
        raw = b64decode(dataset.get(tag, {}).get("InlineBinary", ""))
    count = len(raw) // 8
    return list(unpack(f"{'<' if little else '>'}{count}Q", raw[: count * 8])) if count * 8 <= limit else []


def _by_basic_table(
    table: tuple[int, int],
    fragments: Fragments,
    index: dict,
    declared: int | None,
    little: bool,
    window: Window,
    warnings: Warnings,
) -> list[Fragments] | None:
    """Frames of the Basic Offset Table (PS3.5 A.4), each up to the next one's fragment; None without a right one."""
    offset, length = table
    if not length:
        return None
    count = length // 4
    numbers = []
    if not length % 4 and count <= len(fragments):
        raw = window.read(offset, length)
        numbers = [index.get(place) for place in unpack(f"{'<' if little else '>'}{count}I", raw)]
    if not numbers or None in numbers or numbers[0] or numbers != sorted(set(numbers)):
        warnings.add("The Basic Offset Table does not fit the fragments and is not used.")
        return None
    if declared is not None and count < declared <= len(fragments):
        warnings.add(f"The Basic Offset Table has {count} frames, NumberOfFrames is {declared}; the table is not used.")
        return None
    ends = [*numbers[1:], len(fragments)]
    return [fragments[first:last] for first, last in zip(numbers, ends, strict=True)]


def _by_content(
    fragments: Fragments, count: int, certain: bool, transfer_syntax: str, window: Window
) -> list[Fragments]:
    """Frames without a table: one fragment each, or by the marks at which images begin and end."""
    if len(fragments) <= count or transfer_syntax == _RLE:
        # PS3.5 A.4.2: RLE frames are never split.
        return [[fragment] for fragment in fragments]
    if count == 1 and certain:
        return [fragments]
    heads = [window.read(offset, min(6, length)) for offset, length in fragments]
    begins = [number for number, head in enumerate(heads) if head.startswith(_STARTS)]
    by_start = _split(fragments, begins) if begins[:1] == [0] else []
    if len(by_start) == count or (by_start and not certain):
        return by_start
    tails = [window.read(offset + max(length - 10, 0), min(10, length)) for offset, length in fragments[:-1]]
    by_end = _split(fragments, [0, *(number for number, tail in enumerate(tails, 1) if _END_OF_IMAGE in tail)])
    if len(by_end) == count or not by_start:
        return by_end
    return by_start


def _split(fragments: Fragments, begins: list[int]) -> list[Fragments]:
    """Cut a list at the given places."""
    return [fragments[first:last] for first, last in zip(begins, [*begins[1:], len(fragments)], strict=True)]


def _first(dataset: dict, key: str) -> int | float | str | None:
    """Return the first value of an element, None without one."""
    values = dataset.get(key, {}).get("Value")
    return values[0] if values else None
