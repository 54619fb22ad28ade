"""``shim/server/counters.py``, ``shim/server/sampling.py``: what is counted, by several processes, and the history."""

import math
import os
import time
from types import SimpleNamespace

import pytest

from dicouch.couch.client import Couch
from dicouch.server import counters, gunicorn_conf, sampling
from dicouch.server.counters import STEP, STEPS, Counters, Sample, quantile
from dicouch.server.timing import Trace

ENDPOINTS = ("dicomweb.RetrieveFrames", "dicomweb.SearchForStudies", "ui.list_studies", "ui_below_prefix.list_studies")


@pytest.fixture
def counted():
    return Counters(ENDPOINTS)


def answer(counted, endpoint="dicomweb.RetrieveFrames", status=200, seconds=0.004, **trace):
    counted.begin()
    counted.end(Trace(endpoint=endpoint, **trace), status, seconds, 10, 2000)


def test_a_request_is_counted_once_everywhere(counted):
    answer(counted, hits=2, misses=1, couch=0.001, shim=0.002)
    answer(counted, status=404, seconds=20.0)
    told = counted.totals()
    assert told.statuses == {"RetrieveFrames": {200: 1, 404: 1}}
    # 4 ms is in the bucket up to 5 ms, 20 s behind all bounds.
    assert told.buckets["RetrieveFrames"] == [0, 0, 1, *[0] * 10, 1]
    assert told.sums["RetrieveFrames"] == pytest.approx(
        {"seconds": 20.004, "received": 20, "sent": 4000, "couchdb": 0.001, "shim": 0.002}
    )
    assert (told.values["hits"], told.values["misses"], told.values["active"]) == (2, 1, 0)


def test_what_has_no_route_or_an_odd_status(counted):
    answer(counted, endpoint=None, status=404)
    answer(counted, endpoint="ui_below_prefix.list_studies", status=299)
    counted.begin()
    counted.end(None, 0, 0.1, 0, 0)
    assert counted.totals().statuses == {"none": {404: 1, 0: 1}, "ui.list_studies": {0: 1}}


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        ("GET /dicom/_design/dicom/_view/counts?key=%22/_list/%22", "view"),
        ("GET /dicom/_design/dicom/_list/studies/studies_by_uid", "list"),
        ("PUT /dicom/_design/dicom/_update/study/1.2:study", "update"),
        ("POST /dicom/_all_docs?include_docs=true", "documents"),
        ("POST /dicom/_bulk_docs", "bulk"),
        ("GET /dicom/1.2:3.4:5.6/object.dcm", "bytes"),
        ("GET /dicom/1.2:study", "document"),
        ("GET /dicom/_changes", "other"),
    ],
)
def test_requests_to_the_database(counted, asked, kind):
    counted.asked(asked, 0.5, False)
    counted.asked(asked, 0.25, True)  # the rest of its body
    assert {name: told for name, told in counted.totals().asked.items() if told[0]} == {kind: (1, 0.75)}


def test_processes_add_up_and_a_row_goes_on(counted):
    """What a worker counted stays when it ends; the next one in its row counts on, and is not as busy as it was."""
    for _ in range(2):
        child = os.fork()
        if not child:
            counted.take_row(1)
            answer(counted)
            counted.begin()  # never answered: the process is killed
            os._exit(0)
        os.waitpid(child, 0)
    answer(counted)
    told = counted.totals()
    assert told.statuses["RetrieveFrames"] == {200: 3}
    assert told.values["active"] == 1
    counted.take_row(1)
    assert counted.totals().values["active"] == 0


def test_many_workers_have_rows_of_their_own():
    """When gunicorn is ready there are rows for all workers, and as many again while they are replaced."""
    from dicouch.app import create_app

    app = create_app()
    server = SimpleNamespace(LISTENERS=[], num_workers=100, app=SimpleNamespace(wsgi=lambda: app))
    gunicorn_conf.when_ready(server)
    told = counters.of(app)
    for row in (*range(200), 200, 1000):  # those behind take nothing from the others
        told.take_row(row)
        told.set("threads", 1)
        answer(told)
    assert told.totals().values["threads"] == 200
    assert told.totals().statuses == {"RetrieveFrames": {200: 200}}
    told.sample(1, 7)
    assert told.totals().values["threads"] == 200


def test_quantiles_are_those_of_prometheus():
    """As `histogram_quantile`: linear within a bucket, the last bound for what is behind it."""
    counts = [0.0] * counters.BUCKETS
    assert quantile(0.5, counts) is None
    counts[2], counts[3] = 50, 50  # up to 5 ms, up to 10 ms
    assert quantile(0.5, counts) == pytest.approx(0.005)
    assert quantile(0.95, counts) == pytest.approx(0.0095)
    assert quantile(0.25, counts) == pytest.approx(0.00375)
    counts[-1] = 1000
    assert quantile(0.95, counts) == 10.0


def test_the_history_is_bounded_and_in_order(counted, monkeypatch):
    now = 1000.0 * STEP
    monkeypatch.setattr(time, "monotonic", lambda: now)
    for _ in range(STEPS + 20):
        now += STEP
        answer(counted, "dicomweb.SearchForStudies", 503 if now % 2 else 200)
        step = counted.due()
        assert step == now // STEP
        assert counted.due() == 0  # one process writes it
        counted.sample(step, 7)
    told = counted.samples()
    assert [each.step for each in told] == list(range(1000 + 20, 1000 + STEPS + 21))
    assert sum(told[-1].buckets["search"]) - sum(told[0].buckets["search"]) == STEPS
    assert told[-1].values["behind"] == 7
    assert told[-1].values["sent"] == 2000 * (STEPS + 20)
    now += (STEPS - 1) * STEP  # nobody sampled: what is older than the history is not shown
    assert [each.step for each in counted.samples()] == [1000 + STEPS + 19, 1000 + STEPS + 20]
    assert isinstance(told[0], Sample)


def test_labels_are_routes_of_the_server():
    """No label comes from what a client sent, so none has a UID or a name."""
    from dicouch.app import create_app

    app = create_app()
    told = counters.of(app)
    names = {counters.label(rule.endpoint) for rule in app.url_map.iter_rules()}
    assert {"RetrieveFrames", "SearchForStudies", "StoreInstances", "ui.list_studies", "metrics"} <= names
    kinds = {name: counters.kind(name) for name in names}
    assert kinds["SearchForStudies"] == kinds["CountStudySeries"] == "search"
    assert kinds["RetrieveStudy"] == kinds["RetrieveInstance"] == "files"
    assert kinds["RetrieveRenderedFrames"] == kinds["RetrieveFrameThumbnail"] == "rendered"
    assert kinds["RetrieveFrames"] == kinds["RetrieveBulkdataValue"] == "frames"
    assert kinds["StoreStudyInstances"] == "store"
    assert kinds["RetrieveSeriesMetadata"] == "metadata"
    assert told.totals().statuses == {}


class Response:
    def __init__(self, status=200, sent=0, length=None, begun=True):
        self.status_code, self.sent, self.response_length, self.headers_sent = status, sent, length, begun


@pytest.mark.parametrize(
    ("method", "response", "sent", "status"),
    [
        ("GET", Response(sent=500, length=500), 500, 200),
        ("GET", Response(sent=0, length=70_000), 70_000, 200),  # what the kernel sent of a file
        ("HEAD", Response(sent=0, length=70_000), 0, 200),
        ("GET", Response(begun=False), 0, 0),
        ("GET", None, 0, 0),
    ],
)
def test_what_gunicorn_tells(counted, method, response, sent, status):
    req = SimpleNamespace(method=method, body=None, began=time.perf_counter() - 0.003)
    counted.begin()
    sampling.count(counted, req, {"dicouch.trace": Trace(endpoint=ENDPOINTS[0])}, response)
    told = counted.totals()
    assert told.statuses == {"RetrieveFrames": {status: 1}}
    assert told.sums["RetrieveFrames"]["sent"] == sent


@pytest.mark.parametrize(("begun", "status", "spent"), [(False, 101, 0.0), (True, 503, 0.25)])
def test_an_event_channel_counts_for_what_it_cost(begun, status, spent):
    counted = Counters(("dicomweb.OpenEventChannel",))
    req = SimpleNamespace(method="GET", body=None, began=time.perf_counter() - 7200)
    counted.begin()
    trace = Trace(endpoint="dicomweb.OpenEventChannel", couch=0.5, shim=0.25 if begun else 7199.5)
    sampling.count(counted, req, {"dicouch.trace": trace}, Response(status, begun=begun))
    told = counted.totals()
    assert told.statuses == {"OpenEventChannel": {status: 1}}
    sums = told.sums["OpenEventChannel"]
    assert (sums["seconds"], sums["couchdb"], sums["shim"]) == (0.5 + spent, 0.5, spent)
    assert told.values["active"] == 0


class Index(Couch):
    def __init__(self, told):
        super().__init__("http://127.0.0.1:1", "dicom")
        self.told = told

    def json(self, method, path, **options):
        assert path == "_design/dicom/_info"
        return self.told


@pytest.mark.parametrize(
    ("pending", "behind"),
    [
        ({"minimum": 4, "preferred": 5, "total": 12}, 5.0),
        ({"total": 3}, 3.0),
        ({}, math.nan),
        ({"total": None}, math.nan),
    ],
)
def test_how_far_the_index_is(pending, behind):
    told = sampling.lag(Index({"view_index": {"updates_pending": pending}}), ["_design/dicom"])
    assert told == {"dicom": pytest.approx(behind, nan_ok=True)}
    assert sampling.furthest(told) == pytest.approx(behind, nan_ok=True)


def test_no_database():
    told = sampling.lag(Couch("http://127.0.0.1:1", "dicom", 0.5), ["_design/dicom"])
    assert math.isnan(told["dicom"])
