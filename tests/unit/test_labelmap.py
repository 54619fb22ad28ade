"""Segmentations of labels in colours (PS3.3 C.8.20.2, C.10.7.1.1)."""

import io

import highdicom as hd
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless, generate_uid

from dicouch.dicom.pixels.luts import VoiWindow
from dicouch.dicom.pixels.parameters import Rendering
from dicouch.dicom.pixels.render import picture, thumbnail
from tests.made_objects import as_bytes, masks, segmentation, sources
from tests.unit.made_images import converted, open_image


def srgb(lightness: float, a: float, b: float) -> np.ndarray:
    """Return sRGB of a CIELab colour under D50 (CIE 15; IEC 61966-2-1 with Bradford's adaptation)."""
    y = (lightness + 16) / 116
    ratio = [
        part**3 if part > 6 / 29 else (part - 16 / 116) * 3 * (6 / 29) ** 2 for part in (y + a / 500, y, y - b / 200)
    ]
    xyz = np.array(ratio) * (0.9642, 1.0, 0.8249)
    matrix = [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ]
    linear = np.clip(np.array(matrix) @ xyz, 0, 1)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055) * 255


def labels() -> np.ndarray:
    found = masks()[0]
    return np.where(found[..., 0], 1, np.where(found[..., 1], 2, 0))


def test_segments_without_a_colour_get_different_ones():
    image = open_image(segmentation("LABELMAP"))
    shown = np.asarray(picture(image, 1))
    assert shown.shape == (128, 128, 3)
    colours = [np.unique(shown[labels() == label], axis=0) for label in (0, 1, 2)]
    assert [len(each) for each in colours] == [1, 1, 1]
    assert colours[0].tolist() == [[0, 0, 0]]
    assert np.abs(colours[1].astype(int) - colours[2]).max() > 100
    assert np.asarray(thumbnail(image)).reshape(-1, 3).max(axis=0).max() == 255


@pytest.mark.parametrize("lab", [(54.29, 80.8, 69.9), (60, -40, 40), (50, 0, 0), (75, 10, 60)])
def test_recommended_colours(lab):
    dataset = dcmread(io.BytesIO(segmentation("LABELMAP")))
    item = next(item for item in dataset.SegmentSequence if item.SegmentNumber == 1)
    item.RecommendedDisplayCIELabValue = [
        round(lab[0] / 100 * 65535), round((lab[1] + 128) / 255 * 65535), round((lab[2] + 128) / 255 * 65535)
    ]  # fmt: skip
    shown = np.asarray(picture(open_image(as_bytes(dataset)), 1))[labels() == 1]
    assert np.abs(shown[0] - srgb(*lab)).max() <= 6
    assert (shown == shown[0]).all()


@pytest.mark.parametrize("bits", [8, 16])
def test_a_frame_of_one_label_is_not_black(bits):
    dataset = dcmread(io.BytesIO(segmentation("LABELMAP")))
    kind = np.uint8 if bits == 8 else np.uint16
    dataset.PixelData = np.full((128, 128), 2, kind).tobytes()
    dataset.NumberOfFrames, dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 1, bits, bits, bits - 1
    assert np.asarray(thumbnail(open_image(as_bytes(dataset)))).max() == 255


def test_background_is_black_and_a_window_grey():
    dataset = dcmread(io.BytesIO(segmentation("LABELMAP")))
    dataset.PixelPaddingValue = 2
    image = open_image(as_bytes(dataset))
    assert not np.asarray(picture(image, 1))[labels() == 2].any()
    assert picture(image, 1, Rendering(window=VoiWindow(1, 2))).mode == "L"
    assert picture(open_image(segmentation("BINARY")), 1).mode == "L"


def with_palette(wide: bool, first: int) -> bytes:
    """Return a segmentation of labels that brings its own colours (PS3.3 A.51.4, C.8.20.2): blue, red, lime."""
    described = [
        item for item in dcmread(io.BytesIO(segmentation("LABELMAP"))).SegmentSequence if item.SegmentNumber > 0
    ]
    made = hd.seg.Segmentation(
        source_images=sources(),
        pixel_array=labels()[None].astype(np.uint8),
        segmentation_type="LABELMAP",
        segment_descriptions=[hd.seg.SegmentDescription.from_dataset(item) for item in described],
        series_instance_uid=generate_uid(),
        series_number=90,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        palette_color_lut_transformation=hd.PaletteColorLUTTransformation.from_colors(
            ["blue", "red", "lime"], first_mapped_value=0, palette_color_lut_uid=generate_uid()
        ),
        manufacturer="Maker",
        manufacturer_model_name="Model",
        software_versions="1.0",
        device_serial_number="1",
    )
    assert made.PhotometricInterpretation == "PALETTE COLOR"
    if wide:
        made.PixelData = np.frombuffer(made.PixelData, np.uint8).astype("<u2").tobytes()
        made.BitsAllocated, made.BitsStored, made.HighBit = 16, 16, 15
    for colour in ("Red", "Green", "Blue"):
        count, _first, bits = made[f"{colour}PaletteColorLookupTableDescriptor"].value
        entries = made[f"{colour}PaletteColorLookupTableData"].value[: count * bits // 8]
        made[f"{colour}PaletteColorLookupTableDescriptor"].value = [count - first, first, bits]
        made[f"{colour}PaletteColorLookupTableData"].value = entries[first * bits // 8 :]
    return as_bytes(made)


@pytest.mark.parametrize("wide", [False, True])
def test_labels_with_a_palette(wide):
    """A palette goes before Recommended Display CIELab Values; labels below it get its first entry (C.7.6.3.1.5)."""
    colours = np.array([[0, 0, 255], [255, 0, 0], [0, 255, 0]], np.uint8)
    data = with_palette(wide, 0)
    image = open_image(data)
    assert image.bits_allocated == (16 if wide else 8)
    assert np.array_equal(np.asarray(picture(image, 1)), colours[labels()])
    assert np.asarray(thumbnail(image)).shape == (128, 128, 3)
    # A window is for grayscale (PS3.18 8.3.5.1.4).
    assert np.array_equal(np.asarray(picture(image, 1, Rendering(window=VoiWindow(1, 2)))), colours[labels()])
    for syntax in (RLELossless, JPEG2000Lossless, JPEGLSLossless):
        other = open_image(converted(data, syntax))
        assert (other.photometric, other.transfer_syntax) == ("PALETTE COLOR", syntax)
        assert np.array_equal(np.asarray(picture(other, 1)), colours[labels()])
    colours[0] = colours[1]
    assert np.array_equal(np.asarray(picture(open_image(with_palette(wide, 1)), 1)), colours[labels()])
