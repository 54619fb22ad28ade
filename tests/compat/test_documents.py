"""Documents: what CouchDB's document API promises and stock express-pouchdb does not keep."""

from __future__ import annotations

import uuid
from urllib.parse import quote

import pytest
import requests

from tests.server import make_anew

ID = "1.2.840.113619.2.5:1.2.840.113619.2.55:1.2.3"


def fresh_id() -> str:
    return f"doc:{uuid.uuid4().hex}"


def test_the_etag_is_the_revision(couch):
    rev = couch.put(ID, json={"a": 1}).json()["rev"]
    answer = couch.get(ID)
    assert answer.headers["ETag"] == f'"{rev}"'
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json() == {"_id": ID, "_rev": rev, "a": 1}
    assert list(answer.json())[:2] == ["_id", "_rev"]


def test_if_none_match_answers_304(couch):
    name = fresh_id()
    rev = couch.put(name, json={}).json()["rev"]
    assert couch.get(name, headers={"If-None-Match": f'"{rev}"'}).status_code == 304
    assert couch.get(name, headers={"If-None-Match": '"1-abc"'}).status_code == 200


def test_head_has_etag_and_no_body(couch):
    name = fresh_id()
    rev = couch.put(name, json={}).json()["rev"]
    answer = couch.request("HEAD", name)
    assert (answer.status_code, answer.headers["ETag"], answer.content) == (200, f'"{rev}"', b"")
    assert couch.request("HEAD", fresh_id()).status_code == 404


@pytest.mark.parametrize("encoded", ["a:b:c", "a%3Ab%3Ac", "a%2Fb%3Ac", "with%20space", "%C3%A4%2B"])
def test_ids_may_be_percent_encoded(couch, encoded):
    identifier = requests.utils.unquote(encoded)
    couch.put(encoded, json={"x": encoded}, params={})
    answer = couch.get(encoded)
    assert answer.status_code == 200
    assert answer.json()["_id"] == identifier
    assert [row["id"] for row in couch.post("_all_docs", json={"keys": [identifier]}).json()["rows"]] == [identifier]


def test_an_update_must_name_the_revision(couch):
    name = fresh_id()
    first = couch.put(name, json={}).json()["rev"]
    assert couch.put(name, json={}).status_code == 409
    second = couch.put(name, json={}, params={"rev": first})
    assert second.status_code == 201
    third = couch.put(name, json={}, headers={"If-Match": second.json()["rev"]})
    assert third.status_code == 201
    conflict = couch.put(name, json={"_rev": first})
    assert (conflict.status_code, conflict.json()) == (
        409,
        {"error": "conflict", "reason": "Document update conflict."},
    )


def test_delete_without_a_revision_is_a_conflict(couch):
    name = fresh_id()
    rev = couch.put(name, json={}).json()["rev"]
    assert couch.delete(name).status_code == 409
    assert couch.get(name).status_code == 200
    assert couch.delete(name, params={"rev": rev}).status_code == 200
    gone = couch.get(name)
    assert (gone.status_code, gone.json()) == (404, {"error": "not_found", "reason": "deleted"})
    assert couch.put(name, json={"again": True}).status_code == 201


def test_delete_of_what_is_not_there(couch):
    answer = couch.delete(fresh_id(), params={"rev": "1-abcdef"})
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


def test_bad_documents(couch):
    assert couch.put(fresh_id(), data="{", headers={"Content-Type": "application/json"}).status_code == 400
    assert couch.put(fresh_id(), data="[1]", headers={"Content-Type": "application/json"}).status_code == 400
    answer = couch.put(fresh_id(), json={"_unknown": 1})
    assert (answer.status_code, answer.json()["error"]) == (400, "doc_validation")
    assert couch.put(fresh_id(), json={"_rev": "nonsense"}).status_code == 400


def test_a_document_over_the_limit(couch):
    name = fresh_id()
    answer = couch.put(name, json={"text": "x" * 8_100_000})
    assert (answer.status_code, answer.json()["error"]) == (413, "document_too_large")
    assert couch.put(name, json={"text": "x" * 7_900_000}).status_code == 201


def test_post_makes_an_id(couch):
    answer = couch.post("", json={"a": 1})
    assert answer.status_code == 201
    assert couch.get(answer.json()["id"]).json()["a"] == 1


def test_copy(couch):
    source, target = fresh_id(), fresh_id()
    couch.put(source, json={"a": 1})
    first = couch.request("COPY", source, headers={"Destination": target})
    assert first.status_code == 201
    assert couch.get(target).json()["a"] == 1
    assert couch.request("COPY", source, headers={"Destination": target}).status_code == 409
    again = couch.request("COPY", source, headers={"Destination": f"{target}?rev={first.json()['rev']}"})
    assert again.status_code == 201


def test_copy_of_a_design_document(couch):
    couch.design("copied", views={"v": {"map": "function (doc) { emit(null); }"}})
    answer = couch.request("COPY", "_design/copied", headers={"Destination": "_design/copied2"})
    assert answer.status_code == 201
    assert couch.get("_design/copied2/_view/v").status_code == 200


def test_local_documents(couch):
    assert couch.put("_local/x", json={"a": 1}).status_code == 201
    assert couch.get("_local/x").json()["a"] == 1
    assert "_local/x" not in couch.get("_all_docs").text


def test_several_queries_of_all_docs(couch):
    couch.save(*({"_id": f"several:{i}", "i": i} for i in range(120)))
    queries = [
        {"keys": ["several:7", "none"]},
        {"startkey": "several:", "endkey": "several:~", "include_docs": True},
        {"key": "no such"},
    ]
    answer = couch.post("_all_docs/queries", json={"queries": queries})
    keys, ranged, none = (each["rows"] for each in answer.json()["results"])
    assert [row.get("id") for row in keys] == ["several:7", None]
    assert "doc" not in keys[0]
    assert sorted(row["doc"]["i"] for row in ranged) == list(range(120))
    assert none == []
    # Each row on a line of its own, which is how the shim reads it piece by piece.
    assert sum(line.startswith((b'{"id":', b'{"key":')) for line in answer.content.splitlines()) == 122
    assert couch.post("_all_docs/queries", json={"queries": 1}).status_code == 400


def test_all_docs_by_range_and_keys(couch):
    couch.save(*({"_id": f"range:{i}", "i": i} for i in range(5)))
    ranged = couch.get(
        "_all_docs", params={"startkey": '"range:1"', "endkey": '"range:3"', "include_docs": "true"}
    ).json()
    assert [row["doc"]["i"] for row in ranged["rows"]] == [1, 2, 3]
    down = couch.get(
        "_all_docs", params={"startkey": '"range:3"', "endkey": '"range:"', "descending": "true", "limit": 2, "skip": 1}
    )
    assert [row["id"] for row in down.json()["rows"]] == ["range:2", "range:1"]
    rev = couch.get("range:4").json()["_rev"]
    couch.delete("range:4", params={"rev": rev})
    rows = couch.post(
        "_all_docs", params={"include_docs": "true"}, json={"keys": ["range:2", "none", "range:4", "range:0"]}
    ).json()["rows"]
    assert rows[0]["doc"]["i"] == 2
    assert rows[1] == {"key": "none", "error": "not_found"}
    assert rows[2]["value"]["deleted"] is True
    assert rows[2]["doc"] is None
    assert rows[3]["id"] == "range:0"


def test_all_docs_in_many_pages(couch):
    couch.save(*({"_id": f"page:{i:05}"} for i in range(1203)))
    rows = couch.get("_all_docs", params={"startkey": '"page:"', "endkey": '"page:~"'}).json()["rows"]
    assert [row["id"] for row in rows] == [f"page:{i:05}" for i in range(1203)]


def test_bulk_docs_answers_in_order(couch):
    present = couch.save({"_id": "bulk:1"})[0]
    answer = couch.post(
        "_bulk_docs", json={"docs": [{"_id": "bulk:0"}, {"_id": "bulk:1"}, {"_id": "bulk:1", "_rev": present["rev"]}]}
    )
    assert answer.status_code == 201
    first, second, third = answer.json()
    assert first["ok"] is True
    assert (second["id"], second["error"]) == ("bulk:1", "conflict")
    assert third["ok"] is True
    assert couch.post("_bulk_docs", json={}).status_code == 400


def test_changes(couch):
    since = couch.get("_changes").json()["last_seq"]
    name = fresh_id()
    couch.put(name, json={"a": 1})
    results = couch.get("_changes", params={"since": since, "include_docs": "true"}).json()["results"]
    assert [(one["id"], one["doc"]["a"]) for one in results] == [(name, 1)]
    waited = couch.get("_changes", params={"since": since, "feed": "longpoll"}).json()["results"]
    assert [one["id"] for one in waited] == [name]


@pytest.mark.parametrize("name", ["Upper", "1digit", "a.b", "_unknown", "sp%20ace"])
def test_bad_database_names(database, name):
    answer = requests.put(f"{database.url}/{name}", timeout=30)
    assert (answer.status_code, answer.json()["error"]) == (400, "illegal_database_name")


def test_databases(database):
    name = f"t{uuid.uuid4().hex}"
    url = f"{database.url}/{name}"
    assert requests.get(url, timeout=30).status_code == 404
    assert requests.get(f"{url}/doc", timeout=30).json() == {"error": "not_found", "reason": "Database does not exist."}
    assert requests.put(url, timeout=30).status_code == 201
    assert (requests.put(url, timeout=30).status_code, requests.put(url, timeout=30).json()["error"]) == (
        412,
        "file_exists",
    )
    assert requests.put(f"{url}/doc", json={}, timeout=30).status_code == 201
    info = requests.get(url, timeout=30).json()
    assert (info["db_name"], info["doc_count"]) == (name, 1)
    assert name in requests.get(f"{database.url}/_all_dbs", timeout=30).json()
    assert requests.delete(url, timeout=30).status_code == 200
    assert requests.get(url, timeout=30).status_code == 404
    # A database made anew under the same name is empty.
    make_anew(url)
    assert requests.get(f"{url}/doc", timeout=30).status_code == 404
    assert requests.delete(url, timeout=30).status_code == 200


def test_a_database_made_anew_is_another(database):
    url = f"{database.url}/t{uuid.uuid4().hex}"
    seen = []
    for _ in range(2):
        make_anew(url)
        assert requests.put(f"{url}/doc", json={}, timeout=30).status_code == 201
        info = requests.get(url, timeout=30).json()
        flushed = requests.post(f"{url}/_ensure_full_commit", json={}, timeout=30).json()
        assert flushed["instance_start_time"] == info["instance_start_time"]
        assert requests.get(url, timeout=30).json()["instance_start_time"] == info["instance_start_time"]
        # Apache CouchDB names one in the sequence, too: its start time has seconds only.
        seen.append((info["instance_start_time"], info["update_seq"]))
        assert requests.delete(url, timeout=30).status_code == 200
    assert seen[0] != seen[1]


def test_up_and_fauxton(database):
    assert requests.get(f"{database.url}/_up", timeout=30).json()["status"] == "ok"
    answer = requests.get(database.fauxton, timeout=30)
    assert answer.status_code == 200
    assert "text/html" in answer.headers["Content-Type"]
    assert requests.get(f"{database.url}/_utils", timeout=30).status_code == 200


def test_a_design_documents_id_may_be_percent_encoded(couch):
    couch.design("encoded", language="javascript")
    assert couch.get("_design%2Fencoded").json()["_id"] == "_design/encoded"


def test_every_character_of_a_name_counts(database):
    """https://docs.couchdb.org/en/stable/api/database/common.html#put--db"""
    names = [f"n{uuid.uuid4().hex[:8]}{end}" for end in ("", "/z", "z", "$", "(+)", "-/_/")]
    places = [f"{database.url}/{quote(name, safe='')}" for name in names]
    try:
        for number, place in enumerate(places):
            assert requests.put(place, timeout=30).status_code == 201
            assert requests.put(f"{place}/doc", json={"n": number}, timeout=30).status_code == 201
        assert set(names) <= set(requests.get(f"{database.url}/_all_dbs", timeout=30).json())
        for number, (name, place) in enumerate(zip(names, places, strict=True)):
            assert requests.get(place, timeout=30).json()["db_name"] == name
            assert requests.get(f"{place}/doc", timeout=30).json()["n"] == number
            assert requests.get(f"{place}/_changes", timeout=30).json()["results"][0]["id"] == "doc"
        assert requests.get(f"{database.url}/{names[0]}~z", timeout=30).status_code in (400, 404)
    finally:
        for place in places:
            requests.delete(place, timeout=30)
    assert not set(names) & set(requests.get(f"{database.url}/_all_dbs", timeout=30).json())
