"""``/ui/status``: what the history says, and the page while there is no database."""

import math
import time

import pytest

from dicouch.routes import status
from dicouch.server import counters
from dicouch.server.counters import STEP, Counters
from dicouch.server.timing import Trace
from tests.unit.test_metrics import app_of


@pytest.fixture
def sampled(monkeypatch):
    """Counters whose clock is set by hand: ``wait(steps, behind)``."""
    told = Counters(["dicomweb.RetrieveFrames", "dicomweb.SearchForStudies"])
    now = [100.0 * STEP]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def wait(steps=1, behind=0.0):
        now[0] += steps * STEP
        told.sample(told.due(), behind)

    wait()
    return told, wait


def answer(told, seconds, status=200, **trace):
    told.begin()
    told.end(Trace(endpoint="dicomweb.RetrieveFrames", **trace), status, seconds, 10, 5000)


def test_steps_of_the_history(sampled):
    told, wait = sampled
    for _ in range(10):
        answer(told, 0.004, couch=0.003, shim=0.001, hits=3, misses=1)
    wait(behind=12.0)
    wait(2, math.nan)  # a step was left out, and the database did not say
    answer(told, 0.3, 503)
    wait()
    found = status.history(told.samples())
    assert found["ages"] == [3 * STEP, STEP, 0]
    assert found["longest"] == 60
    series = found["series"]
    assert series["requests"] == {"frames": [2.0, 0.0, 0.2], "errors": [0.0, 0.0, 0.2]}
    assert series["p50"]["frames"] == [pytest.approx(0.00375), None, pytest.approx(0.375)]
    assert series["p95"]["frames"][0] == pytest.approx(0.004875)
    assert series["took"]["CouchDB"] == [pytest.approx(0.003), None, 0.0]
    assert series["memory"]["found"] == [pytest.approx(0.75), None, None]
    assert series["behind"]["changes"] == [12.0, None, 0.0]
    assert series["bytes"] == {"in": [20.0, 0.0, 2.0], "out": [10_000.0, 0.0, 1000.0]}


def test_no_history():
    assert status.history([])["ages"] == []


def test_without_a_database():
    app = app_of()
    counters.of(app).set("threads", 3)
    found = app.test_client().get("/ui/status")
    assert found.status_code == 503
    assert found.mimetype == "text/html"
    assert "database" in found.text
    assert "<th>Threads that answer requests</th><td>3</td>" in found.text
    assert 'http-equiv="refresh"' in found.text
    assert "script" not in found.headers["Content-Security-Policy"]
    assert found.headers["Retry-After"] == "10"


def test_strangers_see_nothing():
    found = app_of().test_client().get("/ui/status", environ_base={"REMOTE_ADDR": "192.0.2.7"})
    assert found.status_code == 401
