"""Part 10 files in other transfer syntaxes (PS3.5 A.4), for every readable file of pydicom and pydicom-data."""

import io
import tracemalloc
import zlib

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.pixels import pack_bits
from pydicom.uid import UID

from dicouch.dicom.errors import PixelError, TooLarge, Unsupported
from dicouch.dicom.pixels.encode import ENCODED, JPEG_2000, JPEG_LS, RLE
from dicouch.dicom.pixels.transcode import EXPLICIT, targets, transcode
from tests.conftest import EXTENT
from tests.made_objects import as_bytes, pixels_of, report, segmentation
from tests.unit.made_images import converted, document_of, image_files, open_stored, sample
from tests.unit.test_pixels_decode import BROKEN, ONLY_HERE

READABLE = [name for name in image_files() if name not in BROKEN and name not in ONLY_HERE]
SMALL = [name for name in READABLE if len(image_files()[name]) < 400_000]


@pytest.mark.parametrize("name", READABLE)
@pytest.mark.filterwarnings("ignore")
def test_every_file_becomes_explicit_little_endian(name):
    data = image_files()[name]
    stored = open_stored(data)
    if stored.transfer_syntax == EXPLICIT:
        return
    result = converted(data, EXPLICIT)
    before, after = dcmread(io.BytesIO(data), force=True), dcmread(io.BytesIO(result))
    assert after.file_meta.TransferSyntaxUID == EXPLICIT
    assert np.array_equal(pixels_of(before), after.pixel_array)
    assert after.SOPInstanceUID == before.SOPInstanceUID
    # What is read again says the same, but for what the conversion changes.
    changed = {"00280004", "00280006", "00280008", "00282110", "7FE00010", "7FE00001", "7FE00002", "00880200"}
    old, new = document_of(data)["dataset"], document_of(result)["dataset"]
    assert {tag for tag in old if old[tag] != new.get(tag) and not tag.endswith("0000")} <= changed | {
        # Bulk values of big-endian files are in the other order now.
        *(tag for tag in old if "big" in name or "expb" in name or "BigEnd" in name),
        *(tag for tag in old if old[tag]["vr"] in ("UN", "OB", "OW") or old[tag] == {"vr": old[tag]["vr"]}),
    }


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.filterwarnings("ignore")
def test_every_small_file_is_encoded_without_loss(name):
    data = image_files()[name]
    stored = open_stored(data)
    expected = pixels_of(dcmread(io.BytesIO(data), force=True))
    encoded = [target for target in targets(stored) if target in ENCODED and target != stored.transfer_syntax]
    if encoded and not EXTENT["all"]:  # one of them, each file's in turn
        encoded = [encoded[SMALL.index(name) % len(encoded)]]
    for target in encoded:
        after = dcmread(io.BytesIO(converted(data, target)))
        assert after.file_meta.TransferSyntaxUID == target
        assert np.array_equal(after.pixel_array, expected), target
        assert document_of(as_bytes(after))["file"]["frames"]["count"] == stored.image.count


def test_photometric_interpretation_follows_the_pixels():
    lossy = dcmread(io.BytesIO(converted(sample("SC_rgb_jpeg_dcmtk.dcm"), EXPLICIT)))
    assert lossy.PhotometricInterpretation == "RGB"
    assert lossy.LossyImageCompression == "01"
    reversible = dcmread(io.BytesIO(converted(sample("SC_rgb_gdcm_KY.dcm"), EXPLICIT)))
    assert reversible.PhotometricInterpretation == "RGB"
    planes = converted(sample("SC_rgb_rle.dcm"), EXPLICIT)
    assert (
        dcmread(io.BytesIO(planes)).PlanarConfiguration
        == dcmread(io.BytesIO(sample("SC_rgb_rle.dcm"))).PlanarConfiguration
    )


def test_frames_have_a_table_of_offsets():
    stored = open_stored(sample("emri_small_RLE.dcm"))
    result = b"".join(transcode(stored, JPEG_LS)[1])
    dataset = dcmread(io.BytesIO(result))
    from pydicom.encaps import parse_basic_offsets

    assert len(parse_basic_offsets(dataset.PixelData)) == stored.image.count
    assert "ExtendedOffsetTable" not in dataset


def test_the_extended_table_goes_with_the_fragments():
    dataset = dcmread(io.BytesIO(sample("MR_small_RLE.dcm")))
    dataset.ExtendedOffsetTable = bytes(8)
    dataset.ExtendedOffsetTableLengths = bytes(8)
    after = dcmread(io.BytesIO(converted(as_bytes(dataset), EXPLICIT)))
    assert "ExtendedOffsetTable" not in after
    assert "ExtendedOffsetTableLengths" not in after


def test_what_follows_the_pixels_stays_but_padding_and_signatures():
    dataset = dcmread(io.BytesIO(sample("MR_small_RLE.dcm")))
    dataset.add_new(0x7FE10010, "LO", "MAKER")
    dataset.add_new(0x7FE11001, "LO", "behind")
    dataset.add_new(0xFFFCFFFC, "OB", bytes(20))
    dataset.DigitalSignaturesSequence = []
    after = dcmread(io.BytesIO(converted(as_bytes(dataset), EXPLICIT)))
    assert after[0x7FE11001].value == "behind"
    assert 0xFFFCFFFC not in after
    assert "DigitalSignaturesSequence" not in after


def test_a_compressed_icon_becomes_native():
    dataset = dcmread(io.BytesIO(sample("SC_rgb_jpeg_dcmtk.dcm")))
    item = Dataset()
    for name in ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel"):
        setattr(item, name, dataset[name].value)
    item.PhotometricInterpretation, item.PlanarConfiguration = dataset.PhotometricInterpretation, 0
    item.PixelData = dataset.PixelData
    item["PixelData"].is_undefined_length = True
    dataset.IconImageSequence = [item]
    after = dcmread(io.BytesIO(converted(as_bytes(dataset), EXPLICIT)))
    (got,) = after.IconImageSequence
    assert len(got.PixelData) == got.Rows * got.Columns * 3
    assert got.PhotometricInterpretation == "RGB"
    item.PixelData = encapsulate([b"\xff\xd8damaged"])
    assert "IconImageSequence" not in dcmread(io.BytesIO(converted(as_bytes(dataset), EXPLICIT)))


def test_a_report_changes_its_encoding_only():
    dataset = dcmread(io.BytesIO(report()))
    dataset.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2")
    target = io.BytesIO()
    dataset.save_as(target, implicit_vr=True, little_endian=True, enforce_file_format=True)
    result = converted(target.getvalue(), EXPLICIT)
    assert dcmread(io.BytesIO(result)).ContentSequence == dataset.ContentSequence


def test_what_cannot_be():
    ct = open_stored(sample("CT_small.dcm"))
    with pytest.raises(Unsupported, match=r"1\.2\.3"):
        transcode(ct, "1.2.3")
    assert JPEG_LS not in targets(ct)  # signed
    with pytest.raises(Unsupported):
        transcode(ct, JPEG_LS)
    bits = open_stored(sample("liver_1frame.dcm"))
    assert targets(bits) == [EXPLICIT, JPEG_2000, RLE]
    with pytest.raises(PixelError):
        transcode(open_stored(sample("JPEG2000-embedded-sequence-delimiter.dcm")), EXPLICIT)


def single_bits(count: int, rows: int, columns: int) -> tuple[Dataset, np.ndarray]:
    """Return a binary segmentation of native pixels, one run of bits (PS3.5 8.1.1), and its frames."""
    frames = np.random.default_rng(count).integers(0, 2, (count, rows, columns), np.uint8)
    dataset = dcmread(io.BytesIO(segmentation("BINARY")))
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = count, rows, columns
    dataset.PixelData = pack_bits(frames.reshape(-1))
    return dataset, frames


SIZES = [(3, 33, 35), (5, 5, 5), (1, 7, 9), (8, 3, 3), (2, 64, 64)]


@pytest.mark.parametrize("size", SIZES)
def test_single_bits_are_encoded_and_decoded_as_one_run(size):
    dataset, frames = single_bits(*size)
    stored = open_stored(as_bytes(dataset))
    assert targets(stored) == [EXPLICIT, *([JPEG_2000] if min(size[1:]) >= 32 else []), RLE]
    for target in targets(stored)[1:]:
        result = converted(as_bytes(dataset), target)
        after = dcmread(io.BytesIO(result))
        assert (after.BitsAllocated, after.BitsStored, after.HighBit) == (1, 1, 0)
        assert np.array_equal(after.pixel_array.reshape(frames.shape), frames)
        assert dcmread(io.BytesIO(converted(result, EXPLICIT))).PixelData == dataset.PixelData


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.8.1", "1.2.840.10008.1.2.1.98"])
def test_single_bits_in_fragments_are_had_in_every_form(syntax, size):
    # Deflated Image Frames (PS3.5 A.4.13) and uncompressed ones (A.4.11) begin each at a byte.
    dataset, frames = single_bits(*size)
    native, packed = dataset.PixelData, [pack_bits(frame.reshape(-1), pad=False) for frame in frames]
    if syntax.endswith("8.1"):
        packed = [zlib.compress(frame, wbits=-15) for frame in packed]
    known = "1.2.840.10008.1.2.1.98"
    dataset.file_meta.TransferSyntaxUID = UID(known)
    dataset.PixelData = encapsulate(packed)
    dataset["PixelData"].is_undefined_length = True
    # pydicom writes nothing as Deflated Image Frames.
    data = as_bytes(dataset).replace(known.encode(), syntax.encode().ljust(len(known), b"\0"))
    assert open_stored(data).transfer_syntax == syntax
    assert dcmread(io.BytesIO(converted(data, EXPLICIT))).PixelData == native
    rle = dcmread(io.BytesIO(converted(data, RLE)))
    assert np.array_equal(rle.pixel_array.reshape(frames.shape), frames)


def test_pixels_that_no_native_file_can_hold():
    stored = open_stored(sample("emri_small_RLE.dcm"))
    stored.image.dataset["00280010"]["Value"] = [8000]
    stored.image.dataset["00280011"]["Value"] = [8000]
    object.__setattr__(stored.image, "count", 40)
    with pytest.raises(TooLarge):
        transcode(stored, EXPLICIT)


@pytest.mark.parametrize("target", [EXPLICIT, RLE, JPEG_2000])
def test_memory_does_not_grow_with_the_number_of_frames(target):
    stored = open_stored(sample("emri_small_jpeg_ls_lossless.dcm"))
    object.__setattr__(stored.image, "count", 400)
    real = stored.image.frame
    object.__setattr__(stored.image, "frame", lambda number: real((number - 1) % 10 + 1))
    stored.image.dataset["00280008"]["Value"] = [400]
    sum(len(piece) for piece in transcode(open_stored(sample("emri_small_jpeg_ls_lossless.dcm")), target)[1])
    tracemalloc.start()
    total = sum(len(piece) for piece in transcode(stored, target)[1])
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total > 1_000_000
    # The spool of encoded frames stays in memory up to 8 MB; there are fewer here.
    assert peak < (2_500_000 if target == EXPLICIT else total + 2_500_000)
