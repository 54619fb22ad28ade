"""Pixel data of instances that are built (PS3.18 10.5.1.4, 10.5.2, Table 8.7.3-5; PS3.5 A.4)."""

import io
import tracemalloc

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels import pixel_array

from dicouch.dicom.part10 import read_part10
from dicouch.write.body import instances
from dicouch.write.outcome import Outcome
from tests.requests_made import Made, attribute, bare_image, body, content_type, image, metadata

MACRO = [
    "SamplesPerPixel PhotometricInterpretation Rows Columns BitsAllocated BitsStored HighBit PixelRepresentation",
    "PlanarConfiguration",
]


def store(*parts, kind="application/dicom+json"):
    """Return what a request with one instance becomes."""
    made = instances(
        io.BytesIO(body(*parts)),
        content_type(kind),
        max_size=1 << 32,
        max_parts=9,
        folder=None,
        base="http://a/studies",
    )
    result = next(made)
    if isinstance(result, Outcome):
        return result
    with result:
        content = result.file.read()
    assert next(made, None) is None
    return content


def stored(*parts, **options):
    """Return the data set that a request becomes, and how the reader sees it."""
    content = store(*parts, **options)
    assert isinstance(content, bytes), content.comment
    return dcmread(io.BytesIO(content)), read_part10(io.BytesIO(content), len(content))


FILES = {
    "SC_rgb_jpeg_dcmtk.dcm": "image/jpeg",
    "SC_rgb_small_odd_jpeg.dcm": "image/jpeg",
    "JPEG-lossy.dcm": "image/jpeg",
    "JPGLosslessP14SV1_1s_1f_8b.dcm": "image/jpeg",
    "color3d_jpeg_baseline.dcm": "image/jpeg",
    "JPEGLSNearLossless_08.dcm": "image/jls",
    "MR_small_jpeg_ls_lossless.dcm": "image/jls",
    "JPEG2000.dcm": "image/jp2",
    "US1_J2KR.dcm": "image/jp2",
    "MR_small_jp2klossless.dcm": "image/jp2",
}


def described(name):
    """Return a file, its frames and its metadata, Image Pixel Description Macro and all."""
    original = dcmread(get_testdata_file(name))
    count = int(original.get("NumberOfFrames", 1))
    dataset = original.to_json_dict(64, lambda element: "pixels" if element.tag == 0x7FE00010 else None)
    kept = {
        tag: element
        for tag, element in dataset.items()
        if tag[:4] in ("0008", "0010", "0020", "0028") and element.get("BulkDataURI", "pixels")
    }
    for tag in ("0020000D", "0020000E", "00080018"):
        kept.setdefault(tag, attribute("UI", "1.2.3"))
    kept["7FE00010"] = {"vr": "OB", "BulkDataURI": "pixels"}
    frames = [frame.rstrip(b"\0") for frame in generate_frames(original.PixelData, number_of_frames=count)]
    return original, frames, kept


@pytest.mark.parametrize("bare", [True, False], ids=["derived", "described"])
@pytest.mark.parametrize(("name", "kind"), FILES.items())
def test_compressed_frames_become_encapsulated_again(name, kind, bare):
    original, frames, dataset = described(name)
    if bare:
        dataset = {tag: element for tag, element in dataset.items() if tag[:4] != "0028" or tag == "00280008"}
    made, reading = stored(metadata(dataset), *(Made(frame, kind, "pixels") for frame in frames))
    assert made.file_meta.TransferSyntaxUID == original.file_meta.TransferSyntaxUID
    for name in ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated"):
        assert made[name].value == original[name].value, name
    assert [frame.rstrip(b"\0") for frame in generate_frames(made.PixelData, number_of_frames=len(frames))] == frames
    assert reading.frames["count"] == len(frames)
    if bare and made.file_meta.TransferSyntaxUID in ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.81"):
        assert made.LossyImageCompression == "01"
    if not bare and original.file_meta.TransferSyntaxUID != "1.2.840.10008.1.2.4.51":  # which nothing here decodes
        # The frames are the same: what describes them is told by one.
        assert np.array_equal(pixel_array(made, index=0), pixel_array(original, index=0))


@pytest.mark.parametrize(
    ("name", "syntax"), [("US1_J2KR.dcm", "1.2.840.10008.1.2.4.201"), ("JPEG2000.dcm", "1.2.840.10008.1.2.4.203")]
)
def test_high_throughput_jpeg_2000_is_told_by_its_capabilities(name, syntax):
    _original, frames, dataset = described(name)
    after_size = 4 + int.from_bytes(frames[0][4:6], "big")
    capabilities = bytes.fromhex("FF50 0008 00020000 0000")
    frame = frames[0][:after_size] + capabilities + frames[0][after_size:]
    made, _reading = stored(metadata(dataset), Made(frame, "image/jphc", "pixels"))
    assert made.file_meta.TransferSyntaxUID == syntax


def test_frames_may_name_their_number_in_any_order():
    original, frames, dataset = described("color3d_jpeg_baseline.dcm")
    parts = [Made(frame, "image/jpeg", f"pixels/frames/{number}") for number, frame in enumerate(frames, 1)]
    made, _reading = stored(metadata(dataset), *reversed(parts))
    assert list(generate_frames(made.PixelData)) == list(generate_frames(encapsulate(frames)))
    told = store(metadata(dataset), *parts[1:])
    assert (told.failure, told.instance) == (0xC000, original.SOPInstanceUID)


def test_rle_needs_its_description():
    original, frames, dataset = described("MR_small_RLE.dcm")
    made, _reading = stored(metadata(dataset), Made(frames[0], "image/dicom-rle", "pixels"))
    assert made.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.5"
    assert np.array_equal(pixel_array(made), pixel_array(original))
    told = store(metadata(bare_image(pixels="pixels")), Made(frames[0], "image/dicom-rle", "pixels"))
    assert told.failure == 0x0120


@pytest.mark.parametrize("as_hint", [None, "00020010", "00083002"])
def test_octets_in_a_named_transfer_syntax(as_hint):
    original, frames, dataset = described("JPEG2000.dcm")
    syntax = original.file_meta.TransferSyntaxUID
    kind = "application/octet-stream"
    if as_hint:
        dataset[as_hint] = attribute("UI", syntax)
    else:
        kind += f"; transfer-syntax={syntax}"
    made, _reading = stored(metadata(dataset), Made(frames[0], kind, "pixels"))
    assert made.file_meta.TransferSyntaxUID == syntax
    assert made.PixelData == original.PixelData or frames[0] in made.PixelData


def test_octets_that_are_encapsulated_already():
    original, _frames, dataset = described("color3d_jpeg_baseline.dcm")
    kind = f"application/octet-stream; transfer-syntax={original.file_meta.TransferSyntaxUID}"
    made, reading = stored(metadata(dataset), Made(original.PixelData, kind, "pixels"))
    assert made.PixelData == original.PixelData
    assert reading.frames["count"] == original.NumberOfFrames
    assert "cut off" in store(metadata(dataset), Made(original.PixelData[:-9], kind, "pixels")).comment


def test_inline_pixel_data():
    dataset = image()
    dataset["7FE00010"] = {"vr": "OW", "InlineBinary": "AAECAwQFBgcICQoL"}
    assert stored(metadata(dataset))[0].PixelData == bytes(range(12))


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"])
def test_uncompressed_syntaxes_become_explicit_little_endian(syntax):
    part = Made(bytes(12), f'application/octet-stream; transfer-syntax="{syntax}"', "bulk/1")
    assert stored(metadata(image()), part)[0].file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"


@pytest.mark.parametrize("length", [6, 5])
def test_8_bits_of_odd_length_are_padded(length):
    more = {f"x{tag}": attribute("US", value) for tag, value in (("00280100", 8), ("00280101", 8), ("00280102", 7))}
    dataset = image(rows=1, columns=length, **more)
    dataset["7FE00010"]["vr"] = "OB"
    made, reading = stored(metadata(dataset), Made(b"x" * length, location="bulk/1"))
    assert (made.PixelData, made["PixelData"].VR) == (b"x" * length + b"\0" * (length % 2), "OB")
    assert not reading.warnings


def test_1_bit_and_float_and_subsampled_lengths():
    bits = {f"x{tag}": attribute("US", value) for tag, value in (("00280100", 1), ("00280101", 1), ("00280102", 0))}
    stored(metadata(image(rows=3, columns=3, x00280008=attribute("IS", 3), **bits)), Made(bytes(4), location="bulk/1"))
    floats = {"x7FE00010": None, "x7FE00008": {"vr": "OF", "BulkDataURI": "bulk/1"}, "x00280100": None}
    made, _reading = stored(metadata(image(**floats)), Made(bytes(24), location="bulk/1"))
    assert made.BitsAllocated == 32
    colour = {f"x{tag}": attribute("US", value) for tag, value in (("00280002", 3), ("00280100", 8), ("00280101", 8))}
    colour |= {
        "x00280004": attribute("CS", "YBR_FULL_422"),
        "x00280006": attribute("US", 0),
        "x00280102": attribute("US", 7),
    }
    stored(metadata(image(rows=2, columns=4, **colour)), Made(bytes(16), location="bulk/1"))


def picture(mode, form="PNG", size=(5, 3), **options):
    target = io.BytesIO()
    pixels = np.arange(size[0] * size[1] * (4 if mode == "RGBA" else 3 if mode == "RGB" else 1)) * 13 % 251
    shape = (size[1], size[0]) if mode in ("L", "I;16", "P") else (size[1], size[0], len(mode))
    array = pixels.astype("uint16" if mode == "I;16" else "uint8").reshape(shape)
    made = Image.fromarray(array) if mode != "P" else Image.fromarray(array).convert("P")
    made.save(target, form, **options)
    return target.getvalue(), array


@pytest.mark.parametrize(
    ("mode", "samples", "bits", "photometric"),
    [("L", 1, 8, "MONOCHROME2"), ("I;16", 1, 16, "MONOCHROME2"), ("RGB", 3, 8, "RGB"), ("RGBA", 3, 8, "RGB")],
)
def test_png_becomes_native(mode, samples, bits, photometric):
    data, array = picture(mode)
    made, reading = stored(metadata(bare_image()), Made(data, "image/png", "bulk/1"))
    assert made.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert (made.SamplesPerPixel, made.BitsAllocated, made.PhotometricInterpretation) == (samples, bits, photometric)
    assert np.array_equal(pixel_array(made), array[..., :3] if mode == "RGBA" else array)
    assert not reading.warnings


def test_an_animated_gif_becomes_a_multi_frame_image():
    pictures = [Image.new("RGB", (6, 4), (40 * number, 0, 255 - 40 * number)) for number in range(4)]
    target = io.BytesIO()
    pictures[0].save(target, "GIF", save_all=True, append_images=pictures[1:])
    made, _reading = stored(metadata(bare_image()), Made(target.getvalue(), "image/gif", "bulk/1"))
    assert (made.NumberOfFrames, made.PhotometricInterpretation) == (4, "RGB")
    assert [tuple(frame[0, 0]) for frame in pixel_array(made)] == [(40 * n, 0, 255 - 40 * n) for n in range(4)]


def test_a_png_of_16_bit_colours_would_lose():
    # Pillow writes none: a minimal one by hand.
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0))
    data += chunk(b"IDAT", zlib.compress(bytes(7))) + chunk(b"IEND", b"")
    assert "without loss" in store(metadata(bare_image()), Made(data, "image/png", "bulk/1")).comment


def jpeg(size=(8, 8), mode="RGB", **options):
    target = io.BytesIO()
    Image.new(mode, size, 100 if mode == "L" else (200, 30, 40)).save(target, "JPEG", **options)
    return target.getvalue()


@pytest.mark.parametrize(
    ("mode", "options", "photometric"),
    [
        ("RGB", {}, "YBR_FULL_422"),
        ("RGB", {"subsampling": 0}, "YBR_FULL"),
        ("RGB", {"keep_rgb": True}, "RGB"),
        ("L", {}, "MONOCHROME2"),
    ],
)
def test_consumer_jpeg(mode, options, photometric):
    made, _reading = stored(metadata(bare_image()), Made(jpeg(mode=mode, **options), "image/jpeg", "bulk/1"))
    assert made.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.50"
    assert made.PhotometricInterpretation == photometric
    assert (made.LossyImageCompression, made.LossyImageCompressionMethod) == ("01", "ISO_10918_1")
    assert pixel_array(made).shape[:2] == (8, 8)


def test_a_jp2_file_leaves_its_boxes_behind():
    target = io.BytesIO()
    Image.new("L", (8, 8), 100).save(target, "JPEG2000")
    assert target.getvalue()[4:8] == b"jP  "
    made, reading = stored(metadata(bare_image()), Made(target.getvalue(), "image/jp2", "bulk/1"))
    assert next(generate_frames(made.PixelData, number_of_frames=1)).startswith(b"\xff\x4f\xff\x51")
    assert (pixel_array(made) == 100).all()
    assert not reading.warnings


MPEG2 = bytes.fromhex("000001B3") + (320 << 12 | 240).to_bytes(3, "big") + bytes(5) + bytes.fromhex("000001B5148A0001")
AVC1 = b"avc1" + bytes(24) + (640).to_bytes(2, "big") + (480).to_bytes(2, "big") + bytes(50) + b"avcC\1\x64\0\x29"
MP4 = b"\0\0\0\x18ftypisom" + bytes(12) + b"\0\0\0\0stsd" + bytes(12) + AVC1


@pytest.mark.parametrize(
    ("kind", "data", "syntax", "size"),
    [
        ("video/mpeg", MPEG2, "1.2.840.10008.1.2.4.100", (240, 320)),
        ("video/mpeg2", MPEG2.replace(b"\x14\x8a", b"\x14\x4a"), "1.2.840.10008.1.2.4.101", (240, 320)),
        ("video/mp4", MP4, "1.2.840.10008.1.2.4.102", (480, 640)),
        ("video/mp4", MP4.replace(b"avcC\1\x64\0\x29", b"avcC\1\x64\0\x2a"), "1.2.840.10008.1.2.4.104", (480, 640)),
        ("video/mp4; transfer-syntax=1.2.840.10008.1.2.4.103", MP4, "1.2.840.10008.1.2.4.103", (480, 640)),
        ("video/mp4", MP4[:24] + bytes(2 << 20) + MP4[24:], "1.2.840.10008.1.2.4.102", (480, 640)),
    ],
)
def test_videos(kind, data, syntax, size):
    dataset = bare_image(x00280008=attribute("IS", 25))
    made, reading = stored(metadata(dataset), Made(data, kind, "bulk/1"))
    assert made.file_meta.TransferSyntaxUID == syntax
    assert (made.Rows, made.Columns, made.PhotometricInterpretation) == (*size, "YBR_PARTIAL_420")
    assert reading.frames["video"]
    assert next(generate_frames(made.PixelData, number_of_frames=1)).startswith(data[:200])


def failing(dataset, *parts, **options):
    told = store(metadata(dataset), *parts, **options)
    assert isinstance(told, Outcome)
    return told.failure, told.comment


def test_what_does_not_fit_is_refused():
    one = Made(jpeg(), "image/jpeg", "bulk/1")
    other = Made(jpeg(size=(8, 16)), "image/jpeg", "bulk/1")
    two = bare_image(x00280008=attribute("IS", 2))
    cases = [
        (
            0xA900,
            "(0028,0010) Rows is 9, the JPEG has 8",
            bare_image(x00280010=attribute("US", 9)),
            one,
        ),
        (0xA900, "SamplesPerPixel is 1", bare_image(x00280002=attribute("US", 1)), one),
        (0xA900, "2 frames received", bare_image(x00280008=attribute("IS", 3)), one, one),
        (0xA900, "frame 2 is not", two, one, other),
        (0xC000, "not all of one media type", two, one, Made(jpeg(), "image/jls", "bulk/1")),
        (0xC122, "progressive JPEG", bare_image(), Made(jpeg(progressive=True), "image/jpeg", "bulk/1")),
        (
            0xC122,
            "no transfer syntax of image/jpeg",
            bare_image(),
            Made(jpeg(), "image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.90", "bulk/1"),
        ),
        (
            0xC122,
            "cannot be stored",
            image(),
            Made(bytes(12), "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.2", "bulk/1"),
        ),
        (
            0xC122,
            "cannot be stored",
            image(),
            Made(bytes(12), "application/octet-stream; transfer-syntax=9.9", "bulk/1"),
        ),
        (0xC122, "type text/plain cannot", image(), Made(bytes(12), "text/plain", "bulk/1")),
        (0xC122, "image/jxl; name one", image(), Made(b"\xff\x0a", "image/jxl", "bulk/1")),
        (
            0xC122,
            "JPEG-LS is not",
            bare_image(),
            Made(described("MR_small_jpeg_ls_lossless.dcm")[1][0], "image/jpeg", "bulk/1"),
        ),
        (0xC122, "what was received is not", bare_image(), Made(b"\xff\xd8\xff", "image/jpeg", "bulk/1")),
        (0xC000, "picture cannot be read", bare_image(), Made(b"\x89PNG\r\n\x1a\n", "image/png", "bulk/1")),
        (0xC000, "is empty", image(), Made(b"", "image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50", "bulk/1")),
        (
            0xA900,
            "Rows is 9, the picture has 3",
            bare_image(x00280010=attribute("US", 9)),
            Made(picture("L")[0], "image/png", "bulk/1"),
        ),
        (0x0120, "NumberOfFrames is missing", bare_image(), Made(MP4, "video/mp4", "bulk/1")),
    ]
    for reason, said, dataset, *parts in cases:
        failure, comment = failing(dataset, *parts)
        assert said in comment
        assert hex(failure) == hex(reason), comment


def test_a_large_value_is_never_whole_in_memory():
    size = 64 << 20
    dataset = image(rows=4096, columns=4096, x00280008=attribute("IS", 2))

    class Body(io.RawIOBase):
        """A body of which the pixel data are made while they are read."""

        def __init__(self):
            head, tail = body(metadata(dataset), Made(b"PIXELS", location="bulk/1")).split(b"PIXELS")
            self.pieces = [head, *[bytes(1 << 20)] * (size >> 20), tail]

        def read(self, size=-1):
            return self.pieces.pop(0) if self.pieces else b""

    tracemalloc.start()
    (part,) = instances(Body(), content_type(), max_size=1 << 30, max_parts=1, folder=None, base="http://a/studies")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    with part:
        assert part.size > size
    assert peak < size / 4
