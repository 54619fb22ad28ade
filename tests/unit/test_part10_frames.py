"""Where frames lie: native (PS3.5 8), encapsulated with and without tables (PS3.5 A.4, PS3.3 C.7.6.3.1.8), video."""

import struct
import time

import pytest
from pydicom.encaps import generate_frames

from dicouch.dicom.part10 import Part10, read_part10
from tests.unit.made_part10 import (
    BIG,
    DEFLATED,
    IMPLICIT,
    JPEG,
    RLE,
    UNDEFINED,
    deflate,
    element,
    encapsulated,
    image,
    item,
    made,
    read,
)

A, B, C = b"\xff\xd8\xff\xe0AAAA\xff\xd9", b"\xff\xd8\xff\xe0BBBBBB\xff\xd9", b"\xff\xd8\xff\xe0CC\xff\xd9"


def cut(content: bytes, frames: dict) -> list[bytes]:
    if "fragments" in frames:
        return [
            b"".join(content[o : o + n] for o, n in zip(ranges[::2], ranges[1::2], strict=True))
            for ranges in frames["fragments"]
        ]
    length, start = frames["length"], frames["offset"]
    return [content[start + n * length : start + (n + 1) * length] for n in range(frames["count"])]


def offsets(*values: int, code: str = "I") -> bytes:
    return struct.pack(f"<{len(values)}{code}", *values)


def native(value: bytes, *description: bytes, vr: str = "OW", tag: int = 0x7FE00010) -> tuple[bytes, Part10]:
    content = made(*description, element(tag, vr, value))
    return content, read(content)


def test_native_frames() -> None:
    content, result = native(bytes(range(24)), *image(frames="3"))
    assert cut(content, result.frames) == [bytes(range(n, n + 8)) for n in (0, 8, 16)]
    place = result.bulk["7FE00010"]
    assert content[place["offset"] : place["offset"] + place["length"]] == bytes(range(24))
    assert result.warnings == []


@pytest.mark.parametrize("syntax", [IMPLICIT, BIG])
def test_native_frames_in_other_encodings(syntax: str) -> None:
    order = ">" if syntax == BIG else "<"
    description = image(frames="2", order=order)
    pixels = element(0x7FE00010, "OW", bytes(range(16)), order=order)
    if syntax == IMPLICIT:
        numbers = {0x00280010: 2, 0x00280011: 2, 0x00280100: 16}
        description = [element(tag, None, struct.pack("<H", number)) for tag, number in numbers.items()]
        description.append(element(0x00280008, None, "2"))
        pixels = element(0x7FE00010, None, bytes(range(16)))
    content = made(*description, pixels, syntax=syntax, order=order)
    assert cut(content, read(content).frames) == [bytes(range(8)), bytes(range(8, 16))]


@pytest.mark.parametrize(("frames", "warned"), [(None, "is missing"), ("0", "NumberOfFrames is 0"), ("x", "is 'x'")])
def test_number_of_frames_missing_or_wrong_is_counted(frames: str | None, warned: str) -> None:
    more = {"frames": frames} if frames else {}
    content, result = native(bytes(range(24)), *image(**more))
    assert result.frames["count"] == 3
    assert any(warned in sentence for sentence in result.warnings)


def test_a_pad_byte_is_no_frame() -> None:
    content, result = native(bytes(10), *image(rows=3, columns=3, bits=8))
    assert result.frames == {"count": 1, "offset": result.bulk["7FE00010"]["offset"], "length": 9}
    assert result.warnings == []


@pytest.mark.parametrize(
    ("rows", "columns", "count", "expected"),
    [(3, 3, 4, {"bits": 9}), (4, 4, 4, {"length": 2}), (3, 3, 1, {"length": 2})],
)
def test_bit_packed_frames(rows: int, columns: int, count: int, expected: dict) -> None:
    """PS3.5 8.1.1: frames of one bit a pixel follow each other without padding."""
    _, result = native(bytes(8), *image(rows, columns, bits=1, frames=str(count)), vr="OB")
    assert {key: value for key, value in result.frames.items() if key in ("bits", "length")} == expected
    assert result.frames["count"] == count


def test_subsampled_chrominance() -> None:
    """PS3.3 C.7.6.3.1.2, YBR_FULL_422: two samples a pixel."""
    description = image(2, 4, bits=8, samples=3, photometric="YBR_FULL_422", frames="2")
    _, result = native(bytes(32), *description, vr="OB")
    assert (result.frames["count"], result.frames["length"]) == (2, 16)
    _, result = native(bytes(48), *description, vr="OB")
    assert (result.frames["count"], result.frames["length"]) == (2, 24)
    assert any("not subsampled" in sentence for sentence in result.warnings)


@pytest.mark.parametrize(("tag", "vr", "width"), [(0x7FE00008, "OF", 4), (0x7FE00009, "OD", 8)])
def test_float_pixel_data(tag: int, vr: str, width: int) -> None:
    description = [encoded for encoded in image(frames="2") if encoded[:4] != bytes.fromhex("28000001")]
    content, result = native(bytes(range(8 * width)), *description, vr=vr, tag=tag)
    assert cut(content, result.frames) == [bytes(range(4 * width)), bytes(range(4 * width, 8 * width))]
    assert result.dataset[f"{tag:08X}"] == {"vr": vr, "BulkDataURI": f"bulkdata/{tag:08X}"}


def test_truncated_native_pixel_data() -> None:
    whole = made(*image(frames="3"), element(0x7FE00010, "OW", bytes(24)))
    for cut_off, count, length in ((1, 2, 8), (8, 2, 8), (17, 1, 7)):
        content = whole[:-cut_off]
        result = read(content)
        assert result.bulk["7FE00010"]["length"] == 24 - cut_off
        assert (result.frames["count"], result.frames["length"]) == (count, length)
        assert any("is cut off" in sentence for sentence in result.warnings)
    assert read(whole[:-24]).frames is None


def test_without_description_the_value_is_one_frame() -> None:
    _, result = native(bytes(10))
    assert (result.frames["count"], result.frames["length"]) == (1, 10)


def compressed(*fragments: bytes, table: bytes = b"", frames: int | None = None, syntax: str = JPEG, more=()) -> tuple:
    description = [element(0x00280008, "IS", str(frames))] if frames else []
    content = made(*description, *more, encapsulated(*fragments, table=table), syntax=syntax)
    return content, read(content)


@pytest.mark.parametrize(
    ("fragments", "table", "frames", "expected"),
    [
        pytest.param([A], b"", None, [A], id="one fragment"),
        pytest.param([A, B, C], b"", 3, [A, B, C], id="one fragment a frame, empty table"),
        pytest.param([A, B, C], offsets(0, 18, 38), 3, [A, B, C], id="one fragment a frame, table"),
        pytest.param([A[:4], A[4:], B], offsets(0, 26), 2, [A, B], id="fragments, table"),
        pytest.param([A[:4], A[4:], B[:6], B[6:], C], b"", 3, [A, B, C], id="fragments, empty table"),
        pytest.param([A[:4], A[4:8], A[8:]], b"", 1, [A], id="one frame of fragments"),
        pytest.param([A[:4], A[4:8], A[8:]], b"", None, [A], id="one frame of fragments, no count"),
        pytest.param([A, B, C], b"", None, [A, B, C], id="no count"),
        pytest.param([A, B, C], offsets(0, 18, 38), None, [A, B, C], id="no count, table"),
    ],
)
def test_encapsulated_frames(fragments: list, table: bytes, frames: int | None, expected: list) -> None:
    content, result = compressed(*fragments, table=table, frames=frames)
    assert cut(content, result.frames) == expected
    assert result.frames["count"] == len(expected)
    place = result.bulk["7FE00010"]
    value = content[place["offset"] : place["offset"] + place["length"]]
    assert place["encapsulated"]
    assert list(generate_frames(value, number_of_frames=frames or len(expected))) == expected
    assert result.warnings == []


@pytest.mark.parametrize(
    "table",
    [
        pytest.param(offsets(0, 18), id="too few"),
        pytest.param(offsets(0, 18, 38, 60), id="too many"),
        pytest.param(offsets(0, 18, 39), id="between items"),
        pytest.param(offsets(0, 38, 18), id="falling"),
        pytest.param(offsets(0, 0, 0), id="repeated"),
        pytest.param(offsets(8, 26, 46), id="counted from elsewhere"),
        pytest.param(offsets(0, 18, 2**32 - 2), id="outside"),
        pytest.param(b"\0\0\0\0\x12\0", id="odd length"),
    ],
)
def test_wrong_basic_offset_table_is_not_used(table: bytes) -> None:
    content, result = compressed(A, B, C, table=table, frames=3)
    assert cut(content, result.frames) == [A, B, C]
    assert any("Basic Offset Table" in sentence for sentence in result.warnings)


@pytest.mark.parametrize("large", [False, True])
def test_extended_offset_table(large: bool) -> None:
    """PS3.3 C.7.6.3.1.8; a table longer than the limit of inline values is bulk data itself."""
    frames = [A[:-1] + b"x", B, C] * (100 if large else 1)
    padded = [frame + b"\0" * (len(frame) % 2) for frame in frames]
    starts = [sum(len(frame) + 8 for frame in padded[:n]) for n in range(len(padded))]
    tables = [
        element(0x7FE00001, "OV", offsets(*starts, code="Q")),
        element(0x7FE00002, "OV", offsets(*(len(frame) - (n == 1) for n, frame in enumerate(frames)), code="Q")),
    ]
    content, result = compressed(*padded, frames=len(frames), more=tables)
    frames[1] = frames[1][:-1]
    assert cut(content, result.frames) == frames
    assert ("7FE00001" in result.bulk) is large
    assert result.warnings == []
    wrong = [element(0x7FE00001, "OV", offsets(*(n + 2 for n in starts), code="Q")), tables[1]]
    content, result = compressed(*padded, frames=len(frames), more=wrong)
    assert cut(content, result.frames) == padded
    assert any("ExtendedOffsetTable" in sentence for sentence in result.warnings)


@pytest.mark.parametrize(
    ("starts", "end"),
    [(b"\xff\x4f\xff\x51", b"\xff\xd9"), (b"\x00\x00\x00\x0cjP  \r\n\x87\n", b"\xff\xd9"), (b"\xff\xd8\xff", b"")],
)
def test_marks_of_other_codecs(starts: bytes, end: bytes) -> None:
    one, two = starts + b"one!" + end, starts + b"two!two!" + end
    content, result = compressed(one[:6], one[6:], two[:6], two[6:10], two[10:], frames=2)
    assert [frame.rstrip(b" ") for frame in cut(content, result.frames)] == [one, two]


def test_end_marks_when_starts_do_not_help() -> None:
    one, two = b"??one\xff\xd9", b"??two\xff\xd9"
    content, result = compressed(one[:4], one[4:] + b"\0", two[:4], two[4:] + b"\0", frames=2)
    assert cut(content, result.frames) == [one + b"\0", two + b"\0"]


def test_rle_has_a_fragment_a_frame() -> None:
    """PS3.5 A.4.2."""
    content, result = compressed(b"one!", b"two!", b"three!", frames=2, syntax=RLE)
    assert cut(content, result.frames) == [b"one!", b"two!", b"three!"]
    assert any("hold 3" in sentence for sentence in result.warnings)


def test_fewer_fragments_than_frames() -> None:
    content, result = compressed(A, B, frames=5)
    assert cut(content, result.frames) == [A, B]
    assert "(0028,0008) NumberOfFrames is 5, the pixel data hold 2." in result.warnings


@pytest.mark.parametrize("number", ["100", "100.1", "102", "103.1", "106", "107", "108"])
def test_video_is_one_stream(number: str) -> None:
    syntax = f"1.2.840.10008.1.2.4.{number}"
    content, result = compressed(b"first", b"second", b"third!", frames=500, syntax=syntax)
    assert result.frames["count"] == 1
    assert result.frames["video"] is True
    assert cut(content, result.frames) == [b"firstsecondthird!"]


def test_encapsulated_uncompressed() -> None:
    content, result = compressed(bytes(8), bytes(8), frames=2, syntax="1.2.840.10008.1.2.1.98")
    assert result.frames["count"] == 2


def test_no_fragment() -> None:
    _, result = compressed(frames=1)
    assert result.frames == {"count": 0, "fragments": []}
    assert "The pixel data hold no fragment." in result.warnings
    _, result = compressed(b"", frames=1)
    assert result.frames["count"] == 1


@pytest.mark.parametrize("cut_off", [8, 9, 12, 16])
def test_truncated_fragments(cut_off: int) -> None:
    whole, _ = compressed(A, B, C, frames=3)
    content = whole[:-cut_off]
    result = read(content)
    assert result.frames["count"] == 3
    assert cut(content, result.frames)[:2] == [A, B]
    ranges = result.frames["fragments"][-1]
    assert ranges[0] + ranges[1] <= len(content)
    assert any(sentence.startswith("(7FE0,0010) PixelData") for sentence in result.warnings)


def test_something_between_fragments_ends_them() -> None:
    value = item() + item(A) + b"garbage!" + item(B)
    content = made(element(0x7FE00010, "OB", value, length=UNDEFINED), syntax=JPEG)
    result = read(content)
    assert cut(content, result.frames) == [A]
    assert any("no item" in sentence for sentence in result.warnings)


def test_odd_fragments_with_a_pad_byte_beyond_their_length() -> None:
    value = item() + item(b"odd") + b"\0" + item(B) + bytes.fromhex("FEFFDDE000000000")
    content = made(element(0x00280008, "IS", "2"), element(0x7FE00010, "OB", value, length=UNDEFINED), syntax=JPEG)
    assert cut(content, read(content).frames) == [b"odd", B]


def test_what_follows_encapsulated_pixel_data_is_read() -> None:
    _, result = compressed(A, more=[element(0xFFFAFFFA, "SQ"), element(0xFFFCFFFC, "OB", bytes(10))])
    assert list(result.dataset)[-1] == "FFFAFFFA"


def test_icon_pixels_are_no_frames() -> None:
    icon = item(*image(), encapsulated(A, B))
    content = made(element(0x00880200, "SQ", icon), syntax=JPEG)
    result = read(content)
    assert result.frames is None
    place = result.bulk["00880200/0/7FE00010"]
    assert place["encapsulated"]
    assert list(generate_frames(content[place["offset"] : place["offset"] + place["length"]], number_of_frames=2)) == [
        A,
        B,
    ]


def test_frames_of_a_deflated_file_count_in_the_inflated_stream() -> None:
    inflated = made(*image(frames="2"), element(0x7FE00010, "OW", bytes(range(16))), syntax=DEFLATED)
    result = read(deflate(inflated))
    assert result.deflated
    assert cut(inflated, result.frames) == [bytes(range(8)), bytes(range(8, 16))]


class ManyFragments:
    """A file of very many equal fragments, made where it is read; `taken` counts the bytes that were."""

    def __init__(self, count: int, length: int) -> None:
        head = element(0x00280008, "IS", str(count)), element(0x7FE00010, "OB", item(), length=UNDEFINED)
        self.head = made(*head, syntax=JPEG)
        self.period = struct.pack("<HHI", 0xFFFE, 0xE000, length) + bytes(length)
        self.end = len(self.head) + count * len(self.period)
        self.size = self.end + 8
        self.position = self.taken = 0

    def seek(self, position: int, whence: int = 0) -> int:
        self.position = self.size if whence else position
        return self.position

    def read(self, size: int) -> bytes:
        start, stop = self.position, min(self.position + size, self.size)
        self.taken += stop - start
        self.position = stop
        into = max(start - len(self.head), 0) % len(self.period)
        body = (self.period * ((stop - start) // len(self.period) + 2))[into:]
        data = self.head[start:] + body if start < len(self.head) else body
        return (data[: self.end - start] + bytes.fromhex("FEFFDDE000000000"))[: stop - start]


def test_many_fragments_are_walked_quickly_and_not_read() -> None:
    count, length = 100_000, 6_000
    source = ManyFragments(count, length)
    began = time.process_time()
    result = read_part10(source, source.size)
    assert time.process_time() - began < 5
    assert result.frames["count"] == count
    assert result.frames["fragments"][-1] == [source.size - 8 - length, length]
    assert result.warnings == []
    assert source.taken < 2_000_000
