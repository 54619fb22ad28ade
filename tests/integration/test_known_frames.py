"""What the server knows of instances: one request to the database less, or none, and never old bytes."""

from __future__ import annotations

import secrets
import time
from dataclasses import replace

import pytest
import requests

from dicouch import services
from dicouch.app import create_app
from dicouch.config import Config
from dicouch.couch import feed
from dicouch.couch.memory import Memory
from dicouch.read import ahead
from tests.eventually import eventually
from tests.made import instance
from tests.server import push

# What depends on the database is tested on both by test_qido_matching.py and test_store_and_retrieve.py.
pytestmark = pytest.mark.one_database("couchdb")

PATH = "/dicom-web/studies/9.1/series/9.1.1/instances/9.1.1.1"
ID = "9.1:9.1.1:9.1.1.1"
FRAME = {"Accept": 'multipart/related; type="application/octet-stream"; transfer-syntax=*'}
ALONE = {"Accept": "application/octet-stream; transfer-syntax=*"}
FIRST, SECOND = bytes(range(256)) * 2, bytes(range(255, -1, -1)) * 8


def made(pixels: bytes) -> bytes:
    return instance("9.1", "9.1.1", "9.1.1.1", pixels=pixels)


class Site:
    """Two applications on the same database that share what processes share, as two workers do."""

    def __init__(self, database: str, **settings):
        self.database = database
        self.root, _, name = database.rpartition("/")
        push(self.root, name)
        self.apps = [create_app(Config(self.root, name, **settings)) for _each in range(2)]
        self.asked: list[str] = []
        first, second = (services.of(app) for app in self.apps)
        memory = Memory.of(second.couch, second.config.remember, beside=first.memory)
        self.apps[1].extensions[services.NAME] = replace(second, memory=memory)
        self.memories = first.memory, memory
        for one in (first, second):
            one.couch.observe = lambda asked, seconds, again: self.asked.append(asked)
        self.settle()

    def settle(self) -> None:
        """Wait until both follow the changes of the database, and are told of all that were made."""
        deadline = time.monotonic() + 20
        while not all(each.is_awake() for each in self.memories) and self.memories[0]._seconds:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        for each in self.memories:
            each.admits(None)
        time.sleep(feed.PAUSE + 0.2)

    def get(self, path: str, headers: dict, worker: int = 0):
        """Return an answer, and what the database was asked for it."""
        self.asked.clear()
        answer = self.apps[worker].test_client().get(path, headers=headers)
        answer.get_data()
        return answer, list(dict.fromkeys(self.asked))

    def store(self, data: bytes, worker: int = 1) -> None:
        boundary = secrets.token_hex(8)
        kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
        head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        body = head + data + f"\r\n--{boundary}--\r\n".encode()
        answer = self.apps[worker].test_client().post("/dicom-web/studies", data=body, content_type=kind)
        assert answer.status_code in (200, 202), answer.text

    def delete(self, worker: int = 1) -> None:
        assert self.apps[worker].test_client().delete("/dicom-web/studies/9.1").status_code in (204, 404)


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """What is read behind the answer or ahead is there when it is, on a busy machine too; changes are told soon."""
    monkeypatch.setattr(feed, "PAUSE", 0.02)
    monkeypatch.setattr(ahead, "submit", lambda job: job())
    monkeypatch.setattr(ahead, "PATIENCE", 20.0)


@pytest.fixture
def site(fresh_database):
    site = Site(fresh_database, remember=30.0)
    site.store(made(FIRST))
    site.settle()
    yield site
    site.delete()


def test_the_second_time_takes_one_request(site):
    answer, asked = site.get(PATH + "/frames/1", ALONE)
    assert answer.data == FIRST
    assert len(asked) == 3  # the beginning of the series, what people fixed, the bytes
    again, asked = site.get(PATH + "/frames/1", ALONE)
    assert again.data == FIRST
    assert again.headers["Content-Type"] == answer.headers["Content-Type"]
    assert len(asked) == 1
    assert "object.dcm" in asked[0]
    # Whatever else is accepted.
    answer, asked = site.get(PATH + "/frames/1", FRAME)
    assert FIRST in answer.data
    assert len(asked) == 1
    assert answer.content_length == len(answer.data)


def test_what_another_worker_replaced_shows_at_once(site):
    for data in (SECOND, FIRST, SECOND):
        site.get(PATH + "/frames/1", ALONE)
        site.store(made(data))
        assert site.get(PATH + "/frames/1", ALONE)[0].data == data


def test_what_is_gone_is_gone(site):
    site.get(PATH + "/frames/1", ALONE)
    site.delete()
    assert site.get(PATH + "/frames/1", ALONE)[0].status_code == 404


def test_a_frame_that_is_not_there(site):
    site.get(PATH + "/frames/1", ALONE)
    answer, _asked = site.get(PATH + "/frames/2", ALONE)
    assert answer.status_code == 404
    assert "the instance has 1" in answer.json["reason"]


def test_what_cannot_be_accepted(site):
    site.get(PATH + "/frames/1", ALONE)
    assert site.get(PATH + "/frames/1", {"Accept": "video/mp4"})[0].status_code == 406


def test_the_clients_own_credentials_are_checked(site):
    site.get(PATH + "/frames/1", ALONE)
    answer, _asked = site.get(PATH + "/frames/1", ALONE | {"Authorization": "Basic eDp5"})
    assert answer.status_code == 401
    assert FIRST not in answer.data


def test_an_attachment_changed_in_the_database_itself(site):
    site.get(PATH + "/frames/1", ALONE)
    revision = requests.get(f"{site.database}/{ID}", timeout=10).json()["_rev"]
    options = {"params": {"rev": revision}, "headers": {"Content-Type": "application/dicom"}, "timeout": 10}
    requests.put(f"{site.database}/{ID}/object.dcm", data=made(FIRST[::-1]), **options).raise_for_status()
    eventually(lambda: site.get(PATH + "/frames/1", ALONE)[0].data, lambda data: data == FIRST[::-1])


STORED = {"Accept": "application/dicom; transfer-syntax=*"}
PARTS = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
WAYS = [("/frames/1", ALONE), ("/frames/1", FRAME), ("", STORED), ("", PARTS)]


@pytest.fixture
def folder(fresh_database, tmp_path):
    site = Site(fresh_database, bytes=f"folder:{tmp_path}", remember=30.0)
    site.store(made(FIRST))
    site.settle()
    yield site
    site.delete()


@pytest.mark.parametrize("way", WAYS)
def test_in_a_folder_the_second_time_takes_no_request(folder, way):
    below, headers = way
    first, asked = folder.get(PATH + below, headers)
    assert asked
    again, asked = folder.get(PATH + below, headers)
    assert asked == []
    assert FIRST in again.data
    assert len(again.data) == len(first.data) == again.content_length
    part, asked = folder.get(PATH, STORED | {"Range": "bytes=10-19"})
    assert (part.status_code, part.data) == (206, made(FIRST)[10:20])


@pytest.mark.parametrize("way", WAYS)
def test_in_a_folder_what_another_worker_does_shows_at_once(folder, way):
    below, headers = way
    for data in (SECOND, FIRST, SECOND):
        folder.get(PATH + below, headers)
        folder.store(made(data))
        assert data in folder.get(PATH + below, headers)[0].data
    folder.delete()
    assert folder.get(PATH + below, headers)[0].status_code == 404


def test_in_a_folder_a_correction_by_another_worker_shows_at_once(folder):
    path = "/dicom-web/studies/9.1/conflicts"
    client = folder.apps[1].test_client()
    for way in (STORED, PARTS):
        folder.get(PATH, way)
        assert folder.get(PATH, way)[1] == []
        fix = {"tag": "00081030", "value": "Mended", "by": "Ann"}
        assert client.post(path, json=fix).status_code == 200
        assert b"Mended" in folder.get(PATH, way)[0].data
        undone = client.post(path, json={"tag": "00081030", "undo": True, "by": "Ann"})
        assert undone.status_code == 200
        assert b"Mended" not in folder.get(PATH, way)[0].data


@pytest.mark.parametrize("below", ["", "/frames/1"])
def test_in_a_folder_others_are_asked_for_their_own_credentials(folder, below):
    accept = ALONE if below else STORED
    folder.get(PATH + below, accept)
    assert folder.get(PATH + below, accept | {"Authorization": "Basic eDp5"})[0].status_code == 401


@pytest.mark.parametrize(("remember", "asks"), [(0.0, True), (0.3, True), (30.0, False)])
def test_how_long_the_server_remembers(fresh_database, tmp_path, remember, asks):
    site = Site(fresh_database, bytes=f"folder:{tmp_path}", remember=remember)
    site.store(made(FIRST))
    try:
        for below, accept in (("", STORED), ("/frames/1", ALONE)):

            def asked_again(path=PATH + below, accept=accept):
                site.get(path, accept)
                time.sleep(0.5)
                return bool(site.get(path, accept)[1])

            # More than once: on a busy machine the feed may only now tell of what was stored.
            assert all(asked_again() for _ in range(2 if asks else 6)) == asks
    finally:
        site.delete()


@pytest.mark.parametrize("way", [STORED, PARTS])
def test_a_whole_attachment_takes_one_request_and_is_never_old(site, way):
    first, asked = site.get(PATH, way)
    assert len(asked) == 3
    again, asked = site.get(PATH, way)
    assert len(asked) == 1
    assert "object.dcm" in asked[0]
    assert len(again.data) == len(first.data) == again.content_length
    for data in (SECOND, FIRST):
        site.get(PATH, way)
        site.store(made(data))
        assert data in site.get(PATH, way)[0].data
    site.get(PATH, way)
    client = site.apps[1].test_client()
    fix = {"tag": "00081030", "value": "Mended", "by": "Ann"}
    assert client.post("/dicom-web/studies/9.1/conflicts", json=fix).status_code == 200
    assert b"Mended" in site.get(PATH, way)[0].data
    undo = {"tag": "00081030", "undo": True, "by": "Ann"}
    assert client.post("/dicom-web/studies/9.1/conflicts", json=undo).status_code == 200
    site.get(PATH, way)
    assert site.get(PATH, way | {"Authorization": "Basic eDp5"})[0].status_code == 401
    # Ways that need more than the bytes as they are.
    assert site.get(PATH, {"Accept": "application/zip"})[0].data[:2] == b"PK"
    assert site.get(PATH, {"Accept": "application/dicom; transfer-syntax=1.2.840.10008.1.2.5"})[0].status_code == 200
    tag = site.get(PATH, STORED)[0].headers["ETag"]
    site.store(made(SECOND))
    assert site.get(PATH, STORED | {"If-None-Match": tag})[0].status_code == 200
    site.get(PATH, way)
    site.delete()
    assert site.get(PATH, way)[0].status_code == 404
