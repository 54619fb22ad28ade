"""Deleting: what goes, what stays, and what headers and counts say then."""

import pytest
import requests

from tests.made import instance


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
    assert delete(server, "/studies/9.1/series/9.1.1/instances/9.1.1.1").status_code == 204
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
