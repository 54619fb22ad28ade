"""`_list`, `_show`, `_update`: what a design document's functions see and how their answers arrive."""

from __future__ import annotations

import uuid

import pytest

COUNT_ROWS = "function (head, req) { var n = 0; while (getRow()) { n += 1; } return String(n); }"


@pytest.fixture(scope="module", autouse=True)
def design(couch):
    couch.design(
        "d",
        lib={
            "names": "exports.fold = function (s) { return s.toLowerCase(); };",
            "up": {"deep": "exports.fold = require('../names').fold; exports.here = require('./side').here; exports.id = module.id;",
                   "side": "exports.here = 'side';"},
            "counter": "var n = 0; exports.next = function () { n += 1; return n; };",
            "broken": "exports.x = (;",
        },
        views={
            "lib": {"names": "exports.fold = function (s) { return s.toLowerCase(); };"},
            "by_n": {"map": "function (doc) { if (doc.n) { emit(doc.n, doc.name); } }", "options": {"collation": "raw"}},
            "sums": {"map": "function (doc) { if (doc.n) { emit([doc.n % 3, doc.n], [doc.n, 1]); } }", "reduce": "_sum"},
        },
        lists={
            "rows": "function (head, req) { var r, out = []; while ((r = getRow())) { out.push(r); }"
                    " start({headers: {'Content-Type': 'application/dicom+json', 'X-Own': 'yes'}});"
                    " send(JSON.stringify({head: head, rows: out})); }",
            "count": COUNT_ROWS,
            "query": "function (head, req) { return toJSON(req.query); }",
            "request": "function (head, req) { return toJSON({method: req.method, body: req.body, path: req.path, headers: req.headers,"
                       " raw: req.raw_path, user: req.userCtx, db: req.info.db_name, id: req.id, uuid: typeof req.uuid}); }",
            "first": "function (head, req) { var r, out = []; while (out.length < 3 && (r = getRow())) { out.push(r.id); }"
                     " return toJSON(out); }",
            "chunks": "function (head, req) { start({code: 202, headers: {'Content-Type': 'text/plain'}}); send('a'); var r;"
                      " while ((r = getRow())) { send(r.id + ';'); r.value = 'changed'; } return 'z'; }",
            "values": "function (head, req) { var r, out = []; while ((r = getRow())) { out.push(r.value); r.value = 'changed'; }"
                      " return toJSON(out); }",
            "swallow": "function (head, req) { var r, n = 0; for (;;) { try { r = getRow(); } catch (e) { n = -1; }"
                       " if (!r) { return String(n); } n += 1; } }",
            "required": "function (head, req) { var m = require('lib/up/deep'); return [m.fold('ABC'), m.here,"
                        " require('views/lib/names').fold('X')].join(' '); }",
            "cached": "function (head, req) { var a = require('lib/counter').next(), b = require('lib/counter').next();"
                      " return String(b - a); }",
            "broken": "function (head, req) { return require('lib/broken'); }",
            "missing": "function (head, req) { return require('lib/none'); }",
            "throws": "function (head, req) { throw ['error', req.query.error, 'because']; }",
            "forbids": "function (head, req) { throw {forbidden: 'no'}; }",
            "fails": "function (head, req) { null.x; }",
            "syntax": "function (head, req) { return (; }",
            "typed": "function (head, req) { provides('html', function () { return '<p>'; });"
                     " provides('json', function () { return '{}'; }); }",
            "owntype": "function (head, req) { registerType('dicom', 'application/dicom+json');"
                       " provides('dicom', function () { return '[]'; }); }",
        },
        shows={
            "doc": "function (doc, req) { return {headers: {'Content-Type': 'text/plain'}, body: (doc ? doc.name : 'none') + ' ' + req.id}; }",
            "json": "function (doc, req) { return {json: {a: require('lib/up/deep').fold('A')}}; }",
            "binary": "function (doc, req) { return {base64: 'AAEC', headers: {'Content-Type': 'application/octet-stream'}}; }",
            "code": "function (doc, req) { return {code: 418, body: 'teapot'}; }",
        },
        updates={
            "count": "function (doc, req) { doc = doc || {_id: req.id, n: 0, type: 'counted'}; doc.hits = (doc.hits || 0) + 1;"
                     " doc.body = req.body; doc.query = req.query; return [doc, {json: {hits: doc.hits, id: req.id}}]; }",
            "merge": "function (doc, req) { var given = JSON.parse(req.body); doc = doc || {_id: req.id}; doc.merged = given.value;"
                     " doc.when = new Date(0); return [doc, 'ok']; }",
            "nothing": "function (doc, req) { return [null, {code: 409, json: {nothing: true}}]; }",
            "plain": "function (doc, req) { return [null, 'plain']; }",
            "throws": "function (doc, req) { throw ['error', 'bad_request', 'because']; }",
        },
    )  # fmt: skip
    couch.save(*({"_id": f"doc:{n:04}", "n": n, "name": f"Name{n}"} for n in range(1, 1001)))


def listed(couch, path: str, **params):
    return couch.get(f"_design/d/_list/{path}", params=params)


def test_rows_of_a_view(couch):
    answer = listed(couch, "rows/by_n", startkey="3", endkey="5")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/dicom+json"
    assert answer.headers["X-Own"] == "yes"
    rows = answer.json()["rows"]
    assert [(row["id"], row["key"], row["value"]) for row in rows] == [
        (f"doc:000{n}", n, f"Name{n}") for n in (3, 4, 5)
    ]
    assert answer.json()["head"]["total_rows"] == 1000


def test_all_rows_of_a_long_view(couch):
    assert listed(couch, "count/by_n").text == "1000"
    assert listed(couch, "count/by_n", limit="777").text == "777"
    assert listed(couch, "count/by_n", limit="100").text == "100"
    assert listed(couch, "count/by_n", limit="0").text == "0"
    assert listed(couch, "count/by_n", skip="990").text == "10"
    assert listed(couch, "swallow/by_n").text == "1000"


def test_a_list_that_stops_early(couch):
    assert listed(couch, "first/by_n", descending="true").json() == ["doc:1000", "doc:0999", "doc:0998"]


def test_rows_a_list_changes(couch):
    assert listed(couch, "values/by_n").json() == [f"Name{n}" for n in range(1, 1001)]


def test_chunks_arrive_in_order(couch):
    answer = listed(couch, "chunks/by_n")
    assert answer.status_code == 202
    assert answer.text == "a" + "".join(f"doc:{n:04};" for n in range(1, 1001)) + "z"


def test_include_docs(couch):
    rows = listed(couch, "rows/by_n", include_docs="true", key="7").json()["rows"]
    assert rows[0]["doc"]["name"] == "Name7"


def test_all_docs_with_posted_keys(couch):
    answer = couch.post(
        "_design/d/_list/rows/_all_docs",
        params={"include_docs": "true"},
        json={"keys": ["doc:0009", "none", "doc:0002"]},
    )
    rows = answer.json()["rows"]
    assert [row.get("doc", {}).get("n") for row in rows] == [9, None, 2]


def test_all_docs_by_range(couch):
    rows = listed(couch, "rows/_all_docs", startkey='"doc:0100"', endkey='"doc:0102"', include_docs="true").json()[
        "rows"
    ]
    assert [row["doc"]["n"] for row in rows] == [100, 101, 102]
    assert listed(couch, "count/_all_docs", startkey='"doc:"', endkey='"doc:~"').text == "1000"


def test_reduced_and_grouped_views(couch):
    rows = listed(couch, "rows/sums", group_level="1").json()["rows"]
    assert [row["key"] for row in rows] == [[0], [1], [2]]
    assert rows[0]["value"] == [sum(range(3, 1001, 3)), 333]
    assert listed(couch, "rows/sums").json()["rows"][0]["value"] == [500500, 1000]
    answer = couch.post("_design/d/_list/rows/sums", params={"group": "true"}, json={"keys": [[2, 5], [1, 1]]})
    assert [row["value"] for row in answer.json()["rows"]] == [[5, 1], [1, 1]]
    answer = couch.post("_design/d/_list/rows/by_n", json={"keys": [5, 3]})
    assert [row["key"] for row in answer.json()["rows"]] == [5, 3]


def test_the_view_of_another_design_document(couch):
    couch.design("other", views={"v": {"map": "function (doc) { if (doc.n === 1) { emit(null); } }"}})
    assert listed(couch, "count/other/v").text == "1"


def test_query_values_are_strings(couch):
    sent = {
        "PatientID": "1.2",
        "a": "007",
        "b": "true",
        "c": "null",
        "d": '"q"',
        "e": "",
        "startkey": '"a"',
        "descending": "true",
    }
    assert listed(couch, "query/by_n", **sent).json() == {**sent, "startkey": "a", "descending": True}


def test_the_request_object(couch, fresh_database):
    answer = couch.post("_design/d/_list/request/by_n", data='{"keys": [1], "own": "x"}',
                        headers={"Content-Type": "application/json", "X-Some": "thing", "Accept": "application/dicom+json"})  # fmt: skip
    seen = answer.json()
    name = fresh_database.rsplit("/", 1)[1]
    assert seen["method"] == "POST"
    assert seen["body"] == {"keys": [1], "own": "x"}
    assert seen["path"] == [name, "_design", "d", "_list", "request", "by_n"]
    assert seen["raw"] == f"/{name}/_design/d/_list/request/by_n"
    assert seen["headers"]["Accept"] == "application/dicom+json"
    assert seen["headers"]["X-Some"] == "thing"
    assert seen["headers"]["Host"]
    assert seen["db"] == name
    assert "_admin" in seen["user"]["roles"]
    assert (seen["id"], seen["uuid"]) == (None, "string")


def test_modules(couch):
    assert listed(couch, "required/by_n").text == "abc side x"
    assert listed(couch, "cached/by_n").text == "1"
    assert listed(couch, "broken/by_n").status_code >= 400
    assert listed(couch, "missing/by_n").status_code >= 400


@pytest.mark.parametrize(("error", "status"), [("not_found", 404), ("bad_request", 400), ("whatever", 500)])
def test_thrown_errors(couch, error, status):
    answer = listed(couch, "throws/by_n", error=error)
    assert (answer.status_code, answer.json()) == (status, {"error": error, "reason": "because"})


def test_failures_are_answers(couch):
    assert listed(couch, "forbids/by_n").status_code >= 400
    assert listed(couch, "fails/by_n").status_code == 500
    assert listed(couch, "syntax/by_n").status_code >= 400
    assert couch.get().status_code == 200


@pytest.mark.parametrize("path", ["none/by_n", "count/none"])
def test_what_is_missing(couch, path):
    answer = listed(couch, path)
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")
    assert couch.get("_design/nodesign/_list/count/by_n").status_code == 404
    # CouchDB answers 500 to the first, and to the second when its index has not been asked for yet.
    assert listed(couch, "count/nodesign/v").status_code in (404, 500)
    assert listed(couch, "count/other/none").status_code in (404, 500)


def test_bad_options_of_a_list(couch):
    assert listed(couch, "count/by_n", startkey="{").status_code == 400
    assert listed(couch, "count/by_n", group="true").status_code == 400
    assert (
        couch.post("_design/d/_list/count/by_n", data="{", headers={"Content-Type": "application/json"}).status_code
        == 400
    )


@pytest.mark.parametrize(
    ("accept", "body", "kind"),
    [
        ("text/html", "<p>", "text/html"),
        ("application/json", "{}", "application/json"),
        ("text/html;q=0.2, application/json;q=0.9", "{}", "application/json"),
    ],
)
def test_provides_follows_the_accept_header(couch, accept, body, kind):
    answer = couch.get("_design/d/_list/typed/by_n", params={"limit": "0"}, headers={"Accept": accept})
    assert answer.text == body
    assert answer.headers["Content-Type"].startswith(kind)


def test_own_types(couch):
    answer = couch.get(
        "_design/d/_list/owntype/by_n", params={"limit": "0"}, headers={"Accept": "application/dicom+json"}
    )
    assert (answer.text, answer.headers["Content-Type"]) == ("[]", "application/dicom+json")
    assert couch.get("_design/d/_list/owntype/by_n", headers={"Accept": "image/png"}).status_code == 406


def test_shows(couch):
    assert couch.get("_design/d/_show/doc/doc:0001").text == "Name1 doc:0001"
    assert couch.get("_design/d/_show/doc/doc%3A0001").text == "Name1 doc:0001"
    assert couch.get("_design/d/_show/doc").text == "none null"
    answer = couch.get("_design/d/_show/json")
    assert (answer.json(), answer.headers["Content-Type"]) == ({"a": "a"}, "application/json")
    assert couch.get("_design/d/_show/binary").content == b"\x00\x01\x02"
    assert couch.get("_design/d/_show/code").status_code == 418
    assert couch.get("_design/d/_show/none").status_code == 404


def test_shows_have_etags(couch):
    first = couch.get("_design/d/_show/doc/doc:0001")
    again = couch.get("_design/d/_show/doc/doc:0001", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304


def test_update_makes_and_changes_a_document(couch):
    name = f"1.2:{uuid.uuid4().hex}:study"
    first = couch.put(f"_design/d/_update/count/{name}", data="text body", params={"a": "1.20"})
    assert (first.status_code, first.json()) == (201, {"hits": 1, "id": name})
    doc = couch.get(name).json()
    assert first.headers["X-Couch-Update-NewRev"] == doc["_rev"]
    assert (doc["hits"], doc["body"], doc["query"]) == (1, "text body", {"a": "1.20"})
    second = couch.post(f"_design/d/_update/count/{name.replace(':', '%3A')}")
    assert (second.status_code, second.json()) == (201, {"hits": 2, "id": name})
    assert couch.get(name).json()["hits"] == 2


def test_update_reads_json_bodies(couch):
    name = fresh = f"merge:{uuid.uuid4().hex}"
    answer = couch.put(f"_design/d/_update/merge/{fresh}", json={"value": {"deep": [1, "é"]}})
    assert (answer.status_code, answer.text) == (201, "ok")
    assert couch.get(name).json()["merged"] == {"deep": [1, "é"]}
    assert couch.get(name).json()["when"] == "1970-01-01T00:00:00.000Z"


def test_updates_without_a_document(couch):
    answer = couch.post("_design/d/_update/nothing/doc:0001")
    assert answer.json() == {"nothing": True}
    assert answer.status_code == 409
    plain = couch.post("_design/d/_update/plain")
    assert (plain.status_code, plain.text) == (200, "plain")
    thrown = couch.post("_design/d/_update/throws")
    assert (thrown.status_code, thrown.json()) == (400, {"error": "bad_request", "reason": "because"})
    assert couch.post("_design/d/_update/none").status_code == 404
    assert couch.post("_design/d/_update/merge/x", data="not json").status_code == 500


def test_update_keeps_attachments(couch):
    name = f"kept:{uuid.uuid4().hex}"
    couch.put(f"{name}/object.dcm", data=b"bytes", headers={"Content-Type": "application/dicom"})
    assert couch.put(f"_design/d/_update/count/{name}").status_code == 201
    assert couch.get(f"{name}/object.dcm").content == b"bytes"
