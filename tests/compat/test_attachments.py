"""Attachments: ranges, ETags, revisions, and the documented multipart/related PUT."""

from __future__ import annotations

import base64
import hashlib
import json
import uuid

import pytest
import requests

BODY = bytes(range(256)) * 4000


def fresh_id() -> str:
    return f"1.2.3:{uuid.uuid4().hex}"


def multipart(doc: dict, *parts: bytes, boundary: str = "b0undary") -> tuple[bytes, dict]:
    """Build the body that CouchDB documents: the document, then raw parts without names."""
    pieces = [b"Content-Type: application/json\r\n\r\n" + json.dumps(doc).encode()]
    pieces += [b"\r\n" + part for part in parts]
    delimiter = f"--{boundary}".encode()
    body = b"".join(delimiter + b"\r\n" + piece + b"\r\n" for piece in pieces) + delimiter + b"--"
    return body, {"Content-Type": f'multipart/related; boundary="{boundary}"'}


def follows(length: int, **more) -> dict:
    return {"follows": True, "content_type": "application/dicom", "length": length, **more}


def chunks(body: bytes, size: int = 65536):
    """Give the body in pieces, which requests sends with ``Transfer-Encoding: chunked``."""
    for start in range(0, len(body), size):
        yield body[start : start + size]


@pytest.fixture(scope="module")
def stored(couch):
    """Give the id of a document with BODY attached as ``object.dcm``."""
    name = fresh_id()
    body, headers = multipart({"a": 1, "_attachments": {"object.dcm": follows(len(BODY))}}, BODY)
    answer = couch.put(name, data=body, headers=headers)
    assert answer.status_code == 201, answer.text
    assert answer.json()["id"] == name
    return name


def test_multipart_put_stores_document_and_bytes(couch, stored):
    doc = couch.get(stored).json()
    attachment = doc["_attachments"]["object.dcm"]
    assert doc["a"] == 1
    assert attachment["length"] == len(BODY)
    assert attachment["content_type"] == "application/dicom"
    assert attachment["stub"] is True
    assert attachment["revpos"] == 1
    assert attachment["digest"] == "md5-" + base64.b64encode(hashlib.md5(BODY, usedforsecurity=False).digest()).decode()
    answer = couch.get(f"{stored}/object.dcm")
    assert answer.content == BODY
    assert answer.headers["Content-Type"] == "application/dicom"
    assert answer.headers["Content-Length"] == str(len(BODY))
    assert answer.headers["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize("chunked", [False, True])
def test_multipart_put_of_several_parts(couch, chunked):
    name = fresh_id()
    tricky = b"\r\n--b0undar\r\n--\r\n" * 500 + b"\r\n--b0undary-not"
    doc = {
        "_id": name,
        "_attachments": {"object.dcm": follows(len(tricky)), "dataset.json": follows(0), "z": follows(3)},
    }
    # A body without a closing line break, and one with bytes after the end, as RFC 2046 allows.
    body, headers = multipart(doc, tricky, b"", b"abc", boundary="other-b0undary")
    answer = couch.put(name, data=chunks(body, 777) if chunked else body, headers=headers)
    assert answer.status_code == 201, answer.text
    assert couch.get(f"{name}/object.dcm").content == tricky
    assert couch.get(f"{name}/dataset.json").content == b""
    assert couch.get(f"{name}/z").content == b"abc"


def test_multipart_put_keeps_stubs_and_inline_attachments(couch, stored):
    doc = couch.get(stored).json()
    doc["_attachments"]["small"] = {"content_type": "text/plain", "data": base64.b64encode(b"small").decode()}
    doc["_attachments"]["second"] = follows(6)
    body, headers = multipart(doc, b"second")
    answer = couch.put(stored, data=body, headers=headers)
    assert answer.status_code == 201, answer.text
    assert couch.get(f"{stored}/object.dcm").content == BODY
    assert couch.get(f"{stored}/small").content == b"small"
    assert couch.get(f"{stored}/second").content == b"second"
    assert couch.get(stored).json()["_attachments"]["second"]["revpos"] == 2


def test_multipart_conflict_leaves_what_was_there(couch):
    name = fresh_id()
    for content, status in ((b"first", 201), (b"other", 409)):
        body, headers = multipart({"_attachments": {"x": follows(5)}}, content)
        assert couch.put(name, data=body, headers=headers).status_code == status
    assert couch.get(f"{name}/x").content == b"first"


@pytest.mark.parametrize("body", [b"", b"--b0undary\r\n\r\nnot json\r\n--b0undary--", b"no delimiter at all"])
def test_broken_multipart_is_refused_and_the_server_lives(couch, body):
    name = fresh_id()
    try:
        # CouchDB may end the connection instead of answering.
        answer = couch.put(name, data=body, headers={"Content-Type": 'multipart/related; boundary="b0undary"'})
        assert answer.status_code >= 400
    except requests.ConnectionError:
        pass
    assert couch.get(name).status_code == 404


@pytest.mark.parametrize(
    ("header", "status", "first", "last"),
    [
        ("bytes=0-0", 206, 0, 0),
        ("bytes=100-199", 206, 100, 199),
        ("bytes=1023990-", 206, 1023990, 1023999),
        ("bytes=-10", 206, 1023990, 1023999),
        ("bytes=1023999-5000000", 206, 1023999, 1023999),
        ("bytes=0-", 200, 0, 1023999),
        ("bytes=nonsense", 200, 0, 1023999),
    ],
)
def test_ranges(couch, stored, header, status, first, last):
    answer = couch.get(f"{stored}/object.dcm", headers={"Range": header})
    assert answer.status_code == status
    assert answer.content == BODY[first : last + 1]
    if status == 206:
        assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{len(BODY)}"


@pytest.mark.parametrize("header", ["bytes=1024000-", "bytes=5-1"])
def test_ranges_that_cannot_be(couch, stored, header):
    assert couch.get(f"{stored}/object.dcm", headers={"Range": header}).status_code == 416


def test_attachment_etag_and_head(couch, stored):
    answer = couch.request("HEAD", f"{stored}/object.dcm")
    assert answer.status_code == 200
    assert answer.headers["Content-Length"] == str(len(BODY))
    etag = answer.headers["ETag"]
    assert couch.get(f"{stored}/object.dcm", headers={"If-None-Match": etag}).status_code == 304


def test_missing_attachments(couch, stored):
    answer = couch.get(f"{stored}/none")
    assert (answer.status_code, answer.json()) == (
        404,
        {"error": "not_found", "reason": "Document is missing attachment"},
    )
    assert couch.get(f"{fresh_id()}/none").status_code == 404
    assert couch.request("HEAD", f"{stored}/none").status_code == 404


def test_put_attachment_names_the_revision(couch):
    name = fresh_id()
    headers = {"Content-Type": "application/dicom"}
    first = couch.put(f"{name}/folder/x.dcm", data=b"one", headers=headers)
    assert first.status_code == 201
    assert couch.put(f"{name}/folder/x.dcm", data=b"two", headers=headers).status_code == 409
    second = couch.put(
        f"{name}/folder/x.dcm", data=chunks(b"two", 1), headers=headers, params={"rev": first.json()["rev"]}
    )
    assert second.status_code == 201
    third = couch.put(f"{name}/y", data=b"y", headers={**headers, "If-Match": second.json()["rev"]})
    assert third.status_code == 201
    assert couch.get(f"{name}/folder/x.dcm").content == b"two"
    assert couch.get(f"{name}/folder%2Fx.dcm").content == b"two"
    assert couch.get(f"{name}/folder/x.dcm", params={"rev": first.json()["rev"]}).content == b"one"
    assert couch.delete(f"{name}/y").status_code == 409
    assert couch.delete(f"{name}/y", params={"rev": third.json()["rev"]}).status_code == 200
    assert couch.get(f"{name}/y").status_code == 404
    assert couch.get(f"{name}/folder/x.dcm").content == b"two"


def test_attachments_inside_documents(couch):
    name = fresh_id()
    doc = {
        "_attachments": {
            "in": {"content_type": "application/dicom", "data": base64.b64encode(b"inline bytes").decode()}
        }
    }
    assert couch.put(name, json=doc).status_code == 201
    assert couch.get(f"{name}/in").content == b"inline bytes"
    assert couch.get(f"{name}/in", headers={"Range": "bytes=2-4"}).content == b"lin"
    assert base64.b64decode(couch.get(name, params={"attachments": "true"}, headers={"Accept": "application/json"})
                            .json()["_attachments"]["in"]["data"]) == b"inline bytes"  # fmt: skip


def test_whole_attachments_in_a_document(couch, stored):
    doc = couch.get(stored, params={"attachments": "true"}, headers={"Accept": "application/json"}).json()
    assert base64.b64decode(doc["_attachments"]["object.dcm"]["data"]) == BODY


def test_copy_takes_the_attachments_along(couch, stored):
    target = fresh_id()
    assert couch.request("COPY", stored, headers={"Destination": target}).status_code == 201
    assert couch.get(f"{target}/object.dcm").content == BODY


def test_the_same_bytes_twice_survive_one_deletion(couch):
    """Equal attachments are stored once: deleting one document must not take the other's bytes."""
    same = b"shared" * 1000
    names = [fresh_id(), fresh_id()]
    for name in names:
        body, headers = multipart({"_attachments": {"x": follows(len(same))}}, same)
        rev = couch.put(name, data=body, headers=headers).json()["rev"]
    assert couch.delete(names[1], params={"rev": rev}).status_code == 200
    assert couch.post("_compact", headers={"Content-Type": "application/json"}).status_code == 202
    assert couch.get(f"{names[0]}/x").content == same


def test_replication_takes_attachments_along(couch, database, fresh_database, stored):
    target = f"{database.url}/copy-{uuid.uuid4().hex}"
    answer = requests.post(
        f"{database.url}/_replicate",
        json={"source": fresh_database, "target": target, "create_target": True, "doc_ids": [stored]},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    assert requests.get(f"{target}/{stored}/object.dcm", timeout=30).content == BODY
    requests.delete(target, timeout=30).raise_for_status()
