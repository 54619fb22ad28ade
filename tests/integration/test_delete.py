"""Deleting: what goes, what stays, and what headers and counts say then."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.made import instance
from tests.server import serve


def counts(server, study):
    rows = server.get(f"/studies?StudyInstanceUID={study}").json()
    return [(row["00201206"]["Value"][0], row["00201208"]["Value"][0]) for row in rows]


@pytest.fixture
def study(server):
    """Store a study of two series with two instances each."""
    files = [instance("9.1", f"9.1.{series}", f"9.1.{series}.{number}") for series in (1, 2) for number in (1, 2)]
    assert server.store(*files).status_code == 200
    assert counts(server, "9.1") == [(2, 4)]
    return "9.1"


def delete(server, path):
    return requests.delete(server.url + path, timeout=60)


def test_an_instance_then_a_series_then_the_study(server, study):
    answer = delete(server, "/studies/9.1/series/9.1.1/instances/9.1.1.1")
    assert (answer.status_code, answer.content, answer.headers.get("Content-Type")) == (204, b"", None)
    assert counts(server, study) == [(2, 3)]
    assert server.get("/studies/9.1/series/9.1.1/instances/9.1.1.1").status_code == 404
    assert delete(server, "/studies/9.1/series/9.1.1").status_code == 204
    assert counts(server, study) == [(1, 2)]
    assert len(server.get("/studies/9.1/series").json()) == 1
    assert delete(server, "/studies/9.1").status_code == 204
    assert counts(server, study) == []
    left = requests.get(f"{server.database}/_all_docs", params={"startkey": '"9.1:"', "endkey": '"9.1:z"'}, timeout=30)
    assert left.json()["rows"] == []


def test_what_is_not_there(server):
    response = delete(server, "/studies/9.9.9")
    assert response.status_code == 404
    assert "9.9.9" in response.json()["reason"]


def test_stored_again_after_deletion(server, study):
    assert delete(server, "/studies/9.1").status_code == 204
    assert server.store(instance("9.1", "9.1.1", "9.1.1.1")).status_code == 200
    assert counts(server, study) == [(1, 1)]
    assert delete(server, "/studies/9.1").status_code == 204


def test_what_a_deleted_series_brought_to_the_headers_goes(server):
    ct = instance("9.2", "9.2.1", "9.2.1.1", Modality="CT", PatientName="Doe^John")
    mr = instance("9.2", "9.2.2", "9.2.2.1", Modality="MR", PatientName="Doe^Jon")
    assert server.store(ct, mr).status_code == 200
    assert server.get("/studies/9.2/conflicts").json()["attributes"] != []
    assert delete(server, "/studies/9.2/series/9.2.1").status_code == 204
    (row,) = server.get("/studies?StudyInstanceUID=9.2").json()
    assert row["00080061"]["Value"] == ["MR"]
    assert row["00100010"]["Value"][0]["Alphabetic"] == "Doe^Jon"
    assert server.get("/studies/9.2/conflicts").json()["attributes"] == []
    assert server.get("/studies?StudyInstanceUID=9.2&PatientName=Doe^John").json() == []
    assert delete(server, "/studies/9.2").status_code == 204
    assert server.get("/studies/9.2/conflicts").status_code == 404


@pytest.mark.one_database("couchdb")
@pytest.mark.parametrize("path", ["/studies/..", "/studies/_design", "/studies/9.3/series/study", "/studies/9.3:study"])
def test_what_is_no_resource(server, path):
    assert server.store(instance("9.3", "9.3.1", "9.3.1.1")).status_code == 200
    with requests.Session() as session:
        request = requests.Request("DELETE", server.url).prepare()
        request.url = server.url + path  # as it is: `prepare` would resolve the dots
        assert session.send(request, timeout=60).status_code == 400
    assert counts(server, "9.3") == [(1, 1)]


def test_storing_and_deleting_at_once(server):
    def step(number):
        if number % 4 == 0:
            return delete(server, "/studies/9.4").status_code
        return server.store(instance("9.4", f"9.4.{number % 3}", f"9.4.0.{number}")).status_code

    with ThreadPoolExecutor(6) as pool:
        answers = set(pool.map(step, range(40)))
    assert server.store(instance("9.4", "9.4.0", "9.4.0.80")).status_code == 200
    assert answers <= {200, 204, 404}
    asked = {"startkey": '"9.4:9.4"', "endkey": '"9.4:9.5"'}
    rows = requests.get(f"{server.database}/_all_docs", params=asked, timeout=30).json()["rows"]
    there = sorted(row["id"].split(":")[2] for row in rows if row["id"].count(":") == 2)
    assert there
    assert sorted(row["00080018"]["Value"][0] for row in server.get("/studies/9.4/instances").json()) == there
    assert [listed for _series, listed in counts(server, "9.4")] == [len(there)]
    assert delete(server, "/studies/9.4").status_code == 204


@pytest.mark.one_database("couchdb")
def test_a_site_that_forbids_it(server, tmp_path):
    paths = ["/studies/9.5", "/studies/9.5/series/9.5.1", "/studies/9.5/series/9.5.1/instances/9.5.1.1"]
    with serve(server.database, tmp_path / "log", ALLOW_DELETE="no") as forbidding:
        assert forbidding.store(instance("9.5", "9.5.1", "9.5.1.1")).status_code == 200
        for path in [*paths, "/studies/9.9.9"]:
            answer = delete(forbidding, path)
            assert answer.status_code == 403
            assert "ALLOW_DELETE" in answer.json()["reason"]
            # Nor by a page, and no page leads there.
            place = f"{forbidding.url}/ui{path}"
            assert requests.get(f"{place}/delete", timeout=60).status_code == 403
            assert requests.post(f"{place}/delete", timeout=60).status_code == 403
            assert "Delete" not in requests.get(place, timeout=60).text
        assert counts(forbidding, "9.5") == [(1, 1)]


GUARD = """function (doc) {
  if (doc._deleted && /:9\\.7\\.[12]\\.2$/.test(doc._id)) {
    throw({ forbidden: 'this instance is kept' });
  }
}"""


def test_a_deletion_that_is_refused_midway(fresh_database, tmp_path):
    """Of what is gone neither files nor headers stay; what is kept is found and can be retrieved."""
    folder = tmp_path / "bytes"
    kept = {
        (series, number): instance("9.7", f"9.7.{series}", f"9.7.{series}.{number}", Modality=modality)
        for series, modality in ((1, "CT"), (2, "MR"), (3, "PT"))
        for number in (1, 2, 3)
    }
    with serve(fresh_database, tmp_path / "log", BYTES=f"folder:{folder}") as site:
        assert site.store(*kept.values()).status_code == 200
        guard = {"_id": "_design/guard", "language": "javascript", "validate_doc_update": GUARD}
        requests.put(f"{fresh_database}/_design/guard", json=guard, timeout=30).raise_for_status()
        try:
            answer = delete(site, "/studies/9.7")
            assert answer.status_code == 403
            assert "this instance is kept" in answer.json()["reason"]
            assert counts(site, "9.7") == [(2, 2)]
            files = sorted(path.read_bytes() for path in folder.rglob("*") if path.is_file())
            assert files == sorted([kept[1, 2], kept[2, 2]])
            rows = site.get("/studies/9.7/series").json()
            assert sorted(row["00080060"]["Value"][0] for row in rows) == ["CT", "MR"]
            (row,) = site.get("/studies?StudyInstanceUID=9.7").json()
            assert sorted(row["00080061"]["Value"]) == ["CT", "MR"]
            path = "/studies/9.7/series/9.7.1/instances/9.7.1.2"
            assert site.get(path, headers={"Accept": "application/dicom; transfer-syntax=*"}).content == kept[1, 2]
            # Nothing more can be deleted now, and that is told as well.
            assert delete(site, "/studies/9.7").status_code == 403
        finally:
            design = requests.get(f"{fresh_database}/_design/guard", timeout=30).json()
            requests.delete(f"{fresh_database}/_design/guard", params={"rev": design["_rev"]}, timeout=30)
        assert delete(site, "/studies/9.7").status_code == 204
        assert not [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.one_database("embedded")
def test_headers_that_the_database_refuses_are_told(fresh_database, tmp_path):
    with serve(fresh_database, tmp_path / "log") as site:
        assert site.store(instance("9.8", "9.8.1", "9.8.1.1"), instance("9.8", "9.8.2", "9.8.2.1")).status_code == 200
        text = "function (doc) { if (/^9.8:[^:]*$/.test(doc._id)) { throw({ forbidden: 'no header' }); } }"
        guard = {"_id": "_design/guard", "language": "javascript", "validate_doc_update": text}
        requests.put(f"{fresh_database}/_design/guard", json=guard, timeout=30).raise_for_status()
        answer = delete(site, "/studies/9.8/series/9.8.1")
        assert (answer.status_code, "no header" in answer.json()["reason"]) == (403, True)
        design = requests.get(f"{fresh_database}/_design/guard", timeout=30).json()
        requests.delete(f"{fresh_database}/_design/guard", params={"rev": design["_rev"]}, timeout=30)
        assert delete(site, "/studies/9.8").status_code == 204
