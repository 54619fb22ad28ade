"""What is broken behind the pixels of a file costs at most that file, on every route, and nobody is told a 500."""

import io
import random
import zipfile

import pytest
import requests
from pydicom import dcmread
from pydicom.uid import generate_uid

from tests.fuzz import PIECES, mutate
from tests.integration.gallery import parts_of
from tests.made_objects import as_bytes
from tests.unit.made_images import sample
from tests.unit.made_part10 import SEQUENCE_END
from tests.unit.test_pixels_behind import BROKEN

# The database has no part in it.
pytestmark = pytest.mark.one_database("embedded")

FILES = ["MR_small_RLE.dcm", "MR_small_implicit.dcm", "CT_small.dcm"]
EXPLICIT, RLE = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5"
MULTIPART = 'multipart/related; type="application/dicom"'
OCTETS = 'multipart/related; type="application/octet-stream"'
RESOURCES = [
    MULTIPART,
    f"{MULTIPART}; transfer-syntax={RLE}",
    f"{MULTIPART}; transfer-syntax=*",
    "application/zip",
    OCTETS,
    "application/dicom",
]
# What is below a study, a series and an instance, and what is accepted there.
BELOW = {
    "/metadata": ["application/dicom+json", 'multipart/related; type="application/dicom+xml"'],
    "/bulkdata": [OCTETS, "*/*"],
    "/frames": [OCTETS, f"{OCTETS}; transfer-syntax={RLE}"],
    "/rendered": ["image/png", 'multipart/related; type="image/jpeg"'],
    "/thumbnail": ["image/jpeg"],
}
OF_ONE = {
    "/frames/1": [OCTETS, "image/dicom-rle, */*; q=0.1", "application/octet-stream"],
    "/frames/1/rendered": ["image/jpeg"],
    "/bulkdata/7FE00010": [OCTETS, "*/*"],
}


def variants() -> list[bytes]:
    """Return files whose tails are broken, each in ways of its own; all of one study."""
    random_, study = random.Random(11), generate_uid()
    made = []
    for name in FILES:
        implicit, series = "implicit" in name, generate_uid()
        dataset = dcmread(io.BytesIO(sample(name)))
        tails = [tail for explicit, plain, _ in BROKEN.values() if (tail := plain if implicit else explicit)]
        tails += [mutate(random_, random_.choice(tails) * 2, PIECES) for _ in range(4)]
        for number, tail in enumerate(tails):
            dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            data = as_bytes(dataset)
            if "RLE" in name:  # where the pixels end, pydicom's file has more
                data = data[: data.rindex(SEQUENCE_END) + 8]
            if number % 4 == 3:  # the end of the pixels, too
                data = data[:-40] + mutate(random_, data[-40:], PIECES)
            made.append(data + tail)
    return made


@pytest.fixture(scope="module")
def stored(server) -> list[str]:
    """Store the files; return the paths of the instances that were taken."""
    response = server.store(*variants())
    assert response.status_code in (200, 202), response.text
    taken = response.json()["00081199"]["Value"]
    assert len(taken) > len(FILES) * 12
    return [item["00081190"]["Value"][0].removeprefix(server.url) for item in taken]


def ask(server, path: str, accept: str) -> requests.Response:
    response = server.get(path, headers={"Accept": accept})
    assert response.status_code < 500, (path, accept, response.status_code, response.text[:500])
    if response.status_code >= 400:
        assert set(response.json()) == {"error", "reason"}
    return response


def test_each_instance_on_each_route(server, stored, pytestconfig):
    for path in stored if pytestconfig.getoption("--all") else stored[::7]:
        for accept in RESOURCES:
            answer = ask(server, path, accept)
            if accept == "application/dicom" and answer.status_code == 200:
                dcmread(io.BytesIO(answer.content), force=True)
        for below, accepts in {**BELOW, **OF_ONE}.items():
            for accept in accepts:
                ask(server, path + below, accept)
        _, _, study, _, series, _, instance = path.split("/")
        query = {"requestType": "WADO", "studyUID": study, "seriesUID": series, "objectUID": instance}
        for kind in ("application/dicom", "image/jpeg"):
            answer = requests.get(server.url, params={**query, "contentType": kind}, timeout=60)
            assert answer.status_code < 500, (path, kind, answer.text)
        assert ask(server, path, f"{MULTIPART}; transfer-syntax=*").status_code == 200


@pytest.mark.parametrize("level", ["study", "series"])
def test_no_instance_takes_the_others_with_it(server, stored, level, pytestconfig):
    paths = {path.partition("/series" if level == "study" else "/instances")[0] for path in stored}
    for resource in sorted(paths) if pytestconfig.getoption("--all") else [min(paths)]:
        expected = sum(path.startswith(resource + "/") for path in stored)
        for accept in RESOURCES:
            answer = ask(server, resource, accept)
            if accept == "application/zip":
                assert len(zipfile.ZipFile(io.BytesIO(answer.content)).namelist()) == expected
            elif MULTIPART in accept:
                assert answer.status_code == 200
                assert len(parts_of(answer)) == expected
        for below, accepts in BELOW.items():
            for accept in accepts:
                answer = ask(server, resource + below, accept)
                assert answer.content
        assert len(server.get(f"{resource}/metadata").json()) == expected
