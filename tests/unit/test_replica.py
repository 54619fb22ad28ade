"""What a client may read to replicate a study: its documents alone, page by page, without bytes."""

from __future__ import annotations

import pytest

from dicouch.app import create_app
from dicouch.config import Config
from dicouch.read import replica

ASK = create_app(Config(couchdb_url="http://127.0.0.1:9", remember=0.0)).test_client()
BULK = "/dicom-web/documents/1.2/_bulk_get"


class Study:
    """A database with the documents of one study."""

    def __init__(self, **revisions: str):
        self.revisions = revisions
        self.asked: list[str] = []

    def json(self, method, path, *, params, body, authorization, writes):
        assert writes == ()  # nothing is forgotten for what only reads
        self.asked.append(f"{method} {path}")
        if path == "_bulk_get":
            assert params == {"revs": "true", "latest": "true"}
            ok = {"_id": "1.2:study", "_rev": "1-a", "_attachments": {"object.dcm": {"stub": True}}}
            return {"results": [{"id": "1.2:study", "docs": [{"ok": ok}, {"error": {"error": "not_found"}}]}]}
        assert params == {"startkey": '"1.2:"', "endkey": '"1.2:\ufff0"'}
        return {"rows": [{"id": f"1.2:{name}", "value": {"rev": rev}} for name, rev in sorted(self.revisions.items())]}


def test_changes_come_in_pages_and_end():
    study = Study(a="1-x", b="1-y", study="2-z")
    since, seen = "0", []
    while (page := replica.changes(study, "1.2", since, 2, None))["results"]:
        seen += [(change["id"], change["changes"]) for change in page["results"]]
        assert page["last_seq"] == page["results"][-1]["seq"]
        assert page["pending"] == 3 - len(seen)
        since = page["last_seq"]
    assert seen == [("1.2:a", [{"rev": "1-x"}]), ("1.2:b", [{"rev": "1-y"}]), ("1.2:study", [{"rev": "2-z"}])]
    assert since == replica.information(study, "1.2", None)["update_seq"] == page["last_seq"]


@pytest.mark.parametrize("since", ["0", "", "now", "2-1234", "9-", "-1-x", "²-x", "1" * 50])
def test_after_another_state_all_is_told_again(since):
    study = Study(a="1-x")
    before = replica.changes(study, "1.2", "0", 10, None)["last_seq"]
    study.revisions["b"] = "1-y"
    for place in (since, before):
        assert [one["id"] for one in replica.changes(study, "1.2", place, 10, None)["results"]] == ["1.2:a", "1.2:b"]


def test_no_bytes_are_sent():
    found = replica.documents(Study(), [{"id": "1.2:study", "rev": "1-a"}], None)
    assert found["results"][0]["docs"] == [
        {"ok": {"_id": "1.2:study", "_rev": "1-a"}},
        {"error": {"error": "not_found"}},
    ]


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        (b"{", 400, "docs"),
        (b"[]", 400, "docs"),
        (b'{"docs": 3}', 400, "docs"),
        (b'{"docs": [3]}', 400, "docs"),
        (b'{"docs": [{"id": 3}]}', 400, "texts"),
        (b'{"docs": [{}]}', 403, "no document of this study"),
        (b'{"docs": [{"id": "1.2"}]}', 403, "'1.2'"),
        (b'{"docs": [{"id": "1.2:study"}, {"id": "1.20:study"}]}', 403, "'1.20:study'"),
        (b'{"docs": [{"id": "_design/dicom"}]}', 403, "_design/dicom"),
        (b'{"docs": [' + b'{"id": "1.2:a"},' * 500 + b'{"id": "1.2:a"}]}', 413, "501 documents"),
        (b'"' + b"x" * 1_000_001, 413, "1000000 bytes"),
        (b'{"docs": [{"id": "1.2:study", "rev": "1-a"}]}', 503, "does not answer"),
    ],
)
def test_only_documents_of_the_study(body, status, told):
    answer = ASK.post(BULK, data=body, content_type="application/json")
    assert (answer.status_code, answer.is_json) == (status, True)
    assert told in answer.json["reason"]


def test_what_else_is_refused():
    assert ASK.post(BULK, data=b"{}", content_type="text/plain").status_code == 415
    assert ASK.get("/dicom-web/documents/1.2/_changes?feed=longpoll").status_code == 400
    assert ASK.get("/dicom-web/documents/1.2/_changes?limit=x").status_code == 400
    assert ASK.get("/dicom-web/documents/a b/_changes").status_code == 400
    for method in ("PUT", "DELETE", "POST"):
        assert ASK.open("/dicom-web/documents/1.2", method=method).status_code == 405
    # PouchDB asks with a slash at the end.
    assert ASK.get("/dicom-web/documents/1.2/").status_code == 503
    assert "POST" in ASK.options(BULK).headers["Allow"]
