"""Pixels that need more than a decoder, as clients get them: colours of uploaded JPEG, single bits."""

from io import BytesIO

import numpy as np
import pytest
import requests
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, RLELossless, generate_uid

from tests.integration.gallery import parts_of
from tests.integration.test_stow_metadata import REFERENCED, items, send
from tests.made_objects import as_bytes, segmentation
from tests.requests_made import Made, image, metadata
from tests.unit.made_codestreams import COLOUR, encoded, jpeg, marked

# The database has no part in it.
pytestmark = pytest.mark.one_database("couchdb")

OCTETS = 'multipart/related; type="application/octet-stream"'


def get(url: str, accept: str) -> requests.Response:
    answer = requests.get(url, headers={"Accept": accept}, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer


@pytest.mark.parametrize(("adobe", "jfif"), [(1, False), (None, True), (None, False)])
def test_jpeg_that_comes_with_metadata_has_its_colours(server, adobe, jfif):
    data = marked(jpeg(), adobe, jfif)
    dataset = {tag: element for tag, element in image(500).items() if tag[:4] != "0028"}
    dataset["00080018"]["Value"] = [generate_uid()]
    answer = send(server, metadata(dataset), Made(data, "image/jpeg", "bulk/1"))
    assert answer.status_code == 200, answer.text
    url = items(answer, REFERENCED)[0]["00081190"]["Value"][0]
    ((_kind, frame, _location),) = parts_of(get(f"{url}/frames/1", OCTETS))
    shown = Image.open(BytesIO(get(f"{url}/rendered", "image/png").content)).convert("RGB")
    whole = dcmread(BytesIO(get(url, "application/dicom").content))
    assert whole.PhotometricInterpretation == "RGB"
    for pixel in (tuple(frame[:3]), shown.getpixel((0, 0)), whole.pixel_array[0, 0]):
        assert np.abs(np.array(pixel).astype(int) - COLOUR).max() <= 3


def test_single_bits_are_had_at_every_level(server):
    # PS3.5 8.1.1: 33 x 35 bits fill no bytes.
    frames = np.random.default_rng(5).integers(0, 2, (3, 33, 35), np.uint8)
    dataset = dcmread(BytesIO(segmentation("BINARY")))
    dataset.StudyInstanceUID = generate_uid()
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = frames.shape
    options = {"bits_allocated": 8, "bits_stored": 1}
    dataset.PixelData = encapsulate([encoded(JPEG2000Lossless, one, "MONOCHROME2", **options) for one in frames])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    answer = server.store(as_bytes(dataset))
    assert answer.status_code in (200, 202), answer.text
    url = items(answer, REFERENCED)[0]["00081190"]["Value"][0]
    alone = get(url, "application/dicom").content
    ((_kind, of_study, _location),) = parts_of(
        get(url.partition("/series/")[0], 'multipart/related; type="application/dicom"')
    )
    assert of_study == alone
    assert np.array_equal(dcmread(BytesIO(alone)).pixel_array, frames)
    rle = get(url, f"application/dicom; transfer-syntax={RLELossless}").content
    assert np.array_equal(dcmread(BytesIO(rle)).pixel_array, frames)
