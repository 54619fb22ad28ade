"""Counts are exact directly after every write, whoever writes and whichever worker answers."""

import requests

from tests.made import instance

ASKED = 6  # times: each of the workers has the page in its memory by then


def numbers(server):
    told = {tuple(row["00201208"]["Value"]) for _ in range(ASKED) for row in server.get("/studies?limit=5").json()}
    return sorted(count for (count,) in told)


def test_after_storing_and_deleting(server):
    for number in range(1, 5):
        assert server.store(instance("4.1", "4.1.1", f"4.1.1.{number}")).status_code == 200
        assert numbers(server) == [number]
    requests.delete(f"{server.url}/studies/4.1/series/4.1.1/instances/4.1.1.2", timeout=30).raise_for_status()
    assert numbers(server) == [3]


def test_after_a_write_beside_the_server(server):
    document = server.document("4.1:4.1.1:4.1.1.3")
    address = f"{server.database}/4.1:4.1.1:4.1.1.3"
    requests.delete(address, params={"rev": document["_rev"]}, timeout=30).raise_for_status()
    assert numbers(server) == [2]
    (series,) = server.get("/studies/4.1/series").json()
    assert series["00201209"]["Value"] == [2]


def test_explained(server):
    steps = server.get("/studies?limit=5&explain").json()["requests"]
    assert [step["path"] for step in steps[:2]] == ["_design/dicom/_view/studies_by_date", ""]
