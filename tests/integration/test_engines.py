"""The design document's code on the engine of each database: the tables that hold it under quickjs must hold there."""

import json
from pathlib import Path

import pytest
import requests

from dicouch.scripts import designdocs

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "fixtures"

CALL = """function (doc, req) {
  var called = require(req.query.module)[req.query.name];
  return JSON.stringify(JSON.parse(req.query.cases).map(function (value) { return called(value); }));
}"""
MATCH = """function (doc, req) {
  var match = require('lib/match/match');
  return JSON.stringify(JSON.parse(req.query.cases).map(function (pair) { return match.compile(pair[0])(pair[1]); }));
}"""


@pytest.fixture(scope="module", params=["javascript", "javascript_quickjs", "javascript_spidermonkey"])
def run(request, database, fresh_database):
    """Return a function that has cases decided inside the database, by each engine that it has."""
    language = request.param
    if language != "javascript" and "CouchDB" not in database.name:
        pytest.skip("the embedded database has one engine: node's")
    source = designdocs.load(ROOT / "designdocs" / "dicom")
    document = {
        "language": language,
        "views": {"lib": source["views"]["lib"]},
        "lib": source["lib"],
        "tables": source["tables"],
        "shows": {"call": CALL, "match": MATCH},
    }
    requests.put(f"{fresh_database}/_design/{language}", json=document, timeout=30).raise_for_status()

    def ask(show, cases, **params):
        results = []
        for start in range(0, len(cases), 8):
            query = {**params, "cases": json.dumps(cases[start : start + 8], ensure_ascii=False)}
            response = requests.get(f"{fresh_database}/_design/{language}/_show/{show}", params=query, timeout=60)
            assert response.status_code == 200, response.text
            results += json.loads(response.content)
        return results

    return ask


@pytest.mark.parametrize("name", ["text", "name"])
def test_the_normalisation(run, name):
    table = json.loads((FIXTURES / "normalise.json").read_text(encoding="utf-8"))[name]
    found = run("call", [value for value, _key in table], module="views/lib/normalise", name=name)
    assert found == [key for _value, key in table]


def test_the_matching(run):
    cases, expected, names = [], [], []
    for case in json.loads((FIXTURES / "match" / "cases.json").read_text(encoding="utf-8")):
        for kind in ("match", "miss"):
            for value in case[kind]:
                dataset = {"00081030": {"vr": case["vr"], "Value": case["stored"]}}
                cases.append([{"00081030": {"vr": case["vr"], "values": [value]}}, dataset])
                expected.append(kind == "match")
                names.append(f"{case['name']}: {value}")
    found = run("match", cases)
    assert [name for name, got, want in zip(names, found, expected, strict=True) if got != want] == []
