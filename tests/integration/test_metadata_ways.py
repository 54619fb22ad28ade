"""Metadata read as documents and as the design document's list say the same, whole or streamed, while others write."""

from __future__ import annotations

import json

import pytest
import requests

from dicouch.app import create_app
from dicouch.config import Config
from dicouch.read import metadata
from dicouch.read.metadata import digest_of, revisions
from dicouch.read.retrieve import Retriever
from dicouch.rewrite import requests as couch_requests
from tests.integration.gallery import IMAGES
from tests.server import push

# What depends on the database is tested on both by test_qido_matching.py and test_store_and_retrieve.py.
pytestmark = pytest.mark.one_database("couchdb")

BASE = "http://made/dicom-web"
STUDY, SERIES = "9.1", "9.1.1"
COUNT = 12


@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_documents_and_list_say_the_same(gallery, level):
    reader = reader_of(gallery.server.database)
    for name in (*IMAGES, "report", "segmentation"):
        if name not in gallery.datasets:
            continue
        uids = uids_of(gallery.path(name, level))
        listed = b"".join(metadata.render(reader, *uids, BASE))
        for most in (metadata.LARGEST, 1):
            found = metadata.read(reader, *uids, BASE, most)
            body = b"".join(found.pieces)
            assert ordered(body) == ordered(listed)
            streamed = reader.corrections(uids[0]) or (most == 1 and level != "instance")
            assert (found.whole is None) == bool(streamed)
            assert found.fingerprint == digest_of(revisions(reader, *uids))


def reader_of(database: str) -> Retriever:
    root, _, name = database.rpartition("/")
    app = create_app(Config(root, name))
    parts = app.extensions["dicouch"]
    return Retriever(parts.couch, parts.store)


def uids_of(path: str) -> tuple[str | None, ...]:
    found = path.split("/")[2::2]
    return (*found, *[None] * (3 - len(found)))


def ordered(text: bytes) -> object:
    """Return JSON with the order of names."""
    return json.loads(text, object_pairs_hook=lambda pairs: ["object", *pairs])


def dataset(number: int, text: str = "x", series: str = SERIES) -> dict:
    """Return a data set with names that a JavaScript engine puts first, in disorder."""
    item = {"00080018": {"vr": "UI"}, "60003000": {"vr": "OW", "InlineBinary": "AA=="}}
    return {
        "00080018": {"vr": "UI", "Value": [f"9.1.1.{number:03d}"]},
        "00081115": {"vr": "SQ", "Value": [item]},
        "0020000D": {"vr": "UI", "Value": [STUDY]},
        "0020000E": {"vr": "UI", "Value": [series]},
        "00200013": {"vr": "IS", "Value": [number]},
        "00204000": {"vr": "LT", "Value": [text * 200]},
        "60003000": {"vr": "OW", "BulkDataURI": "bulkdata/60003000"},
        "7FE00010": {"vr": "OW", "BulkDataURI": "bulkdata/7FE00010"},
    }


def document(number: int, text: str = "x", series: str = SERIES) -> dict:
    file = {"store": "folder:nowhere", "size": 1, "transferSyntax": "1.2.840.10008.1.2.1"}
    made = dataset(number, text, series)
    return {"_id": name_of(number, series), "type": "instance", "dataset": made, "file": file}


def name_of(number: int, series: str = SERIES) -> str:
    return f"{STUDY}:{series}:9.1.1.{number:03d}"


def study_header(values: dict | None = None, **more: object) -> dict:
    values = {"0020000D": {"vr": "UI", "Value": [STUDY]}, **(values or {})}
    return {"_id": f"{STUDY}:study", "type": "study", "dataset": values, "series": {SERIES: "CT"}, **more}


def series_header(series: str, values: dict | None = None, **more: object) -> dict:
    values = {"0020000E": {"vr": "UI", "Value": [series]}, **(values or {})}
    return {"_id": f"{STUDY}:{series}", "type": "series", "dataset": values, **more}


FIX = {"value": {"vr": "LO", "Value": ["Mended"]}, "at": "2026-11-23T08:00:00.123Z"}


class Archive:
    """A database written past the shim, and a reader that lets others write between its requests."""

    def __init__(self, url: str):
        self.url = url
        root, _, name = url.rpartition("/")
        push(root, name)
        self.reader = reader_of(url)
        self.reader.start, self._start = self._asked, self.reader.start
        self.before: dict[int, list] = {}
        self.paths: list[str] = []

    def _asked(self, request):
        for job in self.before.get(len(self.paths), ()):
            job()
        self.paths.append(request.path)
        return self._start(request)

    def put(self, document: dict) -> None:
        current = requests.get(f"{self.url}/{document['_id']}", timeout=30)
        revision = {"_rev": current.json()["_rev"]} if current.ok else {}
        requests.put(f"{self.url}/{document['_id']}", json={**document, **revision}, timeout=30).raise_for_status()

    def delete(self, name: str) -> None:
        revision = requests.get(f"{self.url}/{name}", timeout=30).json()["_rev"]
        requests.delete(f"{self.url}/{name}", params={"rev": revision}, timeout=30).raise_for_status()

    def read(self, most: int = 2000, series: str | None = SERIES):
        """Return the metadata, and the data sets in them."""
        self.paths.clear()
        found = metadata.read(self.reader, STUDY, series, None, BASE, most)
        return found, json.loads(b"".join(found.pieces))

    def now(self, series: str | None = SERIES) -> str:
        self.before.clear()
        return digest_of(revisions(self.reader, STUDY, series, None))


@pytest.fixture
def archive(fresh_database):
    archive = Archive(fresh_database)
    archive.put(study_header(variants={}))
    archive.put(series_header(SERIES))
    for number in range(COUNT):
        archive.put(document(number))
    return archive


def texts(datasets: list[dict]) -> list[str]:
    return [one["00204000"]["Value"][0][0] for one in datasets]


@pytest.mark.parametrize("most", [metadata.LARGEST, 2000, 1])
@pytest.mark.parametrize("series", [SERIES, None])
def test_attributes_come_in_order_with_absolute_places(archive, most, series):
    found, _datasets = archive.read(most, series)
    body = b"".join(metadata.read(archive.reader, STUDY, series, None, BASE, most).pieces)
    for number, line in enumerate(body.decode().strip("[]\n").split(",\n")):
        assert list(json.loads(line)) == sorted(dataset(number))
        assert list(json.loads(line)["00081115"]["Value"][0]) == ["00080018", "60003000"]
        place = f"{BASE}/studies/{STUDY}/series/{SERIES}/instances/9.1.1.{number:03d}/bulkdata/"
        assert json.loads(line)["7FE00010"]["BulkDataURI"] == f"{place}7FE00010"
    assert found.fingerprint == archive.now(series)
    assert body.decode().count(",\n") == COUNT - 1


def test_a_write_before_the_revisions_are_read_is_in_what_is_sent(archive):
    """Else a client would keep the old data set under the validator of the new one."""
    archive.before = {1: [lambda: archive.put(document(1, "y"))]}
    found, datasets = archive.read()
    assert texts(datasets)[1] == "y"
    assert found.fingerprint == archive.now()


def test_a_write_behind_what_was_read_already(archive):
    archive.before = {1: [lambda: archive.put(document(COUNT - 1, "y"))]}
    found, datasets = archive.read()
    assert texts(datasets) == ["x"] * (COUNT - 1) + ["y"]
    assert found.fingerprint == archive.now()


def test_a_write_behind_the_revisions_makes_the_validator_old_not_the_data_sets(archive):
    archive.before = {2: [lambda: archive.put(document(COUNT - 1, "y"))]}
    found, datasets = archive.read()
    assert texts(datasets)[-1] == "y"
    assert found.fingerprint != archive.now()


def test_instances_that_go_while_they_are_read(archive):
    archive.before = {2: [lambda: [archive.delete(name_of(number)) for number in (3, COUNT - 1)]]}
    _found, datasets = archive.read()
    assert len(datasets) in (COUNT - 1, COUNT - 2)  # one may have been read before


@pytest.mark.parametrize("series", [SERIES, None])
def test_what_headers_say_otherwise_is_laid_over(archive, series):
    archive.put(study_header({"00081030": FIX["value"]}, fixes={"00081030": FIX}))
    found, datasets = archive.read(metadata.LARGEST, series)
    assert all(one["00081030"]["Value"] == ["Mended"] for one in datasets)
    assert found.fingerprint == archive.now(series)


def test_a_later_series_that_its_header_corrects(archive):
    """A study whose beginning is made already when the header of another series comes."""
    archive.put(series_header("9.2", {"0008103E": FIX["value"]}, fixes={"0008103E": FIX}))
    archive.put(document(1, series="9.2"))
    for most in (metadata.LARGEST, 1):
        _found, datasets = archive.read(most, None)
        assert [one.get("0008103E", {}).get("Value") for one in datasets] == [*[None] * COUNT, ["Mended"]]


def test_a_short_series_takes_one_request(archive):
    archive.read(metadata.LARGEST)
    assert archive.paths == [couch_requests.made_of(STUDY, SERIES, None, documents=True).path]
