"""One odd stored file never breaks a listing for the others (PS3.18 10.4, 10.6), at any level, in any media type."""

import io
import json

import pytest
from pydicom import dcmread

from tests.awkward_files import LENGTHS, readable
from tests.integration.test_stow_losses import items
from tests.unit.made_part10 import meta

# What depends on the database is tested on both by test_qido_matching.py and test_store_and_retrieve.py.
pytestmark = pytest.mark.one_database("couchdb")

PAGE = 100
# Files without a whole header, and where their data sets begin.
HEADLESS = {"without preamble": len(meta()) - 132, "without meta group": 0}


@pytest.fixture(scope="module")
def server(bundled):
    """Give the server that has every real file."""
    return bundled.server


@pytest.fixture(scope="module")
def stored(server):
    """Store all awkward files, too; return their paths and contents."""
    paths, contents = {}, {}
    for name, content in (dict(readable()) | LENGTHS).items():
        answer = server.store(content)
        assert answer.status_code in (200, 202), (name, answer.text)
        (item,) = items(answer)
        paths[name] = item["00081190"]["Value"][0].removeprefix(server.url)
        contents[name] = content
    return paths, contents


def listed(server, path, tags, query=""):
    """Return the values of some attributes in all rows of a listing."""
    found, offset = [], 0
    while True:
        answer = server.get(f"{path}?limit={PAGE}&offset={offset}{query}")
        assert answer.status_code == 200, answer.text
        rows = answer.json()
        found += [tuple(row[tag]["Value"][0] for tag in tags) for row in rows]
        offset += PAGE
        if len(rows) < PAGE:
            return found


def parts(path):
    _, _studies, study, _series, series, _instances, instance = path.split("/")
    return study, series, instance


@pytest.mark.parametrize("query", ["", "&includefield=all", "&fuzzymatching=true&PatientName=*"])
def test_every_level_lists_everything(server, bundled, stored, query):
    places = {parts(path) for path in bundled.paths()}
    assert places > {parts(path) for path in stored[0].values()}
    studies = listed(server, "/studies", ["0020000D"], query)
    series = listed(server, "/series", ["0020000D", "0020000E"], query)
    instances = listed(server, "/instances", ["0020000D", "0020000E", "00080018"], query)
    if "PatientName" not in query:
        assert sorted(studies) == sorted({place[:1] for place in places})
        assert sorted(series) == sorted({place[:2] for place in places})
        assert sorted(instances) == sorted(places)
    else:
        assert studies
        assert instances


def test_each_awkward_file_is_retrieved_and_listed(server, stored):
    paths, contents = stored
    for name, path in paths.items():
        study, series, instance = parts(path)
        got = server.get(path, headers={"Accept": "application/dicom; transfer-syntax=*"})
        if name in HEADLESS:  # PS3.10 7.1: a header is made on the way out, and readers open what is sent
            assert str(dcmread(io.BytesIO(got.content)).SOPInstanceUID) == instance, name
            assert got.content.endswith(contents[name][HEADLESS[name] :]), name
        else:
            assert got.content == contents[name], name
        assert listed(server, f"/studies/{study}/series", ["0020000E"]) == [(series,)], name
        assert listed(server, f"/studies/{study}/instances", ["00080018"]) == [(instance,)], name
        assert listed(server, f"/studies/{study}/series/{series}/instances", ["00080018"]) == [(instance,)], name


@pytest.mark.parametrize("accept", ["application/dicom+json", 'multipart/related; type="application/dicom+xml"'])
def test_metadata_of_each_awkward_file(server, stored, accept):
    for name, path in stored[0].items():
        answer = server.get(f"{path}/metadata", headers={"Accept": accept})
        assert answer.status_code == 200, (name, answer.text[:500])
        if "json" in accept:
            (told,) = json.loads(answer.content)
            assert told["00080018"]["Value"] == [parts(path)[2]], name


def test_listings_in_xml(server, stored):
    for path in ("/studies", "/series", "/instances"):
        accept = 'multipart/related; type="application/dicom+xml"'
        answer = server.get(f"{path}?limit=1000&includefield=all", headers={"Accept": accept})
        assert answer.status_code == 200, answer.text[:500]
        assert answer.content.count(b"<NativeDicomModel") == len(listed(server, path, ["0020000D"]))


def test_frames_and_rendering_of_awkward_files_are_no_server_error(server, stored):
    for name, path in stored[0].items():
        for suffix, accept in (
            ("/frames/1", "multipart/related; type=application/octet-stream; transfer-syntax=*"),
            ("/rendered", "image/jpeg"),
            ("/thumbnail", "image/jpeg"),
            ("/bulkdata/7FE00010", "*/*"),
        ):
            answer = server.get(path + suffix, headers={"Accept": accept})
            assert answer.status_code < 500, (name, suffix, answer.text[:300])
