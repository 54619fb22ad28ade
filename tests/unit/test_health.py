"""Whether the server lives and can serve, told without a login and without a word of what is stored."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from dicouch.app import create_app
from dicouch.config import Config
from dicouch.couch.client import Couch
from dicouch.couch.response import CouchError
from dicouch.errors import DicomWebError
from dicouch.routes import health
from dicouch.scripts import designdocs
from tests.eventually import eventually

NOBODY = "http://me:secret@127.0.0.1:9"  # nothing listens there


def client(url: str = NOBODY, authorization: str = "required"):
    health._said.clear()
    config = Config(couchdb_url=url, couchdb_database="secret-name", remember=0, authorization=authorization)
    return create_app(config).test_client()


@pytest.mark.parametrize("authorization", ["required", "known", "all", "none"])
def test_without_a_database(authorization):
    asked = client(authorization=authorization)
    for credentials in ({}, {"Authorization": "Bearer None"}, {"Authorization": "Basic bWU6"}):
        alive = asked.get("/healthz", headers=credentials)
        assert (alive.status_code, alive.json, alive.headers["Cache-Control"]) == (200, {"status": "alive"}, "no-store")
        ready = asked.get("/readyz", headers=credentials)
        assert (ready.status_code, ready.json["error"]) == (503, "service_unavailable")
        assert int(ready.headers["Retry-After"]) > 0
        assert "secret" not in ready.text
    assert asked.head("/healthz").status_code == 200


def test_rules_of_safety_hold():
    assert client().get("/healthz", headers={"Host": "evil.example"}).status_code == 421
    assert client().get("/readyz", headers={"Origin": "https://evil.example"}).status_code == 403
    assert client(authorization="known").post("/healthz").status_code == 405


@pytest.mark.parametrize(
    ("found", "url", "reason"),
    [
        (designdocs.load(designdocs.FOLDER / "dicom"), NOBODY, ""),
        ({"version": "other"}, NOBODY, "another version"),
        ({}, NOBODY, "another version"),
        (CouchError(404, "not_found", "missing"), NOBODY, "push-views"),
        (CouchError(500, "badmatch", "secret"), NOBODY, "answers 500"),
        (CouchError(401, "unauthorized", "secret"), NOBODY, "refuses the account"),
        (DicomWebError(503, "the database does not answer: secret"), NOBODY, "does not answer"),
        (DicomWebError(502, "the database's answer breaks off"), NOBODY, "does not answer"),
        # A server without an account serves who has one.
        (CouchError(401, "unauthorized", "log in"), "http://127.0.0.1:9", ""),
    ],
)
def test_what_the_database_says(monkeypatch, found, url, reason):
    asked = []

    def json(self, method, path, **others):
        if others:  # what follows the changes for another test
            raise DicomWebError(503, "away")
        asked.append((method, path))
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(Couch, "json", json)
    monkeypatch.setattr(health, "KEPT", 1000.0)
    server = client(url)
    for _time in range(3):
        answer = server.get("/readyz")
        assert answer.status_code == (503 if reason else 200)
        assert reason in answer.json.get("reason", "")
        assert "secret" not in answer.text
    assert asked == [("GET", "_design/dicom")]  # not for each of them
    health._said.clear()


def test_one_look_at_a_time(monkeypatch):
    """A database that hangs costs a worker one thread, however many supervisors ask."""
    asked, goes_on = [], threading.Event()
    good = designdocs.load(designdocs.FOLDER / "dicom")

    def json(*_args, **others):
        if others:
            raise DicomWebError(503, "away")
        asked.append(1)
        assert goes_on.wait(10)
        return good

    monkeypatch.setattr(Couch, "json", json)
    monkeypatch.setattr(health, "KEPT", 1000.0)
    app = client().application

    def ready(_number=0):
        return app.test_client().get("/readyz").status_code

    with ThreadPoolExecutor(8) as pool:
        # Nothing is known yet: they wait for the first look.
        found = pool.map(ready, range(6))
        threading.Timer(0.1, goes_on.set).start()
        assert (list(found), len(asked)) == ([200] * 6, 1)
        # Later they are told what was known, but for the one that looks again.
        goes_on.clear()
        monkeypatch.setattr(health, "KEPT", -1.0)
        looks = pool.submit(ready)
        eventually(lambda: len(asked), lambda count: count == 2)
        assert [ready() for _ in range(3)] == [200] * 3
        assert (looks.done(), len(asked)) == (False, 2)
        goes_on.set()
        assert looks.result() == 200
    health._said.clear()
