"""The changes feeds: they begin at once, live, tell each change, and end with their database."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator

import pytest
import requests

from tests.compat.conftest import Couch

HEARTBEAT = 0.3


@pytest.fixture
def couch(database) -> Iterator[Couch]:
    couch = Couch(f"{database.url}/changes-{uuid.uuid4().hex}")
    couch.put("").raise_for_status()
    yield couch
    couch.delete("")


def follow(couch: Couch, **parameters):
    parameters = {"feed": "continuous", "since": "now", "heartbeat": str(round(HEARTBEAT * 1000)), **parameters}
    answer = requests.get(
        f"{couch.url}/_changes", params=parameters, headers={"Accept-Encoding": "identity"}, stream=True, timeout=5
    )
    assert answer.status_code == 200, answer.text
    return answer


def lines(answer):
    """Yield each line, and when it came."""
    for line in answer.iter_lines(chunk_size=1):
        yield line.strip(), time.monotonic()


def next_change(told):
    return next((json.loads(line), when) for line, when in told if line)


def test_it_begins_at_once_with_what_is_written_from_then_on(couch):
    couch.save({"_id": "before"})
    asked = time.monotonic()
    with follow(couch) as answer:
        assert time.monotonic() - asked < HEARTBEAT
        told = lines(answer)
        for number in range(3):
            couch.save({"_id": f"later {number}"})
            written = time.monotonic()
            change, when = next_change(told)
            assert change["id"] == f"later {number}"
            assert set(change) >= {"id", "seq", "changes"}
            assert when - written < 0.5
        couch.save(*[{"_id": f"more {number}"} for number in range(5)])
        assert {next_change(told)[0]["id"] for _each in range(5)} == {f"more {number}" for number in range(5)}


def test_a_deletion_is_told(couch):
    revision = couch.save({"_id": "gone"})[0]["rev"]
    with follow(couch) as answer:
        couch.delete("gone", params={"rev": revision}).raise_for_status()
        change, _when = next_change(lines(answer))
    assert (change["id"], change["deleted"]) == ("gone", True)


def test_what_is_there_already(couch):
    couch.save({"_id": "a"}, {"_id": "b"})
    with follow(couch, since="0", include_docs="true") as answer:
        told = lines(answer)
        assert sorted(next_change(told)[0]["doc"]["_id"] for _each in range(2)) == ["a", "b"]


def test_signs_of_life(couch):
    with follow(couch) as answer:
        told = lines(answer)
        times = [when for line, when in [next(told) for _each in range(6)] if not line]
    assert len(times) == 6
    # The first may come at once; on a busy machine some come late.
    assert sorted(later - earlier for earlier, later in zip(times, times[1:], strict=False))[2] < 2 * HEARTBEAT


@pytest.mark.parametrize("anew", [False, True])
def test_it_ends_with_its_database(couch, anew):
    with follow(couch) as answer:
        told = lines(answer)
        couch.save({"_id": "a"})
        assert next_change(told)[0]["id"] == "a"
        couch.delete("").raise_for_status()
        if anew:
            couch.put("").raise_for_status()
            couch.save({"_id": "of another database"})
        assert [json.loads(line).get("id") for line, _when in told if line] == [None]
        assert next(told, None) is None


@pytest.mark.parametrize("parameters", [{"heartbeat": "0"}, {"heartbeat": "x"}, {"since": "x"}])
def test_what_it_does_not_understand(couch, parameters):
    parameters = {"feed": "continuous", **parameters}
    assert couch.get("_changes", params=parameters).status_code == 400


def test_who_may_not_read_is_refused(couch):
    url = couch.url.replace(couch.url.split("//")[1].split("@")[0] + "@", "")
    answer = requests.get(f"{url}/_changes", params={"feed": "continuous", "heartbeat": "300"}, timeout=5)
    assert answer.status_code == 401


# -- answered by the first changes (`feed=longpoll`) ------------------------------------------------------------------


def poll(couch: Couch, **parameters):
    return follow(couch, feed="longpoll", **parameters)


def sequence(couch: Couch) -> object:
    return couch.get("_changes", params={"since": "now", "limit": "1"}).json()["last_seq"]


def test_a_poll_waits_for_the_first_change(couch):
    couch.save({"_id": "before"})
    with poll(couch, since=sequence(couch)) as answer:
        told = lines(answer)
        assert next(told)[0] in (b'{"results":[', b"")
        time.sleep(2 * HEARTBEAT)
        couch.save({"_id": "later"})
        written = time.monotonic()
        text = b"".join([line for line, _when in told])
        assert time.monotonic() - written < 0.5
    # The opening was read already, unless it was a sign of life.
    found = json.loads(text if text.startswith(b'{"results"') else b'{"results":[' + text)
    assert [change["id"] for change in found["results"]] == ["later"]
    assert found["last_seq"] == sequence(couch)


def test_a_poll_tells_at_once_what_is_there(couch):
    start = sequence(couch)
    couch.save({"_id": "a"}, {"_id": "b"})
    asked = time.monotonic()
    with poll(couch, since=start) as answer:
        found = answer.json()
    assert time.monotonic() - asked < HEARTBEAT + 0.5
    assert sorted(change["id"] for change in found["results"]) == ["a", "b"]
    with poll(couch, since=found["last_seq"]) as answer:
        told = lines(answer)
        signs = [next(told)[0] for _each in range(4)]
        assert signs.count(b"") >= 3


def test_a_poll_ends_with_its_database(couch):
    with poll(couch, since=sequence(couch)) as answer:
        couch.delete("").raise_for_status()
        assert answer.json()["results"] == []


def test_a_poll_tells_so_many_at_most(couch):
    start, told = sequence(couch), []
    couch.save(*[{"_id": f"{number}"} for number in range(5)])
    for most in (2, 2, 1):
        with poll(couch, since=start, limit="2") as answer:
            found = answer.json()
        assert len(found["results"]) == most
        told += [change["id"] for change in found["results"]]
        start = found["last_seq"]
    assert sorted(told) == ["0", "1", "2", "3", "4"]


# -- those that there are ---------------------------------------------------------------------------------------------


def test_changes_that_there_are_a_line_each(couch):
    start = sequence(couch)
    saved = couch.save(*[{"_id": f"{number:03}", "text": "x" * 10} for number in range(120)])
    couch.delete("007", params={"rev": saved[7]["rev"]}).raise_for_status()
    found, since = [], start
    while True:
        parameters = {"since": since, "limit": "50", "include_docs": "true"}
        text = requests.get(f"{couch.url}/_changes", params=parameters, timeout=10).text
        told = json.loads(text)
        rows = [
            json.loads(line.rstrip(",\r"))
            for line in text.split("\n")
            if line.startswith('{"') and line[2:9] != "results"
        ]
        assert rows == told["results"]
        if not rows:
            assert told["last_seq"] == since == sequence(couch)
            break
        assert (len(rows), told["last_seq"]) == (min(50, 120 - len(found)), rows[-1]["seq"])
        found, since = found + rows, told["last_seq"]
    assert sorted(row["id"] for row in found) == [f"{number:03}" for number in range(120)]
    assert [row["id"] for row in found if row.get("deleted") and row["doc"]["_deleted"]] == ["007"]
    assert all(row["doc"].get("text") for row in found if not row.get("deleted"))
