"""Grayscale values by hand: modality, VOI and presentation LUTs, padding, palettes (PS3.3 C.7.6.3, C.7.9, C.11)."""

import math
from base64 import b64encode

import numpy as np
import pytest
from pydicom.pixels.processing import _expand_segmented_lut

from dicouch.dicom.errors import PixelError
from dicouch.dicom.pixels import palette
from dicouch.dicom.pixels.decode import Pixels
from dicouch.dicom.pixels.image import Image
from dicouch.dicom.pixels.luts import LINEAR, LINEAR_EXACT, SIGMOID, VoiWindow
from dicouch.dicom.pixels.render import render, representative

NUMBERS = {
    "00280008": "frames", "00280100": "bits", "00280101": "stored", "00280103": "signed", "00280120": "padding",
    "00280121": "padding_limit", "00281050": "center", "00281051": "width", "00281052": "intercept",
    "00281053": "slope", "00286010": "representative",
}  # fmt: skip


def image(array, photometric="MONOCHROME2", **attributes) -> Image:
    array = np.array(array)
    values = {"bits": array.dtype.itemsize * 8, "signed": int(array.dtype.kind == "i"), **attributes}
    dataset = {
        "00280002": {"vr": "US", "Value": [1]},
        "00280004": {"vr": "CS", "Value": [photometric]},
        "00280010": {"vr": "US", "Value": [array.shape[0]]},
        "00280011": {"vr": "US", "Value": [array.shape[1]]},
        "7FE00010": {"vr": "OW"},
    }
    for tag, name in NUMBERS.items():
        if name in values:
            value = values.pop(name)
            dataset[tag] = {"vr": "DS", "Value": value if isinstance(value, list) else [value]}
    dataset.update({tag: value for tag, value in values.items() if tag[:4].isalnum() and len(tag) == 8})
    return Image(dataset, "1.2.840.10008.1.2.1", int(attributes.get("frames", 1)), lambda _n: b"", native=True)


def shown(array, window=None, number=1, photometric="MONOCHROME2", **attributes):
    array = np.array(array)
    made = image(array, photometric, **attributes)
    return render(made, number, Pixels(array, photometric), window).tolist()


def table(first: int, entries: list[int], bits: int, vr: str = "US") -> dict:
    data = {"vr": "US", "Value": entries}
    if vr == "OW":
        data = {"vr": "OW", "InlineBinary": b64encode(np.array(entries, "<u2").tobytes()).decode()}
    return {"00283002": {"vr": "US", "Value": [len(entries), first, bits]}, "00283006": data}


def sequence(*items: dict) -> dict:
    return {"vr": "SQ", "Value": list(items)}


CODE = np.array([[0, 100], [200, 300]], np.uint16)


def by_the_standard(x: float, center: float, width: float, function: str) -> float:
    """PS3.3 C.11.2.1.2.1, C.11.2.1.3.1 and C.11.2.1.3.2, with an output from 0 to 1."""
    if function == SIGMOID:
        power = -4 * (x - center) / width
        return 1 / (1 + math.exp(power)) if power < 700 else 0
    if function == LINEAR:
        center, width = center - 0.5, width - 1
    if x <= center - width / 2:
        return 0
    return 1 if x > center + width / 2 else (x - center) / width + 0.5


@pytest.mark.parametrize("function", [LINEAR, LINEAR_EXACT, SIGMOID])
@pytest.mark.parametrize(("center", "width"), [(128, 256), (40.5, 400), (1000, 1), (-20, 13.7)])
def test_windows_equal_the_standards(function, center, width):
    values = np.linspace(-300, 300, 61)
    expected = [by_the_standard(value, center, width, function) for value in values]
    assert np.allclose(VoiWindow(center, width, function).apply(values), expected, atol=1e-12)


def test_linear_window_by_hand():
    # PS3.3 C.11.2.1.2.1: y = ((x - (c - 0.5)) / (w - 1) + 0.5) * 255
    assert shown(CODE, VoiWindow(150, 201)) == [[0, 64], [192, 255]]
    assert shown(CODE, VoiWindow(150, 200, LINEAR_EXACT)) == [[0, 64], [191, 255]]
    assert shown(CODE, VoiWindow(150, 100, SIGMOID)) == [[1, 30], [225, 254]]


def test_slope_and_intercept_come_before_the_window():
    assert shown(CODE, VoiWindow(0, 400, LINEAR_EXACT), slope=2, intercept=-200) == [[0, 128], [255, 255]]
    assert shown(
        CODE, slope=-1, intercept=0, center=-150, width=300, **{"00281056": {"vr": "CS", "Value": ["LINEAR_EXACT"]}}
    ) == [
        [255, 170],
        [85, 0],
    ]


def test_modality_lut():
    item = table(100, [0, 50, 1000], 12)
    values = [[99, 100], [101, 102]]
    assert shown(np.array(values, np.uint16), VoiWindow(500, 1000, LINEAR_EXACT), **{"00283000": sequence(item)}) == [
        [0, 0],
        [13, 255],
    ]


@pytest.mark.parametrize("vr", ["US", "OW"])
def test_voi_lut_counts_before_a_stored_window_and_after_one_asked_for(vr):
    item = table(0, [0, 4095, 1024, 2048], 12, vr)
    values = np.array([[0, 1], [2, 9]], np.uint16)
    attributes = {"00283010": sequence(item), "center": 1, "width": 2}
    assert shown(values, **attributes) == [[0, 255], [64, 128]]
    assert shown(values, VoiWindow(1, 2, LINEAR_EXACT), **attributes) == [[0, 128], [255, 255]]


def test_voi_lut_of_signed_values():
    item = table(65534, [10, 20, 30, 40], 8)  # the first value is -2
    assert shown(np.array([[-9, -2], [0, 5]], np.int16), **{"00283010": sequence(item)}) == [[10, 10], [30, 40]]


def test_several_windows_the_first_that_works():
    assert shown(CODE, center=[5, 150], width=[0, 201]) == [[0, 64], [192, 255]]
    assert shown(CODE, center=[150], width=[0]) == shown(CODE)


@pytest.mark.parametrize(
    ("centers", "widths"),
    [
        ([math.nan, 150], [100, 201]),
        ([40, 150], [math.nan, 201]),
        (["NaN", 150, 900], [1, 201, 10]),
        ([None, math.inf, 150], [5, 5, 201]),
        ([7, 150], [math.inf, 201]),
        ([150, 900], [201]),
    ],
)
def test_a_center_that_is_no_number_leaves_the_others_with_their_widths(centers, widths):
    # PS3.3 C.11.2.1.2: the n-th center goes with the n-th width.
    assert shown(CODE, center=centers, width=widths) == [[0, 64], [192, 255]]


def test_without_a_window_the_pixels_fill_the_range():
    assert shown(CODE) == [[0, 85], [170, 255]]
    assert shown(np.array([[-100, 0], [100, 200]], np.int16)) == [[0, 85], [170, 255]]
    assert shown(np.array([[7, 7], [7, 7]], np.uint16)) == [[0, 0], [0, 0]]
    # Eight bits are shown as they are.
    assert shown(np.array([[1, 2], [3, 255]], np.uint8)) == [[1, 2], [3, 255]]
    assert shown(np.array([[0, 1], [1, 0]], np.uint8), bits=1) == [[0, 255], [255, 0]]


def test_wide_and_float_pixels():
    wide = np.array([[0, 2**31], [2**32 - 1, 2**30]], np.uint32)
    assert shown(wide) == [[0, 128], [255, 64]]
    floats = np.array([[0.0, 0.5], [1.0, np.nan]], np.float32)
    made = image(floats)
    made.dataset["7FE00008"] = made.dataset.pop("7FE00010")
    assert render(made, 1, Pixels(floats, "MONOCHROME2")).tolist() == [[0, 128], [255, 0]]


def test_inverted_pixels():
    values = np.array([[0, 255], [10, 20]], np.uint8)
    expected = [[255, 0], [245, 235]]
    inverse = {"20500020": {"vr": "CS", "Value": ["INVERSE"]}}
    assert shown(values, photometric="MONOCHROME1") == expected
    assert shown(values, photometric="MONOCHROME1", **inverse) == expected  # said twice, done once
    assert shown(values, **inverse) == expected


def test_presentation_lut():
    item = table(0, [0, 4095, 0], 12)
    assert shown(np.array([[0, 127], [128, 255]], np.uint8), **{"20500010": sequence(item)}) == [[0, 255], [255, 0]]


def test_padding_is_black_and_widens_no_window():
    values = np.array([[-2000, 0], [100, 200]], np.int16)
    assert shown(values, padding=-2000) == [[0, 0], [128, 255]]
    assert shown(values, padding=63536) == [[0, 0], [128, 255]]  # written as US
    assert shown(values, padding=-2000, padding_limit=-1000, photometric="MONOCHROME1") == [[0, 255], [128, 0]]


def test_frames_have_windows_of_their_own():
    def voi(center):
        return sequence({"00281050": {"vr": "DS", "Value": [center]}, "00281051": {"vr": "DS", "Value": [201]}})

    groups = {
        "frames": 2,
        "52009229": sequence(
            {"00289145": sequence({"00281052": {"vr": "DS", "Value": [100]}, "00281053": {"vr": "DS", "Value": [1]}})}
        ),
        "52009230": sequence({"00289132": voi(250)}, {"00289132": voi(350)}),
    }
    assert shown(CODE, number=1, **groups) == [[0, 64], [192, 255]]
    assert shown(CODE, number=2, **groups) == [[0, 0], [64, 192]]


def test_segmentations_use_the_range_of_their_values():
    fractional = {"0062000E": {"vr": "US", "Value": [100]}}
    assert shown(np.array([[0, 50], [100, 20]], np.uint8), **fractional) == [[0, 128], [255, 51]]


def test_hostile_values_are_ignored():
    assert shown(CODE, center=["x", None, 150], width=["y", float("nan"), 201]) == [[0, 64], [192, 255]]
    assert shown(CODE, slope="abc", intercept=[None]) == [[0, 85], [170, 255]]
    assert shown(CODE, **{"00283010": sequence({}, {"00283002": {"vr": "US", "Value": [3]}})}) == [[0, 85], [170, 255]]


def with_palette(first=0, bits=16, segmented=False, **colours) -> dict:
    found = {}
    for number, name in enumerate(("red", "green", "blue"), 1):
        data, count = colours[name]
        found[f"0028110{number}"] = {"vr": "US", "Value": [count, first, bits]}
        raw = np.array(data, "<u2").tobytes() if isinstance(data, list) else data
        found[f"0028{'122' if segmented else '120'}{number}"] = {"vr": "OW", "InlineBinary": b64encode(raw).decode()}
    return found


PIXELS = np.array([[0, 1], [2, 9]], np.uint8)


def test_palettes_of_sixteen_and_eight_bits():
    red, green, blue = ([0, 0x8000, 0xFF00], 3), ([0x1000] * 3, 3), ([0, 0, 0x2000], 3)
    expected = [[[0, 16, 0], [128, 16, 0]], [[255, 16, 32], [255, 16, 32]]]
    assert shown(PIXELS, photometric="PALETTE COLOR", **with_palette(red=red, green=green, blue=blue)) == expected
    packed = {"red": (b"\x00\x80\xff\x00", 3), "green": (b"\x10\x10\x10\x00", 3), "blue": (b"\x00\x00\x20\x00", 3)}
    assert shown(PIXELS, photometric="PALETTE COLOR", **with_palette(bits=8, **packed)) == expected
    # Eight bits that say they are sixteen.
    narrow = {"red": ([0, 128, 255], 3), "green": ([16] * 3, 3), "blue": ([0, 0, 32], 3)}
    assert shown(PIXELS, photometric="PALETTE COLOR", **with_palette(**narrow)) == expected


def test_the_first_entry_is_of_the_first_mapped_value():
    same = ([0x100, 0x200, 0x300], 3)
    got = shown(PIXELS, photometric="PALETTE COLOR", **with_palette(first=1, red=same, green=same, blue=same))
    assert [[pixel[0] for pixel in row] for row in got] == [[1, 1], [2, 3]]


@pytest.mark.parametrize(
    "data",
    [
        (0, 3, 5, 6, 7),
        (0, 1, 0, 1, 10, 100),
        (0, 2, 0, 112, 1, 5, 144, 0, 1, 15),
        (0, 1, 200, 1, 4, 0, 0, 2, 9, 9),
    ],
)
def test_segmented_palettes_equal_pydicoms(data):
    assert palette.expand(np.array(data, np.uint8)).tolist() == _expand_segmented_lut(data, "<B")
    assert palette.expand(np.array(data, "<u2")).tolist() == _expand_segmented_lut(data, "<H")


def test_an_indirect_segment_copies_earlier_ones():
    # PS3.3 C.7.9.2.3: an offset in bytes, the low word first.
    words = np.array([0, 2, 1, 2, 1, 3, 8, 2, 2, 0, 0], "<u2")
    assert palette.expand(words).tolist() == [1, 2, 4, 6, 8, 1, 2, 4, 6, 8]
    offset = np.array([0, 2, 1, 2, 1, 3, 8, 2, 1, 8, 0], "<u2")
    assert palette.expand(offset).tolist() == [1, 2, 4, 6, 8, 8, 8, 8]


@pytest.mark.parametrize(
    "data",
    [
        (1, 5, 10),  # begins with a line
        (2, 1, 0, 0),  # begins with a copy of itself
        (0, 1, 5, 2, 1, 0, 0, 2, 1, 6, 0),  # copies a copy
        (0, 1, 5, 9, 1, 0),  # no such segment
        (0, 9, 1, 2),  # cut off
        (0, 1, 5, 2, 1, 1, 0),  # half a word
        (0, 1, 5, 2, 1, 65535, 65535),  # copies what is not there
    ],
)
def test_damaged_segmented_palettes(data):
    with pytest.raises(PixelError, match="segmented palette"):
        palette.expand(np.array(data, "<u2"), 1000)


def test_a_segmented_palette_ends_at_its_length():
    copies = np.array([0, 1, 5, *[2, 1, 0, 0] * 3], "<u2")
    assert palette.expand(copies, 1000).tolist() == [5] * 4
    line = np.array([0, 1, 0, 1, 65535, 9], "<u2")
    assert len(palette.expand(line, 1000)) == 1000


def test_an_image_without_its_palette():
    with pytest.raises(PixelError, match="palette"):
        shown(PIXELS, photometric="PALETTE COLOR")


SHADES = np.array([[0, 100], [200, 300], [301, 999]], np.uint16)
TWO_COLOURS = {"red": [255, 0], "green": [16, 128], "blue": [0, 32]}


def supplement(bits: int, shift: int = 0, first: int = 300, **presented) -> dict:
    """Two colours for values from 300 on, and Pixel Presentation of the image."""
    if bits == 8:
        colours = {name: (bytes(data), 2) for name, data in TWO_COLOURS.items()}
    else:
        colours = {name: ([value << shift for value in data], 2) for name, data in TWO_COLOURS.items()}
    found = with_palette(first=first, bits=bits, **colours)
    return found | {"00089205": {"vr": "CS", "Value": [presented.get("presentation", "COLOR")]}}


@pytest.mark.parametrize("presentation", ["COLOR", "MIXED"])
@pytest.mark.parametrize(("bits", "shift"), [(8, 0), (16, 8)])
def test_supplemental_palette(bits, shift, presentation):
    # PS3.3 C.7.6.19: values below the first mapped one are gray, through window and all.
    attributes = supplement(bits, shift, presentation=presentation)
    colours = [[255, 16, 0], [0, 128, 32], [0, 128, 32]]  # values behind the table have its last entry
    window = shown(SHADES, VoiWindow(100, 200, LINEAR_EXACT), **attributes)
    assert window == [[[0] * 3, [128] * 3], [[255] * 3, colours[0]], colours[1:]]
    # Without a window the gray values fill the range, and the coloured ones do not count.
    assert shown(SHADES, **attributes) == [[[0] * 3, [128] * 3], [[255] * 3, colours[0]], colours[1:]]


def test_supplemental_palette_of_signed_values():
    values = np.array([[-100, -51], [-50, -49]], np.int16)
    attributes = supplement(16, 8, first=65486)  # -50
    assert shown(values, **attributes) == [[[0] * 3, [255] * 3], [[255, 16, 0], [0, 128, 32]]]


def test_a_frame_without_gray_or_without_colour():
    attributes = supplement(16, 8)
    assert shown(SHADES[2:], **attributes) == [[[0, 128, 32]] * 2]
    assert shown(SHADES[:1], **attributes) == [[[0] * 3, [255] * 3]]


def test_pixel_presentation_of_the_frame_counts_before_that_of_the_image():
    def frame_type(presentation):  # MR Image Frame Type Sequence, PS3.3 C.8.13.5.1
        return {"00189226": sequence({"00089205": {"vr": "CS", "Value": [presentation]}})}

    groups = {"frames": 2, "52009230": sequence(frame_type("MONOCHROME"), frame_type("COLOR"))}
    attributes = supplement(16, 8, presentation="MIXED") | groups
    assert shown(SHADES[:1], number=1, **attributes) == [[0, 255]]
    assert shown(SHADES[2:], number=2, **attributes) == [[[0, 128, 32]] * 2]


@pytest.mark.parametrize("presentation", ["MONOCHROME", "TRUE_COLOR", ""])
def test_other_pixel_presentations_are_gray(presentation):
    assert shown(SHADES[:1], **supplement(16, 8, presentation=presentation)) == [[0, 255]]
    assert shown(SHADES[:1], **{"00089205": {"vr": "CS", "Value": ["COLOR"]}}) == [[0, 255]]


def test_the_representative_frame():
    assert representative(image(CODE, frames=9, representative=4)) == 4
    assert representative(image(CODE, frames=9, representative=12)) == 5
    assert representative(image(CODE)) == 1
