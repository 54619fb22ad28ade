"""``/metrics``: what Prometheus reads, and who may read it."""

import os
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dicouch import services
from dicouch.app import create_app
from dicouch.config import Config
from dicouch.couch.client import Couch
from dicouch.couch.response import CouchError
from dicouch.errors import DicomWebError
from dicouch.server import counters
from dicouch.server.timing import Trace

NOBODY = "http://127.0.0.1:1"  # no database: what is counted is told nevertheless
LOGIN = {"Authorization": "Basic YW5uOnNlY3JldA=="}


def app_of(**settings):
    return create_app(Config(couchdb_url=NOBODY, **settings))


@pytest.fixture(scope="module")
def app():
    return app_of(host_names=("*",))


def ask(app, peer="127.0.0.1", **headers):
    return app.test_client().get("/metrics", environ_base={"REMOTE_ADDR": peer}, headers=headers)


def samples(text):
    return {
        (one.name, *sorted(one.labels.items())): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def test_what_it_tells(app):
    told = counters.of(app)
    for seconds in (0.004, 0.3):
        told.begin()
        told.end(Trace(endpoint="dicomweb.RetrieveFrames", couch=0.25, hits=1), 200, seconds, 0, 1000)
    answer = ask(app)
    assert answer.status_code == 200
    assert answer.mimetype == "text/plain"
    found = samples(answer.text)
    route = ("route", "RetrieveFrames")
    assert found["dicouch_requests_total", route, ("status", "200")] == 2
    assert found["dicouch_request_seconds_bucket", ("le", "0.005"), route] == 1
    assert found["dicouch_request_seconds_bucket", ("le", "+Inf"), route] == 2
    assert found["dicouch_request_seconds_count", route] == 2
    assert found["dicouch_request_seconds_sum", route] == pytest.approx(0.304)
    assert found["dicouch_response_bytes_total", route] == 2000
    assert found["dicouch_request_couchdb_seconds_total", route] == 0.5
    assert found["dicouch_memory_lookups_total", ("result", "hit")] == 2
    assert found[("dicouch_couchdb_up",)] == 0
    assert not any(name[0] == "dicouch_index_behind" for name in found)


def test_openmetrics_for_who_asks_for_it(app):
    answer = ask(app, Accept="application/openmetrics-text; version=1.0.0")
    assert answer.mimetype == "application/openmetrics-text"
    assert answer.text.endswith("# EOF\n")


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_this_machine_may_read(app, peer):
    assert ask(app, peer).status_code == 200


@pytest.mark.parametrize(
    ("peer", "headers"),
    [
        ("192.0.2.7", {}),
        ("", {}),  # a socket in the file system: a proxy
        ("127.0.0.1", {"X-Forwarded-For": "192.0.2.7"}),
        ("127.0.0.1", {"Forwarded": "for=192.0.2.7"}),
        ("127.0.0.1", {"Via": "1.1 proxy"}),
    ],
)
def test_strangers_may_not(app, peer, headers):
    answer = ask(app, peer, **headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    assert "dicouch_" not in answer.text


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"db_name": "dicom"}, 200),
        *((CouchError(refused, "unauthorized", "no"), 401) for refused in (400, 401, 403)),
        # Nobody says whether this is a user: that can be asked again (RFC 9110 15.5.2, 15.6.4).
        *((CouchError(other, "error", "secret"), 503) for other in (404, 500, 503)),
        (DicomWebError(503, "secret"), 503),
    ],
)
def test_users_may_as_the_database_says(monkeypatch, said, status):
    def json(self, *_args, **options):
        if isinstance(said, Exception):
            raise said
        return said

    monkeypatch.setattr(Couch, "json", json)
    answer = ask(app_of(host_names=("*",)), "192.0.2.7", **LOGIN)
    assert answer.status_code == status
    assert ("Retry-After" in answer.headers) is (status == 503)
    assert ("WWW-Authenticate" in answer.headers) is (status == 401)
    assert "secret" not in answer.text


def test_who_logged_in_lately_may_while_the_database_is_gone(monkeypatch):
    app = app_of(host_names=("*",))
    who, now = LOGIN["Authorization"], time.monotonic()
    admitted = services.of(app).memory.answered
    admitted(who, True, now - 600)
    told = ask(app, "192.0.2.7", **LOGIN)
    assert (told.status_code, samples(told.text)[("dicouch_couchdb_up",)]) == (200, 0)
    assert ask(app, "192.0.2.7", Authorization="Basic YW5uOm90aGVy").status_code == 503
    admitted(who, False, now)
    assert ask(app, "192.0.2.7", **LOGIN).status_code == 503
    admitted(who, True, now - 100_000)
    assert ask(app, "192.0.2.7", **LOGIN).status_code == 503


def test_a_site_that_is_open_to_all(app):
    assert ask(app_of(open_to_the_network="yes", host_names=("*",)), "192.0.2.7").status_code == 200
    assert ask(app_of(authorization="required")).status_code == 401


def test_the_rules_of_names_and_origins_hold(app):
    closed = app_of()
    assert ask(closed, Host="evil.example").status_code == 421
    assert ask(closed, Origin="http://evil.example").status_code == 403


def test_nothing_lies_about(tmp_path, monkeypatch):
    """What is counted is in memory that goes with the processes: no file is left by those that are killed."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    ask(app_of())
    assert os.listdir(tmp_path) == []
