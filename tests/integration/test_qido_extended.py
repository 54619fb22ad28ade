"""A site's own attributes: an index of each beside the running one, and filtering where there is none."""

import json
import time

import pytest

from dicouch.scripts.push_views import push
from tests.archive import fill
from tests.integration.conftest import serve

LISTED = [
    {"attribute": "00091001", "vr": "LO", "level": "study"},
    {"attribute": "00091002", "vr": "DS", "level": "study"},
    {"attribute": "StudyDescription", "level": "study"},
    {"attribute": "PatientBirthDate", "level": "study"},
    {"attribute": "ReferringPhysicianName", "level": "study"},
    {"attribute": "RequestAttributesSequence.ScheduledProcedureStepID", "level": "series"},
    {"attribute": "SliceThickness", "level": "instance"},
]
# Query, resource, how many of 30 studies with 2 series of 2 instances match, and whether the values of an index decide.
SEARCHES = [
    ("00091001=Private+3", "/studies", 4, True),
    ("00091001=Private*", "/studies", 30, True),
    ("00091001=*3", "/studies", 4, True),
    ("00091001=Private+3%5CPrivate+4", "/studies", 8, True),
    ("00091001=Private+3", "/series", 8, True),
    ("00091001=Private+3", "/instances", 16, True),
    ("00091001=Private+3", "/studies/1.2.826.0.1.3/series", 2, True),
    ("00091001=Private+3", "/studies/1.2.826.0.1.4/series", 0, True),
    ("00091001=Private+3&PatientID=P000001", "/studies", 1, True),
    ("00091001=%22%22&emptyvaluematching=true", "/studies", 0, False),
    ("00091002=2.50", "/studies", 6, True),
    ("00091001=Private+3&00091002=3.5", "/studies", 1, True),
    ("StudyDescription=nothing", "/studies", 0, True),
    ("PatientBirthDate=19400101-19491231", "/studies", 10, True),
    ("ReferringPhysicianName=referrer*", "/studies", 30, True),
    ("ReferringPhysicianName=rita&fuzzymatching=true", "/studies", 30, False),
    ("00400275.00400009=S7", "/series", 2, True),
    ("00400275.00400009=S7&00400275.00401001=R2", "/series", 1, None),
    ("SliceThickness=1.5", "/instances", 120, True),
    ("SliceThickness=1.5&Modality=XX", "/instances", 0, True),
    ("SliceThickness=1.5", "/studies/1.2.826.0.1.3/series/1.2.826.0.1.3.1/instances", 2, True),
    ("SliceThickness=2", "/instances", 0, True),
]


@pytest.fixture(scope="module")
def listed(tmp_path_factory):
    path = tmp_path_factory.mktemp("extended") / "attributes.json"
    path.write_text(json.dumps(LISTED))
    return path


@pytest.fixture(scope="module", params=["without an index", "with an index"])
def site(request, fresh_database, listed, tmp_path_factory):
    """A server whose site has listed attributes, before and after the push that indexes them."""
    log = tmp_path_factory.mktemp("site") / "gunicorn.log"
    root, _, name = fresh_database.rpartition("/")
    with serve(fresh_database, log, EXTENDED_ATTRIBUTES=str(listed)) as server:
        if not server.get("/studies?limit=1").json():
            fill(fresh_database, 0, 30, series=2, instances=2)
        indexed = request.param == "with an index"
        if indexed:
            changes = push(root, name, extended=listed)
            assert {change.document for change in changes} == {"_design/dicom-extended"}
            assert push(root, name, extended=listed) == []
            time.sleep(1)  # within which a push is seen
        yield server, indexed


@pytest.mark.either_database
@pytest.mark.parametrize(("query", "resource", "number", "decided"), SEARCHES)
def test_searches(site, query, resource, number, decided):
    server, indexed = site
    answer = server.get(f"{resource}?{query}")
    assert answer.status_code == 200, answer.text
    assert len(answer.json()) == number
    assert server.get(f"{resource}/count?{query}").json() == {"count": number}
    if decided is not None:
        assert ("no index" in answer.headers.get("Warning", "")) == (not (indexed and decided))


def test_matched_attributes_of_the_level_are_shown(site):
    server, _indexed = site
    rows = server.get("/instances?SliceThickness=1.5&limit=2").json()
    assert [row["00180050"]["Value"] for row in rows] == [[1.5], [1.5]]


def test_malformed_values(site):
    server, _indexed = site
    answer = server.get("/studies?00091002=much")
    assert answer.status_code == 400
    assert "00091002" in answer.json()["reason"]


def test_attributes_that_are_not_listed_for_the_level(site):
    server, _indexed = site
    answer = server.get("/studies?SliceThickness=1.5&limit=1")
    assert len(answer.json()) == 1
    assert "SliceThickness" in answer.headers["Warning"]


@pytest.mark.parametrize(
    ("resource", "query"),
    [
        *((resource, "00091001=Private+3") for resource in ("/studies", "/series", "/instances")),
        *((resource, "00400275.00400009=S7") for resource in ("/series", "/instances")),
    ],
)
def test_what_a_search_reads(site, resource, query):
    """With its index a search reads what has the value, as by a built-in key; without it everything."""
    server, indexed = site
    answer = server.get(f"{resource}?{query}&limit=2&explain")
    assert not answer.json()["ignored"]
    read = sum(step.get("scanned", 0) for step in answer.json()["requests"])
    built_in = server.get(f"{resource}?PatientID=P000003&limit=2&explain").json()
    least = sum(step.get("scanned", 0) for step in built_in["requests"])
    found = server.get(f"{resource}/count?{query}").json()["count"]
    if indexed:
        assert read <= least + 4 * found, answer.json()["requests"]
    else:
        assert read >= 30
