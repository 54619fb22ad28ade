"""Files whose header or pixel data are not what PS3.10 7.1 and their transfer syntax (PS3.5 8.2, A.4) want.

What is sent is read with pydicom without `force`, and holds the pixels of the proper file.
"""

import io
import struct
import warnings

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate, generate_frames
from pydicom.filewriter import write_dataset
from pydicom.uid import UID

from dicouch.dicom.errors import PixelError
from dicouch.errors import DicomWebError
from dicouch.read.frames import choose_frames, forms
from dicouch.read.imaging import image_of
from dicouch.read.instances import deliver
from dicouch.read.retrieve import stored_in
from tests.made_objects import as_bytes, pixels_of
from tests.unit.made_images import document_of, reader_of, sample
from tests.unit.made_part10 import (
    BIG,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    JPEG,
    RLE,
    SEQUENCE_END,
    UNDEFINED,
    deflate,
    element,
    encapsulated,
    image,
    item,
    made,
    meta,
    read,
)

J2K, J2K_LOSSLESS, JPEG_LS, SV1 = (f"1.2.840.10008.1.2.4.{number}" for number in (91, 90, 80, 70))
UNCOMPRESSED = "1.2.840.10008.1.2.1.98"


def opened(data: bytes):
    document, reader = document_of(data), reader_of(data)
    reader.document = lambda *_uids: document
    return document, reader


def sent(data: bytes, syntax: str | None = None) -> tuple[bytes, str]:
    """Return a file as it is answered, and its label; the stored one is never changed."""
    document, reader = opened(data)
    made = deliver(reader, stored_in(document), syntax or document["file"]["transferSyntax"])
    content = b"".join(made.open())
    assert made.size == len(content)
    return content, made.transfer_syntax


def proper(data: bytes, syntax: str | None = None) -> Dataset:
    """Return what is sent, read strictly: preamble, prefix, File Meta Information with the label of the answer."""
    content, label = sent(data, syntax)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # pydicom warns of an encoding that is not that of the transfer syntax
        dataset = dcmread(io.BytesIO(content))
        list(dataset.iterall())
    group = dataset.file_meta
    assert group.TransferSyntaxUID == label
    assert (group.MediaStorageSOPClassUID, group.MediaStorageSOPInstanceUID) == (
        dataset.SOPClassUID,
        dataset.SOPInstanceUID,
    )
    assert group.FileMetaInformationVersion == b"\0\1"
    assert group.ImplementationClassUID
    assert document_of(content)["warnings"] == []
    return dataset


def headless(data: bytes) -> bytes:
    """Return a file without preamble, prefix and File Meta Information."""
    with io.BytesIO(data) as file:
        dcmread(file, stop_before_pixels=True)
    (length,) = struct.unpack("<I", data[140:144])
    return data[144 + length :]


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm", "reportsi.dcm"])
@pytest.mark.parametrize("start", ["nothing", "prefix", "no preamble", "no prefix", "no syntax"])
def test_headers_are_built_when_a_file_is_sent(name: str, start: str) -> None:
    whole = sample(name)
    dataset = dcmread(io.BytesIO(whole))
    body = headless(whole)
    group = whole[132 : len(whole) - len(body)]
    if start == "no syntax":
        syntax = element(0x00020010, "UI", str(dataset.file_meta.TransferSyntaxUID))
        assert syntax in group
        start_bytes = whole[:132] + group.replace(syntax, b"")
    else:
        start_bytes = {"nothing": b"", "prefix": bytes(128) + b"DICM", "no preamble": b"DICM" + group}.get(start, group)
    data = start_bytes + body
    if start == "no preamble":
        start_bytes = b"DICM" + group
    result = proper(data)
    assert result.file_meta.TransferSyntaxUID == dataset.file_meta.TransferSyntaxUID
    assert sent(data)[0].endswith(body)
    assert any("made anew" in sentence for sentence in document_of(data)["warnings"])
    if start not in ("nothing", "prefix"):
        # What else the group said stays.
        assert result.file_meta.ImplementationClassUID == dataset.file_meta.ImplementationClassUID
    if "PixelData" in dataset:
        assert np.array_equal(result.pixel_array, dataset.pixel_array)


def test_a_deflated_file_without_preamble() -> None:
    whole = deflate(made(element(0x00100010, "PN", "Doe"), syntax=DEFLATED, instance="1.2.3.4.5"))
    assert str(proper(b"DICM" + whole[132:]).PatientName) == "Doe"


def test_a_proper_file_is_sent_as_it_is() -> None:
    for name in ("CT_small.dcm", "SC_rgb_jpeg.dcm", "MR_small_RLE.dcm", "image_dfl.dcm"):
        data = sample(name)
        assert sent(data)[0] == data
        assert not {"mended", "recoded"} & set(document_of(data)["file"])


@pytest.mark.parametrize("declared", [EXPLICIT, IMPLICIT, BIG, JPEG, RLE, J2K, JPEG_LS, DEFLATED, "1.2.3.4", None])
@pytest.mark.parametrize(
    ("name", "actual"),
    [
        ("SC_rgb_jpeg_dcmtk.dcm", JPEG),
        ("JPGExtended.dcm", "1.2.840.10008.1.2.4.51"),
        ("MR_small_jp2klossless.dcm", J2K_LOSSLESS),
        ("JPEG2000.dcm", J2K),
        ("MR_small_jpeg_ls_lossless.dcm", JPEG_LS),
        ("JPEG-LL.dcm", SV1),
        ("MR_small_RLE.dcm", RLE),
        ("emri_small_RLE.dcm", RLE),
    ],
)
def test_compressed_pixels_under_another_label(name: str, actual: str, declared: str | None) -> None:
    """Declared and actual differ: what the frame says counts, for frames and for the file."""
    source = sample(name)
    dataset = dcmread(io.BytesIO(source))
    body = headless(source)
    data = meta(declared) + body
    if declared == DEFLATED:
        data = deflate(data)
    if declared == J2K and actual == J2K_LOSSLESS:
        actual = J2K  # PS3.5 A.4.4: it may hold reversible streams, too
    document, reader = opened(data)
    assert document["file"]["transferSyntax"] == actual
    assert document["warnings"]
    image = image_of(reader, document)
    assert image.transfer_syntax == actual
    assert image.frame(1) == next(generate_frames(dataset.PixelData, number_of_frames=dataset.get("NumberOfFrames", 1)))
    result = dcmread(io.BytesIO(sent(data)[0]))
    assert result.file_meta.TransferSyntaxUID == sent(data)[1] == actual
    assert np.array_equal(result.pixel_array, dataset.pixel_array)
    assert ("is not in the transfer syntax" in str(document["warnings"])) is (declared != actual)


def encoded(dataset: Dataset, implicit: bool, little: bool, declared: str) -> bytes:
    """Write a data set in an encoding that is not that of its transfer syntax."""
    from pydicom.filebase import DicomBytesIO

    target = DicomBytesIO()
    target.is_implicit_VR, target.is_little_endian = implicit, little
    write_dataset(target, dataset)
    return meta(declared) + target.getvalue()


@pytest.mark.parametrize("declared", [IMPLICIT, EXPLICIT])
def test_fragments_in_an_implicit_data_set(declared: str) -> None:
    """PS3.5 A.4: what is around fragments is Explicit VR Little Endian, so the file is written anew."""
    source = dcmread(io.BytesIO(sample("SC_rgb_jpeg_dcmtk.dcm")))
    expected = source.pixel_array
    data = encoded(source, True, True, declared)
    assert document_of(data)["file"]["recoded"] is True
    result = dcmread(io.BytesIO(sent(data)[0]))
    assert result.file_meta.TransferSyntaxUID == sent(data)[1] == JPEG
    assert result.original_encoding == (False, True)
    assert np.array_equal(result.pixel_array, expected)
    assert result.PhotometricInterpretation == source.PhotometricInterpretation


@pytest.mark.parametrize("declared", [JPEG, RLE, J2K, JPEG_LS, UNCOMPRESSED, "1.2.840.10008.1.2.4.102"])
@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_implicit.dcm", "SC_rgb_small_odd.dcm"])
def test_native_pixels_under_the_label_of_a_codec(name: str, declared: str) -> None:
    source = sample(name)
    dataset = dcmread(io.BytesIO(source))
    data = meta(declared) + headless(source)
    document, reader = opened(data)
    assert document["file"]["transferSyntax"] == dataset.file_meta.TransferSyntaxUID
    assert "is not in the transfer syntax" in str(document["warnings"])
    assert image_of(reader, document).frame(1) == dataset.PixelData[: len(image_of(reader, document).frame(1))]
    result = dcmread(io.BytesIO(sent(data)[0]))
    assert result.file_meta.TransferSyntaxUID == sent(data)[1] == dataset.file_meta.TransferSyntaxUID
    assert np.array_equal(result.pixel_array, dataset.pixel_array)


@pytest.mark.parametrize("declared", [EXPLICIT, JPEG, J2K, IMPLICIT])
@pytest.mark.parametrize("name", ["SC_rgb_jpeg_dcmtk.dcm", "MR_small_jp2klossless.dcm", "MR_small_RLE.dcm"])
def test_a_stream_that_is_in_no_fragment(name: str, declared: str) -> None:
    source = dcmread(io.BytesIO(sample(name)))
    expected, stream = source.pixel_array, next(generate_frames(source.PixelData, number_of_frames=1))
    actual = str(source.file_meta.TransferSyntaxUID)
    if (declared, actual) == (J2K, J2K_LOSSLESS):
        actual = J2K
    source["PixelData"].is_undefined_length = False
    source.PixelData = stream
    data = encoded(source, declared == IMPLICIT, True, declared)
    document, reader = opened(data)
    assert document["file"]["transferSyntax"] == actual
    assert image_of(reader, document).frame(1).rstrip(b"\0") == stream.rstrip(b"\0")
    content, label = sent(data)
    result = dcmread(io.BytesIO(content))
    assert result.file_meta.TransferSyntaxUID == label == actual
    assert np.array_equal(result.pixel_array, expected)


def test_fragments_in_a_value_of_defined_length() -> None:
    source = dcmread(io.BytesIO(sample("SC_rgb_jpeg_dcmtk.dcm")))
    expected = source.pixel_array
    source["PixelData"].is_undefined_length = False
    for declared in (JPEG, EXPLICIT):
        data = encoded(source, False, True, declared)
        assert "undefined length" in str(document_of(data)["warnings"])
        result = dcmread(io.BytesIO(sent(data)[0]))
        assert result["PixelData"].is_undefined_length
        assert np.array_equal(result.pixel_array, expected)


def test_native_pixels_that_begin_like_an_item_or_a_stream() -> None:
    for start in (bytes.fromhex("FEFF00E000000000"), b"\xff\xd8\xff\xe0", bytes.fromhex("FEFF00E008000000")):
        value = start + bytes(32 - len(start))
        data = made(*image(4, 4), element(0x7FE00010, "OW", value))
        assert read(data).warnings == []
        assert read(data).frames["length"] == 32


def test_fragments_of_uncompressed_pixels() -> None:
    """PS3.5 A.4.11."""
    pixels = bytes(range(32))
    for declared in (EXPLICIT, JPEG):
        data = made(*image(4, 4), encapsulated(pixels), syntax=declared)
        assert document_of(data)["file"]["transferSyntax"] == UNCOMPRESSED
        assert image_of(*reversed(opened(data))).frame(1) == pixels


def test_fragments_of_an_unknown_kind_are_served_as_nothing() -> None:
    """No frame goes out as native pixels, which is what the transfer syntax says; the file does as it came."""
    data = made(*image(4, 4), encapsulated(b"whatever this is"), syntax=EXPLICIT)
    document, reader = opened(data)
    assert "unknown kind" in str(document["warnings"])
    with pytest.raises(DicomWebError) as refused:
        choose_frames(reader, document, [], single=True)
    assert refused.value.status == 406
    with pytest.raises(PixelError, match="in fragments"):
        image_of(reader, document)
    assert sent(data)[0] == data


def test_fragments_in_a_private_transfer_syntax_keep_its_name() -> None:
    data = made(*image(4, 4), encapsulated(b"whatever this is"), syntax="1.2.3.4")
    document, reader = opened(data)
    assert choose_frames(reader, document, [], single=True) == forms("application/octet-stream", "1.2.3.4", True)[0]


@pytest.mark.parametrize(
    ("tag", "vr"), [(0x7FE00010, "OW"), (0x7FE00010, "OB"), (0x7FE00008, "OF"), (0x7FE00009, "OD")]
)
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
@pytest.mark.parametrize("ends", [True, False])
def test_native_pixels_of_undefined_length(tag: int, vr: str, syntax: str, ends: bool) -> None:
    """PS3.5 7.1.2, A.1, A.2: they have a length; a pixel may look like the delimiter."""
    order = ">" if syntax == BIG else "<"
    size = {"OF": 4, "OD": 8, "OW": 2, "OB": 1}[vr]
    mark = bytes.fromhex("FFFEE0DD" if syntax == BIG else "FEFFDDE0")
    value = mark + bytes(range(4, 3 * 3 * size))
    numbers = {0x00280002: 1, 0x00280010: 3, 0x00280011: 3, 0x00280100: 8 * size, 0x00280103: 0}
    explicit = syntax != IMPLICIT
    described = [
        element(n, "US" if explicit else None, struct.pack(f"{order}H", v), order=order) for n, v in numbers.items()
    ]
    described.append(element(0x00280004, "CS" if explicit else None, "MONOCHROME2", order=order))
    behind = element(0x7FE10010, "LO" if explicit else None, "MAKER", order=order)
    padding = bytes(len(value) % 2)
    end = (mark + bytes(4)) if ends else b""
    pixels = element(tag, vr if explicit else None, value + padding + end, UNDEFINED, order=order)
    data = made(*described, pixels, syntax=syntax, order=order) + behind
    result = read(data)
    assert result.frames == {"count": 1, "offset": data.index(value), "length": len(value)}
    assert any("undefined length" in sentence for sentence in result.warnings)
    assert result.dataset["7FE10010"]["Value"] == ["MAKER"]
    sent_back = dcmread(io.BytesIO(sent(data)[0]))
    assert sent_back[tag].value == value + padding
    assert not sent_back[tag].is_undefined_length
    assert sent_back[0x7FE10010].value == "MAKER"


@pytest.mark.parametrize("frames", [None, 1])
@pytest.mark.parametrize(
    "name", ["MR_small_RLE.dcm", "SC_rgb_rle.dcm", "JPEG2000.dcm", "MR_small_jpeg_ls_lossless.dcm"]
)
def test_one_frame_in_several_fragments(name: str, frames: int | None) -> None:
    """Number of Frames is absent where there is one (PS3.3 C.7.6.6), and pydicom reads it so, for every codec."""
    dataset = dcmread(io.BytesIO(sample(name)))
    expected = pixels_of(dataset)
    (whole,) = generate_frames(dataset.PixelData, number_of_frames=1)
    if frames:
        dataset.NumberOfFrames = frames
    dataset.PixelData = encapsulate([whole], fragments_per_frame=4, has_bot=False)
    assert np.array_equal(pixels_of(dataset), expected)
    document, reader = opened(as_bytes(dataset))
    assert document["file"]["frames"]["count"] == 1
    assert document["warnings"] == []
    assert image_of(reader, document).frame(1).startswith(whole)
    explicit = dcmread(io.BytesIO(sent(as_bytes(dataset), EXPLICIT)[0]))
    assert np.array_equal(explicit.pixel_array, expected)


@pytest.mark.parametrize("frames", [None, 10])
def test_rle_frames_in_several_fragments_each(frames: int | None) -> None:
    """Their headers (PS3.5 G.5) tell where they begin."""
    dataset = dcmread(io.BytesIO(sample("emri_small_RLE.dcm")))
    whole = list(generate_frames(dataset.PixelData, number_of_frames=10))
    dataset.PixelData = encapsulate(whole, fragments_per_frame=3, has_bot=False)
    del dataset.NumberOfFrames
    if frames:
        dataset.NumberOfFrames = frames
    document, reader = opened(as_bytes(dataset))
    image = image_of(reader, document)
    assert [image.frame(number) for number in range(1, image.count + 1)] == whole


@pytest.mark.parametrize(
    ("rows", "columns", "bits", "size"), [(1, 1, 8, 2), (1, 1, 1, 2), (1, 5, 1, 2), (3, 3, 1, 2), (3, 1, 8, 4)]
)
def test_padding_is_no_frame(rows: int, columns: int, bits: int, size: int) -> None:
    """PS3.5 8.1.1: the value is padded to an even length."""
    for syntax in (EXPLICIT, IMPLICIT):
        explicit = syntax == EXPLICIT
        numbers = {0x00280010: rows, 0x00280011: columns, 0x00280100: bits}
        described = [element(tag, "US" if explicit else None, struct.pack("<H", n)) for tag, n in numbers.items()]
        result = read(made(*described, element(0x7FE00010, "OB" if explicit else None, bytes(size)), syntax=syntax))
        assert (result.frames["count"], result.frames["length"]) == (1, (rows * columns * bits + 7) // 8)
        assert result.warnings == []


def test_odd_value_of_undefined_length_in_its_item_stays_bulk() -> None:
    """Only the pixels of the top level make frames; an icon's value of undefined length is read as before."""
    icon = item(element(0x7FE00010, "OB", b"icon" + SEQUENCE_END, length=UNDEFINED))
    result = read(made(element(0x00880200, "SQ", icon)))
    assert result.frames is None
    assert result.bulk["00880200/0/7FE00010"]["length"] == 4
    assert UID(EXPLICIT) == result.transfer_syntax
