"""What is remembered of studies is exact directly after every write of the server, and soon after one beside it."""

import requests

from tests.eventually import eventually
from tests.made import instance
from tests.server import make_anew, push

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
    eventually(lambda: numbers(server), lambda found: found == [2])
    (series,) = server.get("/studies/4.1/series").json()
    assert series["00201209"]["Value"] == [2]


def test_rows_of_a_study_after_its_header_was_edited(server):
    address = f"{server.database}/4.1:study"
    assert server.store(instance("4.1", "4.1.2", "4.1.2.1")).status_code == 200
    for description in ("first", "second"):
        document = server.document("4.1:study")
        document["dataset"]["00081030"] = {"vr": "LO", "Value": [description]}
        requests.put(address, json=document, timeout=30).raise_for_status()

        def told():
            (row,) = server.get("/studies?StudyInstanceUID=4.1&includefield=StudyDescription").json()
            return row.get("00081030", {}).get("Value")

        eventually(told, lambda found, wanted=description: found == [wanted])
        assert [told() for _ in range(ASKED)] == [[description]] * ASKED
    requests.delete(f"{server.url}/studies/4.1/series/4.1.2", timeout=30).raise_for_status()
    for _ in range(ASKED):
        assert [row["0020000E"]["Value"] for row in server.get("/studies/4.1/series").json()] == [["4.1.1"]]


def test_a_study_asked_for_again_costs_no_request(server):
    for path in ("/studies?StudyInstanceUID=4.1", "/studies/4.1/series", "/studies/4.1/series?limit=1&offset=1"):
        timings = [server.get(path).headers["Server-Timing"] for _ in range(20)]
        assert any("ask;" not in timing for timing in timings), timings


def test_a_study_of_a_list_is_remembered(server):
    """Each of the workers has listed the studies before one of them is asked for."""
    for _ in range(20):
        rows = server.get("/studies?limit=5").json()
    timings = [server.get("/studies?StudyInstanceUID=4.1").headers["Server-Timing"] for _ in range(2)]
    assert not any("studies_by_uid" in timing for timing in timings), timings
    assert server.get("/studies?StudyInstanceUID=4.1").json() == [
        row for row in rows if row["0020000D"]["Value"] == ["4.1"]
    ]


def test_the_series_of_a_study_come_in_pages(server):
    for number in range(2, 7):
        server.store(instance("4.2", f"4.2.{number}", f"4.2.{number}.1"))
    whole = server.get("/studies/4.2/series").json()
    assert len(whole) == 5
    for _ in range(2):
        pages = [server.get(f"/studies/4.2/series?limit=2&offset={start}").json() for start in (0, 2, 4, 6)]
        assert [row for page in pages for row in page] == whole
    assert server.get("/studies/4.2/series/count").json() == {"count": 5}


def test_explained(server):
    steps = server.get("/studies?limit=5&explain").json()["requests"]
    assert [step["path"] for step in steps[:2]] == [
        "_design/dicom/_view/studies_by_date",
        "_design/dicom/_view/counts",
    ]


def remake(server):
    """Delete the database beside the server, and make it anew."""
    root, _, name = server.database.rpartition("/")
    requests.delete(server.database, timeout=60).raise_for_status()
    make_anew(server.database)
    push(root, name)


def test_a_database_made_anew_repeats_its_sequence(server):
    told = []
    for below in (["5.1.1.1", "5.1.1.2"], ["5.1.1.3", "5.1.2.1"]):
        remake(server)
        for uid in below:
            server.store(instance("5.1", uid.rpartition(".")[0], uid)).raise_for_status()
        rows = [row for _ in range(ASKED) for row in server.get("/studies?limit=5").json()]
        counted = {(row["00201206"]["Value"][0], row["00201208"]["Value"][0]) for row in rows}
        metadata = [server.get("/studies/5.1/metadata") for _ in range(ASKED)]
        stored = [sorted(one["00080018"]["Value"][0] for one in answer.json()) for answer in metadata]
        told.append((counted, stored, {answer.headers["ETag"] for answer in metadata}))
    assert [one[0] for one in told] == [{(1, 2)}, {(2, 2)}]
    assert [one[1] for one in told] == [[["5.1.1.1", "5.1.1.2"]] * ASKED, [["5.1.1.3", "5.1.2.1"]] * ASKED]
    assert not told[0][2] & told[1][2]
