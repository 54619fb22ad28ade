"""validate_doc_update and who may do what."""

from __future__ import annotations

import uuid

import pytest
import requests

VALIDATE = """function (newDoc, oldDoc, userCtx, secObj) {
  var check = require('lib/check');
  if (newDoc._deleted) { return; }
  if (newDoc.type === 'forbidden') { throw {forbidden: 'type ' + newDoc.type}; }
  if (newDoc.type === 'unauthorized') { throw {unauthorized: 'who?'}; }
  if (newDoc.type === 'fails') { null.x; }
  if (newDoc.type === 'attached' && !(newDoc._attachments || {})['object.dcm']) { throw {forbidden: 'no object.dcm'}; }
  if (oldDoc && oldDoc.fixed !== newDoc.fixed) { throw {forbidden: 'fixed'}; }
  if (!check.uid(newDoc._id)) { throw {forbidden: 'id'}; }
  newDoc.changed = true;
}"""


@pytest.fixture(scope="module", autouse=True)
def design(couch):
    couch.design(
        "guard",
        lib={"check": "exports.uid = function (id) { return id.indexOf('bad') !== 0; };"},
        validate_doc_update=VALIDATE,
        updates={"make": "function (doc, req) { return [{_id: req.id, type: 'forbidden'}, 'made']; }"},
    )


def fresh_id() -> str:
    return f"ok:{uuid.uuid4().hex}"


def test_refusals(couch):
    answer = couch.put(fresh_id(), json={"type": "forbidden"})
    assert (answer.status_code, answer.json()) == (403, {"error": "forbidden", "reason": "type forbidden"})
    assert couch.put(fresh_id(), json={"type": "unauthorized"}).status_code == 401
    assert couch.put(fresh_id(), json={"type": "fails"}).status_code == 500
    assert couch.put(f"bad{uuid.uuid4().hex}", json={}).status_code == 403
    assert couch.post(f"_design/guard/_update/make/{fresh_id()}").status_code == 403


def test_the_function_changes_nothing(couch):
    name = fresh_id()
    assert couch.put(name, json={}).status_code == 201
    assert "changed" not in couch.get(name).json()


def test_it_sees_the_old_document(couch):
    name = fresh_id()
    rev = couch.put(name, json={"fixed": 1}).json()["rev"]
    assert couch.put(name, json={"_rev": rev, "fixed": 2}).status_code == 403
    assert couch.put(name, json={"_rev": rev, "fixed": 1, "more": 2}).status_code == 201


def test_it_sees_attachments(couch):
    assert couch.put(fresh_id(), json={"type": "attached", "_attachments": {}}).status_code == 403
    doc = {"type": "attached", "_attachments": {"object.dcm": {"content_type": "application/dicom", "data": "AAAA"}}}
    assert couch.put(fresh_id(), json=doc).status_code == 201


def test_bulk_docs_refuse_one_by_one(couch):
    names = [fresh_id(), fresh_id(), fresh_id()]
    docs = [{"_id": names[0]}, {"_id": names[1], "type": "forbidden"}, {"_id": names[2]}]
    first, second, third = couch.post("_bulk_docs", json={"docs": docs}).json()
    assert (first["id"], third["id"]) == (names[0], names[2])
    assert first["rev"]
    assert third["rev"]
    assert second == {"id": names[1], "error": "forbidden", "reason": "type forbidden"}
    assert couch.get(names[1]).status_code == 404


def test_a_changed_function_counts_at_once(couch):
    couch.design("late", validate_doc_update="function (newDoc) { if (newDoc.late) { throw {forbidden: 'late'}; } }")
    assert couch.put(fresh_id(), json={"late": True}).status_code == 403
    rev = couch.get("_design/late").json()["_rev"]
    assert couch.delete("_design/late", params={"rev": rev}).status_code == 200
    assert couch.put(fresh_id(), json={"late": True}).status_code == 201


def test_strangers_and_wrong_passwords(database, fresh_database):
    scheme, _, rest = fresh_database.partition("://")
    credentials, _, address = rest.rpartition("@")
    if not credentials:
        pytest.skip("this database has no administrator")
    stranger = f"{scheme}://{address}"
    assert requests.get(stranger, timeout=30).status_code == 401
    assert requests.get(f"{stranger}/_all_docs", timeout=30).status_code == 401
    assert requests.put(f"{stranger}/doc", json={}, timeout=30).status_code == 401
    server = stranger.rsplit("/", 1)[0]
    assert requests.put(f"{server}/another", timeout=30).status_code == 401
    assert requests.get(f"{server}/_all_dbs", timeout=30).status_code == 401
    assert requests.get(f"{server}/", timeout=30).status_code == 200
    assert requests.get(f"{server}/_up", timeout=30).status_code == 200
    assert requests.get(stranger, auth=("admin", "wrong"), timeout=30).status_code == 401


def test_users_and_members(database, fresh_database):
    name = f"u{uuid.uuid4().hex}"
    user = {"name": name, "password": "secret", "roles": ["viewer"], "type": "user"}
    made = requests.put(f"{database.url}/_users/org.couchdb.user:{name}", json=user, timeout=30)
    assert made.status_code == 201, made.text
    scheme, _, rest = fresh_database.partition("://")
    address = rest.rpartition("@")[2]
    mine = f"{scheme}://{name}:secret@{address}"
    server = mine.rsplit("/", 1)[0]
    assert requests.get(f"{server}/_session", timeout=30).json()["userCtx"] == {"name": name, "roles": ["viewer"]}
    assert requests.get(f"{mine}/_all_docs", timeout=30).status_code == 403
    security = {"admins": {"names": [], "roles": []}, "members": {"names": [], "roles": ["viewer"]}}
    assert requests.put(f"{fresh_database}/_security", json=security, timeout=30).status_code == 200
    assert requests.get(f"{mine}/_all_docs", timeout=30).status_code == 200
    assert requests.put(f"{mine}/{fresh_id()}", json={}, timeout=30).status_code == 201
    refused = requests.put(f"{mine}/_design/own", json={}, timeout=30)
    assert refused.status_code in (401, 403)
    session = requests.Session()
    logged_in = session.post(
        f"{scheme}://{address.rsplit('/', 1)[0]}/_session", json={"name": name, "password": "secret"}, timeout=30
    )
    assert logged_in.status_code == 200
    assert session.get(f"{scheme}://{address}/_all_docs", timeout=30).status_code == 200
