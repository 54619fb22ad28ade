"""Whether the server lives and can serve, told without a login and without a word of what is stored."""

import pytest

from dicouch.app import create_app
from dicouch.config import Config
from dicouch.couch.client import Couch
from dicouch.couch.response import CouchError
from dicouch.errors import DicomWebError
from dicouch.routes import health
from dicouch.scripts import designdocs

NOBODY = "http://me:secret@127.0.0.1:9"  # nothing listens there


def client(url: str = NOBODY, authorization: str = "required"):
    health._problem.cache_clear()
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

    def json(self, method, path):
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
    health._problem.cache_clear()
