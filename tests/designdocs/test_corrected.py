"""A corrected instance is the same wherever it is made: metadata, rows of searches, and the file (docs/conflicts.md).

``tests/fixtures/corrected.json``: an instance's own attributes, what people fixed in its study and series, and what the
instance then has: other attributes, and items of its Original Attributes Sequence (PS3.3 C.12.1.1.9) behind its own.
"""

import io
import json
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from dicouch.dicom.correct import changes_of, correct_stored
from dicouch.dicom.part10 import read_part10
from dicouch.read import javascript, metadata
from dicouch.tables import SERIES_TAGS, STUDY_TAGS

CASES = json.loads((Path(__file__).parents[1] / "fixtures" / "corrected.json").read_text("utf-8"))
STUDY, SERIES, SOP = "1.2.3", "1.2.3.4", "1.2.3.4.5"
UIDS = {"00080018": SOP, "0020000D": STUDY, "0020000E": SERIES}
BASE = "http://made/dicom-web"
ORIGINAL, CHARACTERS, SYNTAX, SOP_CLASS = "04000561", "00080005", "00083002", "1.2.840.10008.5.1.4.1.1.7"


@pytest.fixture(params=CASES, ids=[case["name"] for case in CASES])
def case(request):
    return request.param


def own(case):
    """Return the instance's own data set."""
    uids = {tag: {"vr": "UI", "Value": [uid]} for tag, uid in {**UIDS, "00080016": SOP_CLASS}.items()}
    return dict(sorted({**uids, **case["own"]}.items()))


def expected(case):
    """Return the instance's data set as it is answered."""
    dataset = {**own(case), **case["changed"]}
    items = [*dataset.get(ORIGINAL, {}).get("Value", []), *case["items"]]
    if case["items"]:
        dataset[ORIGINAL] = {"vr": "SQ", "Value": items}
    return dict(sorted(dataset.items()))


def document(case):
    file = {"store": "folder:x", "size": 1, "transferSyntax": ExplicitVRLittleEndian}
    return {"_id": f"{STUDY}:{SERIES}:{SOP}", "type": "instance", "dataset": own(case), "file": file}


def corrections(ddoc, case):
    """Return the values of ``corrections_by_study``."""
    headers = [
        {"_id": f"{STUDY}:study", "type": "study", **first(case, STUDY_TAGS), "series": {}, "fixes": case["study"]},
        {"_id": f"{STUDY}:{SERIES}", "type": "series", **first(case, SERIES_TAGS), "fixes": case["series"]},
        {"_id": f"{STUDY}:1.9", "type": "series", "dataset": {}, "fixes": case.get("other series", {})},
    ]
    return [value for header in headers for _study, value in ddoc.map("corrections_by_study", header)]


def first(case, tags):
    """Return what a header has when an instance with other values came first."""
    values = {tag: value for tag, value in case.get("first", {}).items() if tag in tags}
    return {"dataset": values, "variants": {tag: [{"value": case["own"][tag], "series": [SERIES]}] for tag in values}}


def listed(ddoc, case, document):
    rows = [{"id": document["_id"], "doc": document}]
    return ddoc.list("metadata", rows, base=BASE, corrections=json.dumps(corrections(ddoc, case)))["body"]


def test_metadata(ddoc, case):
    assert listed(ddoc, case, document(case)) == [expected(case)]


def test_metadata_of_an_attachment(ddoc, case):
    """The list leaves such a data set to the shim, which makes it with the same code."""
    stored = document(case)
    small = {**stored, "dataset": {}, "file": {**stored["file"], "datasetAttachment": True}}
    (line,) = listed(ddoc, case, small)
    assert json.dumps(line, separators=(",", ":")).encode().startswith(metadata.ELSEWHERE)
    dataset = json.dumps(stored["dataset"]).encode()
    found = json.loads(javascript.render(line["datasetAttachment"], dataset, BASE, corrections(ddoc, case)))
    assert found == expected(case)
    assert list(found) == sorted(found)


def test_row_of_a_search(ddoc, case):
    """``includefield=all``: the same without what belongs to study and series (docs/conformance.md)."""
    rows = [{"id": document(case)["_id"], "doc": document(case)}]
    query = {"match": {}, "fields": {"include": "all"}, "offset": 0, "limit": 1}
    query["corrections"] = {STUDY: corrections(ddoc, case)}
    (row,) = ddoc.list("instances", rows, query)["body"]["rows"]
    wanted = {tag: value for tag, value in expected(case).items() if tag not in STUDY_TAGS | SERIES_TAGS}
    for tag in (CHARACTERS, SYNTAX, "00200013"):  # those of every row
        row["dataset"].pop(tag)
    assert row["dataset"] == wanted


def test_file(ddoc, case):
    dataset = Dataset.from_json({**own(case), CHARACTERS: {"vr": "CS", "Value": ["ISO_IR 100"]}})
    buffer = io.BytesIO()
    dataset.ensure_file_meta()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.save_as(buffer, enforce_file_format=True)
    content, values = buffer.getvalue(), corrections(ddoc, case)
    rows = [{"id": document(case)["_id"], "doc": document(case)}]
    found = ddoc.list("modifications", rows, corrections=json.dumps(values))["body"]
    changes = changes_of(document(case)["_id"], found.get(document(case)["_id"], {"tags": []})["tags"], values)
    if changes:
        _size, pieces = correct_stored(lambda start, end: iter([content[start:end]]), len(content), changes)
        content = b"".join(pieces())
    assert without_characters(read_part10(io.BytesIO(content), len(content)).dataset) == expected(case)


def without_characters(dataset):
    """Return a data set without its character sets: an item keeps the old one where the file is now UTF-8."""
    for items in (dataset[tag]["Value"] for tag in dataset if dataset[tag]["vr"] == "SQ" and dataset[tag].get("Value")):
        for item in items:
            without_characters(item)
    dataset.pop(CHARACTERS, None)
    return dataset


def test_long_texts_with_names_that_engines_put_first():
    """Of a long text that was concatenated quickjs-ng 0.17 makes no Python text."""
    dataset = {
        "00104000": {"vr": "LT", "Value": ["x" * 50_000]},
        "60003000": {"vr": "OW", "BulkDataURI": "bulkdata/60003000"},
    }
    fix = {"series": None, "fixes": {"00100020": {"value": {"vr": "LO"}, "at": "2026-11-23T08:00:00Z"}}}
    for some in (dataset, {"00104000": dataset["00104000"], "60000010": {"vr": "US", "Value": [1]}}):
        text = javascript.render("1:2:3", json.dumps(some).encode(), BASE, [fix])
        assert list(json.loads(text)) == sorted(some)
    text = javascript.render("1:2:3", json.dumps(dataset).encode(), BASE, [fix])
    url = f"{BASE}/studies/1/series/2/instances/3/bulkdata/60003000"
    assert json.loads(text)["60003000"]["BulkDataURI"] == url
