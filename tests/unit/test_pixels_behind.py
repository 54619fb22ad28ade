"""What stands around the pixel data and is broken costs no image: it is UN, or left out where it is no element."""

import io
import random
import struct

import numpy as np
import pytest
from pydicom import dcmread

from dicouch.dicom.errors import PixelError
from dicouch.dicom.part10 import Part10Error
from dicouch.dicom.pixels.encode import JPEG_LS, RLE
from dicouch.dicom.pixels.transcode import EXPLICIT, targets, transcode
from tests.conftest import share
from tests.fuzz import PIECES, mutate
from tests.made_objects import pixels_of
from tests.unit.made_images import converted, open_stored, sample
from tests.unit.made_part10 import IMPLICIT, ITEM_END, SEQUENCE_END, UNDEFINED, element, item, made

FILES = ["MR_small_RLE.dcm", "MR_small_implicit.dcm", "CT_small.dcm", "emri_small_RLE.dcm", "image_dfl.dcm"]
KEPT = element(0x7FE10010, "LO", "MAKER"), element(0x7FE10010, None, "MAKER")
# What follows the pixels, in Explicit and in Implicit VR, and the element that it becomes (PS3.5 6.2.2), if any.
BROKEN = {
    "sequence delimiter": (SEQUENCE_END, SEQUENCE_END, None),
    "item delimiter": (ITEM_END, ITEM_END, None),
    "three delimiters": (SEQUENCE_END * 3, SEQUENCE_END * 3, None),
    "item": (item(), item(), None),
    "UL of 3 bytes": (
        element(0x00720078, "UL", b"\1\2\3", pad=False),
        element(0x00720078, None, b"\1\2\3", pad=False),
        (0x00720078, b"\1\2\3\0"),
    ),
    "unknown VR": (struct.pack("<HH2sHI", 0x7FE0, 0x1001, b"ZZ", 0, 4) + b"odd!", b"", (0x7FE01001, b"odd!")),
    "AT of 6 bytes": (
        element(0x00720052, "AT", b"sixsix"),
        element(0x00720052, None, b"sixsix"),
        (0x00720052, b"sixsix"),
    ),
    "a sequence of no items": (
        element(0x00880200, "SQ", b"no items"),
        element(0x00880200, None, b"no items"),
        (0x00880200, b"no items"),
    ),
    "bytes of undefined length": (
        element(0x7FE11001, "OB", b"no items" + SEQUENCE_END, length=UNDEFINED),
        b"",
        None,
    ),
    "too few bytes for an element": (b"\x11\x80\x10", b"\x11\x80\x10", None),
    "zeros": (bytes(40), bytes(40), None),
}


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize(
    ("name", "target"),
    [("MR_small_RLE.dcm", EXPLICIT), ("MR_small_implicit.dcm", EXPLICIT), ("MR_small_implicit.dcm", RLE)],
)
def test_broken_elements_behind_the_pixels(kind: str, name: str, target: str) -> None:
    source, implicit = sample(name), "implicit" in name
    tail, made = BROKEN[kind][implicit], BROKEN[kind][2]
    source = source[: source.rindex(SEQUENCE_END) + 8] if not implicit else source
    data = source + tail + (b"" if kind in ("too few bytes for an element", "zeros") else KEPT[implicit])
    dataset = dcmread(io.BytesIO(converted(data, target)))
    assert np.array_equal(pixels_of(dataset), pixels_of(dcmread(io.BytesIO(source))))
    if data.endswith(KEPT[implicit]):
        assert dataset[0x7FE10010].value == "MAKER"
    if made and tail:
        raw = dataset.get_item(made[0])  # pydicom reads a known attribute as its own VR
        assert (raw.VR, raw.value) == ("UN", made[1])
    assert all(tag.group != 0xFFFE for tag in list(dataset.keys()))


@pytest.mark.parametrize("name", ["MR_small_RLE.dcm", "MR_small_implicit.dcm"])
def test_broken_elements_before_the_pixels(name: str) -> None:
    implicit = "implicit" in name
    source = sample(name)
    broken = element(0x00280009, None if implicit else "AT", b"sixsix")
    rows = element(0x00280010, None if implicit else "US", b"\x40\0")
    assert source.count(rows) == 1
    data = source.replace(rows, broken + rows)
    dataset = dcmread(io.BytesIO(converted(data, EXPLICIT)))
    raw = dataset.get_item(0x00280009)
    assert (raw.VR, raw.value) == ("UN", b"sixsix")
    assert np.array_equal(pixels_of(dataset), pixels_of(dcmread(io.BytesIO(source))))
    assert dataset.PatientName == dcmread(io.BytesIO(source)).PatientName


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FILES)
def test_mutated_tails(name: str) -> None:
    """What can be stored is converted, or refused as what its pixels are; pydicom's errors stay inside."""
    random_, source = random.Random(7), sample(name)
    for _case in range(share(40)):
        cut = len(source) - random_.choice([8, 40, 300])
        data = source[:cut] + mutate(random_, source[cut:] + random_.choice(PIECES), PIECES)
        try:
            stored = open_stored(data)
        except Part10Error:
            continue
        for target in [one for one in targets_of(stored) if one in (EXPLICIT, RLE, JPEG_LS)]:
            try:
                size, pieces = transcode(stored, target)
                assert sum(map(len, pieces)) == size
            except PixelError:
                continue


def targets_of(stored) -> list[str]:
    try:
        return targets(stored)
    except PixelError:
        return []


@pytest.mark.parametrize(("term", "codec"), [("ISO_IR 100", "latin-1"), ("ISO_IR 192", "utf-8")])
def test_texts_of_a_file_with_broken_elements(term: str, codec: str) -> None:
    """PS3.3 C.12.1.1.2: they are in the file's own character set, whatever else is wrong with it."""
    elements = [element(0x00080005, None, term), element(0x00100010, None, "Müller^Jörg".encode(codec))]
    numbers = {0x00280002: 1, 0x00280010: 2, 0x00280011: 2, 0x00280100: 16, 0x00280101: 16, 0x00280103: 0}
    elements += [element(tag, None, struct.pack("<H", number)) for tag, number in numbers.items()]
    elements.append(element(0x00280004, None, "MONOCHROME2"))
    tail = element(0x7FE00010, None, bytes(8)) + SEQUENCE_END
    dataset = dcmread(io.BytesIO(converted(made(*elements, syntax=IMPLICIT) + tail, EXPLICIT)))
    assert dataset.PatientName == "Müller^Jörg"
    assert dataset.SpecificCharacterSet == term
