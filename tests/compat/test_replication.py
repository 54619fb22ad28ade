"""What replicators ask for: changes by a selector, revisions with attachments, documents of `_replicator`."""

from __future__ import annotations

import time
import uuid

import pytest
import requests

from tests.compat.conftest import Couch, segment

SELECTOR = {"$or": [{"type": "kept"}, {"_deleted": True, "_id": {"$regex": "^[^_].*:"}}]}
CONTENT = bytes(range(256)) * 300


@pytest.fixture(scope="module")
def filled(couch):
    """A database with what is chosen and what is not: a queue's document and its deletion, a design document."""
    docs = [{"_id": f"a:{number}", "type": "kept", "name": [{"Value": ["x"]}]} for number in range(3)]
    told = couch.save(*docs, {"_id": "queued", "type": "other"}, {"_id": "sent", "type": "other"})
    revisions = {one["id"]: one["rev"] for one in told}
    for name in ("a:0", "sent"):
        assert couch.delete(name, params={"rev": revisions[name]}).ok
    assert couch.put(f"a:1/{segment('f.bin')}", params={"rev": revisions["a:1"]}, data=CONTENT).ok
    couch.design("d", views={"v": {"map": "function (doc) { emit(doc._id); }"}})
    return couch


def chosen(couch, **params):
    answer = couch.post("_changes", params={"filter": "_selector", **params}, json={"selector": SELECTOR})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_changes_by_a_selector(filled):
    told = chosen(filled, style="all_docs")
    assert {(one["id"], one.get("deleted", False)) for one in told["results"]} == {
        ("a:0", True),
        ("a:1", False),
        ("a:2", False),
    }
    assert chosen(filled, since=told["last_seq"])["results"] == []
    first = chosen(filled, limit=1)
    assert len(first["results"]) == 1
    assert len(chosen(filled, since=first["last_seq"])["results"]) == 2


def test_changes_with_all_leaves(filled):
    docs = [{"_id": "two", "_rev": f"1-{name}", "_revisions": {"start": 1, "ids": [name]}} for name in "ab"]
    assert filled.post("_bulk_docs", json={"docs": docs, "new_edits": False}).ok
    for style, leaves in (("main_only", ["1-b"]), ("all_docs", ["1-a", "1-b"])):
        told = filled.get("_changes", params={"style": style, "since": 0, "limit": 1000}).json()
        (change,) = [one for one in told["results"] if one["id"] == "two"]
        assert sorted(leaf["rev"] for leaf in change["changes"]) == leaves
        again = filled.get("_changes", params={"style": style, "since": told["last_seq"]}).json()
        assert again["results"] == []


def test_a_selector_that_is_none(filled):
    answer = filled.post("_changes", params={"filter": "_selector"}, json={"selector": 5})
    assert answer.status_code == 400


def test_revisions_that_are_there_and_not(filled):
    revision = filled.get("a:1").json()["_rev"]
    asked = [{"id": "a:1", "rev": revision}, {"id": "a:1", "rev": "1-abc"}, {"id": "none", "rev": "1-a"}, {"id": "a:2"}]
    answer = filled.post("_bulk_get", params={"revs": "true", "latest": "true"}, json={"docs": asked})
    there, missing, nothing, any_ = (result["docs"][0] for result in answer.json()["results"])
    assert there["ok"]["_revisions"]["start"] == 2
    assert (missing["error"]["rev"], nothing["error"]["reason"]) == ("1-abc", "missing")
    assert any_["ok"]["type"] == "kept"
    params = {"open_revs": f'["{revision}","1-abc"]', "latest": "true"}
    found = filled.get("a:1", params=params, headers={"Accept": "application/json"}).json()
    assert [sorted(one) for one in found] in ([["ok"], ["missing"]], [["missing"], ["ok"]])


def test_attachments_come_with_their_revision(filled):
    revision = filled.get("a:1").json()["_rev"]
    params = {"open_revs": f'["{revision}"]', "revs": "true", "attachments": "true"}
    answer = filled.get("a:1", params=params, headers={"Accept": "multipart/mixed"})
    assert answer.headers["Content-Type"].startswith("multipart/mixed")
    assert CONTENT in answer.content


@pytest.fixture
def target(database):
    other = Couch(f"{database.url}/target-{uuid.uuid4().hex}")
    other.put("").raise_for_status()
    yield other
    other.delete("")


def names(couch):
    return [row["id"] for row in couch.get("_all_docs").json()["rows"]]


def until(told):
    for _ in range(300):
        if told():
            return
        time.sleep(0.1)
    raise AssertionError


def test_once_by_a_request(filled, target, database):
    body = {"source": filled.url, "target": target.url, "selector": SELECTOR}
    told = requests.post(f"{database.url}/_replicate", json=body, timeout=60).json()
    assert told["ok"]
    assert told["history"][0]["docs_written"] == 3
    assert names(target) == ["a:1", "a:2"]
    assert target.get("a:1/f.bin").content == CONTENT
    assert target.get("a:0").json()["reason"] == "deleted"


def test_a_document_that_goes_on_until_it_is_deleted(filled, target, database):
    replicator = Couch(f"{database.url}/_replicator")
    replicator.put("")
    name = f"r-{uuid.uuid4().hex}"
    body = {"source": {"url": filled.url}, "target": {"url": target.url}, "selector": SELECTOR, "continuous": True}
    assert replicator.put(name, json=body).status_code == 201
    until(lambda: names(target) == ["a:1", "a:2"])
    filled.save({"_id": "b:1", "type": "kept"})
    until(lambda: "b:1" in names(target))
    state = requests.get(f"{database.url}/_scheduler/docs/_replicator/{name}", timeout=30).json()
    assert state["state"] == "running"
    assert database.url.partition("@")[0].rpartition(":")[2] not in str(state)  # no password
    assert replicator.delete(name, params={"rev": replicator.get(name).json()["_rev"]}).ok
    until(lambda: requests.get(f"{database.url}/_scheduler/docs/_replicator/{name}", timeout=30).status_code == 404)


def test_a_source_that_is_not_there(target, database):
    replicator = Couch(f"{database.url}/_replicator")
    replicator.put("")
    name = f"r-{uuid.uuid4().hex}"
    assert replicator.put(name, json={"source": f"{database.url}/nothing", "target": target.url}).status_code == 201
    where = f"{database.url}/_scheduler/docs/_replicator/{name}"
    until(lambda: requests.get(where, timeout=30).json().get("state") == "crashing")
    assert replicator.delete(name, params={"rev": replicator.get(name).json()["_rev"]}).ok
