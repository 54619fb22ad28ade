"""QIDO-RS through a running server: resources, pages, rows, representations (PS3.18 10.6)."""

import email
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
import requests
from dicomweb_client import DICOMwebClient
from jsonschema_rs import Draft202012Validator, Registry

from tests.archive import study_documents, write

SCHEMAS = {
    path.name: json.loads(path.read_text(encoding="utf-8"))
    for path in (Path(__file__).parents[2] / "docs" / "schemas").glob("*.json")
}
REGISTRY = Registry(list(SCHEMAS.items()))
STUDY = "1.2.826.0.1.7"
SERIES = f"{STUDY}.2"
RESOURCES = {
    "/studies": ("studies", 60),
    "/series": ("series-of-all-studies", 180),
    "/instances": ("instances-of-all-studies", 720),
    "/patients": ("patients", 30),
    f"/studies/{STUDY}/series": ("series", 3),
    f"/studies/{STUDY}/instances": ("instances-of-a-study", 12),
    f"/studies/{STUDY}/series/{SERIES}/instances": ("instances", 4),
}


def documents():
    return [document for number in range(60) for document in study_documents(number, 3, 4)]


def value(row, tag):
    return row[tag]["Value"][0]


@pytest.mark.either_database
@pytest.mark.parametrize(("path", "schema", "number"), [(path, *what) for path, what in RESOURCES.items()])
class TestEveryResource:
    def test_rows_are_as_the_schema_says(self, archive, path, schema, number):
        answer = archive.get(path)
        assert answer.headers["Content-Type"] == "application/dicom+json"
        rows = answer.json()
        assert len(rows) == number
        assert all(list(row) == sorted(row) for row in rows)  # PS3.18 F.2.2
        Draft202012Validator(SCHEMAS[f"{schema}.schema.json"], registry=REGISTRY).validate(rows)

    def test_count(self, archive, path, schema, number):
        answer = archive.get(f"{path}/count")
        assert (answer.json(), answer.headers["Content-Type"]) == ({"count": number}, "application/json")
        assert archive.get(f"{path}/count?PatientID=nobody").json() == {"count": 0}

    def test_head(self, archive, path, schema, number):
        answer = requests.head(archive.url + path + "?limit=1", timeout=30)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["Content-Type"] == "application/dicom+json"

    def test_pages_make_up_the_whole(self, archive, path, schema, number):
        whole = archive.get(path).json()
        size = max(number // 4, 1)
        pages = [archive.get(f"{path}?limit={size}&offset={start}").json() for start in range(0, number + size, size)]
        assert [row for page in pages for row in page] == whole
        past = archive.get(f"{path}?limit={size}&offset={number}")
        assert (past.status_code, past.json()) == (200, [])

    def test_representations(self, archive, path, schema, number):
        plain = archive.get(path + "?limit=2", headers={"Accept": "application/json"})
        assert plain.headers["Content-Type"] == "application/json"
        accept = 'application/dicom+json;q=0.5, multipart/related; type="application/dicom+xml"'
        xml = archive.get(path + "?limit=2", headers={"Accept": accept})
        assert xml.headers["Content-Type"].startswith("multipart/related")
        head = b"Content-Type: " + xml.headers["Content-Type"].encode() + b"\r\n\r\n"
        parts = email.message_from_bytes(head + xml.content).get_payload()
        assert len(parts) == len(plain.json())
        for part, row in zip(parts, plain.json(), strict=True):
            assert part.get_content_type() == "application/dicom+xml"
            model = ElementTree.fromstring(part.get_payload(decode=True))
            assert {element.get("tag") for element in model} == set(row)
        assert archive.get(path + "?accept=application/json", headers={"Accept": "*/*"}).json()
        refused = archive.get(path, headers={"Accept": "image/png", "Origin": "http://127.0.0.1"})
        assert refused.status_code == 406
        assert refused.headers["Access-Control-Allow-Origin"] == "http://127.0.0.1"
        assert refused.json()["error"] == "not_acceptable"

    def test_timing(self, archive, path, schema, number):
        timing = archive.get(path + "?limit=3").headers["Server-Timing"]
        assert timing.startswith("couch;dur=")
        assert "shim;dur=" in timing
        # What is remembered takes no request.
        assert re.search(r'ask;dur=[0-9.]+;desc="(GET|POST) (_list/|_view/|test-)|memory;desc="hits [1-9]', timing)

    def test_explain(self, archive, path, schema, number):
        told = archive.get(path + "?limit=3&explain&NoSuch=1").json()
        assert told["rows"] == 3
        assert told["ignored"] == ["NoSuch"]
        assert all(request["milliseconds"] >= 0 for request in told["requests"])
        assert any(request["path"].startswith("_design/dicom/") for request in told["requests"])


def test_newest_first(archive):
    rows = archive.get("/studies").json()
    order = [(value(row, "00080020"), value(row, "00080030"), value(row, "0020000D")) for row in rows]
    assert order == sorted(order, reverse=True)


@pytest.mark.either_database
@pytest.mark.parametrize("query", ["PatientName=*", "PatientName=S*", "PatientID=P0*", "StudyInstanceUID=" + ",".join(
    f"1.2.826.0.1.{n}" for n in range(40)), "ModalitiesInStudy=CT", "PatientName=jo&fuzzymatching=true"])  # fmt: skip
def test_every_index_gives_the_newest_first(archive, query):
    rows = archive.get(f"/studies?{query}").json()
    order = [(value(row, "00080020"), value(row, "00080030"), value(row, "0020000D")) for row in rows]
    assert len(rows) > 3
    assert order == sorted(order, reverse=True)


def test_rows_of_a_study(archive):
    expected = next(iter(study_documents(7, 3, 4)))["dataset"]
    (row,) = archive.get(f"/studies?StudyInstanceUID={STUDY}").json()
    for tag in expected:
        assert row[tag] == expected[tag]
    assert (value(row, "00201206"), value(row, "00201208")) == (3, 12)
    for resource in ("series", "instances"):  # that of their study (decision 0051)
        (below,) = archive.get(f"/{resource}?StudyInstanceUID={STUDY}&limit=1").json()
        assert below["00081030"] == expected["00081030"]
    assert value(row, "00081190") == f"{archive.url}/studies/{STUDY}"


def test_only_what_the_tables_name(archive):
    (study,) = archive.get(f"/studies?StudyInstanceUID={STUDY}").json()
    assert set(study) == {"00080061", "00081030", *SCHEMAS["studies.schema.json"]["items"]["allOf"][1]["required"]}
    series = archive.get(f"/studies/{STUDY}/series").json()[0]
    required = set(SCHEMAS["series.schema.json"]["items"]["allOf"][1]["required"])
    assert "0020000D" in required
    assert set(series) == required | {"0008103E", "00400244", "00400275"}
    assert set(value(series, "00400275")) == {"00400009", "00401001"}
    instance = archive.get(f"/studies/{STUDY}/series/{SERIES}/instances").json()[0]
    required = set(SCHEMAS["instances.schema.json"]["items"]["allOf"][1]["required"])
    assert set(instance) == required | {"00083002", "00280010", "00280011", "00280100"}


def test_the_order_of_series_and_instances(archive):
    assert [value(row, "00200011") for row in archive.get(f"/studies/{STUDY}/series").json()] == [1, 2, 3]
    rows = archive.get(f"/studies/{STUDY}/instances").json()
    assert [(value(row, "00200011"), value(row, "00200013")) for row in rows] == [
        (series, instance) for series in (1, 2, 3) for instance in (1, 2, 3, 4)
    ]


@pytest.mark.either_database
@pytest.mark.parametrize(
    "path",
    [
        f"/studies/{STUDY}/series",
        f"/series?StudyInstanceUID={STUDY}",
        f"/studies/{STUDY}/instances",
        f"/studies/{STUDY}/series/{SERIES}/instances",
        f"/instances?SeriesInstanceUID={SERIES}",
        f"/instances?SOPInstanceUID={SERIES}.1",
    ],
)
@pytest.mark.parametrize("include", ["", "Rows", "all", "Modality"])
def test_rows_tell_the_uids_of_the_path(archive, path, include):
    """Their own UIDs and those of all parents: a row says what it is of wherever it is kept."""
    rows = archive.get(path + ("&" if "?" in path else "?") + f"includefield={include}").json()
    for row in rows:
        names = value(row, "00081190").removeprefix(f"{archive.url}/").split("/")
        tags = ("0020000D", "0020000E", "00080018")[: len(names) // 2]
        assert [row[tag] for tag in tags] == [{"vr": "UI", "Value": [uid]} for uid in names[1::2]]
    assert rows
    assert ("00080018" in rows[0]) == ("/instances" in path)


def test_urls_behind_a_proxy(archive):
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "pacs.example", "X-Forwarded-Prefix": "/a"}
    (row,) = archive.get(f"/studies/{STUDY}/series?limit=1", headers=headers).json()
    assert value(row, "00081190") == f"https://pacs.example/a/dicom-web/studies/{STUDY}/series/{STUDY}.1"


class TestIncludeField:
    def test_by_keyword_tag_and_repeated(self, archive):
        query = "includefield=StudyDescription,00100010&includefield=00081030"
        assert "00081030" in archive.get(f"/studies?limit=1&{query}").json()[0]

    def test_encoded_commas(self, archive):
        row = archive.get("/studies?limit=1&includefield=00081030%2C00080060").json()[0]
        assert "00081030" in row
        assert "00080060" not in row  # of the series

    def test_matched_attributes_are_shown(self, archive):
        assert all("00081030" in row for row in archive.get("/studies?StudyDescription=*thorax").json())

    def test_the_transfer_syntax(self, archive):
        """Some clients ask for (0002,0010), which no data set has: it answers as (0008,3002) does."""
        for path in (f"/studies/{STUDY}/series/{SERIES}/instances", f"/instances?StudyInstanceUID={STUDY}"):
            query = "&" if "?" in path else "?"
            plain = archive.get(path).json()
            for name in ("00020010", "TransferSyntaxUID"):
                rows = archive.get(f"{path}{query}includefield={name}").json()
                assert [{**row, "00020010": row["00083002"]} for row in plain] == rows
                assert list(rows[0]) == sorted(rows[0])
            syntax = value(plain[0], "00083002")
            assert archive.get(f"{path}{query}00020010={syntax}").json() == plain
            assert archive.get(f"{path}{query}00020010=1.2.3").json() == []
        assert not {"00020010", "00083002"} & set(archive.get("/studies?includefield=00020010").json()[0])

    def test_names_of_no_attribute_are_told(self, archive):
        answer = archive.get("/studies?limit=1&includefield=StudyDescription,NoSuchThing,00089999")
        assert "00081030" in answer.json()[0]
        assert "includefield=NoSuchThing, includefield=00089999" in answer.headers["Warning"]

    def test_sequence_paths(self, archive):
        path = "RequestAttributesSequence.RequestedProcedureDescription"
        row = archive.get(f"/studies/{STUDY}/series?includefield={path}").json()[0]
        assert list(value(row, "00400275")) == ["00321060", "00400009", "00401001"]  # in order, PS3.18 F.2.2
        whole = archive.get(f"/studies/{STUDY}/series?includefield=00400275").json()[0]
        assert value(whole, "00400275")["00321060"]["Value"] == ["Procedure"]

    def test_all(self, archive):
        assert "00081030" in archive.get("/studies?limit=1&includefield=all").json()[0]
        row = archive.get(f"/studies/{STUDY}/series/{SERIES}/instances?includefield=all&limit=1").json()[0]
        assert row["00180050"]["Value"] == [1.5]
        url = f"{archive.url}/studies/{STUDY}/series/{SERIES}/instances/{SERIES}.1/bulkdata/7FE00010"
        assert row["7FE00010"] == {"vr": "OW", "BulkDataURI": url}
        assert "00100010" not in row  # of the study

    def test_parents_by_name(self, archive):
        row = archive.get(f"/studies/{STUDY}/series?limit=1&includefield=PatientName").json()[0]
        assert "00100010" in row
        assert "00100020" not in row
        path = f"/studies/{STUDY}/series/{SERIES}/instances"
        row = archive.get(f"{path}?limit=1&includefield=Modality,PatientID").json()[0]
        assert {"00080060", "00100020"} <= set(row)
        assert not {"0008103E", "00100010"} & set(row)

    def test_private_with_creator(self, archive):
        row = archive.get(f"/studies/{STUDY}/series/{SERIES}/instances?limit=1&includefield=00091001").json()[0]
        assert (row["00090010"]["Value"], row["00091001"]["Value"]) == (["DICOUCH TEST"], ["Private 0"])


class TestWarnings:
    def test_unknown_parameters_are_named(self, archive):
        answer = archive.get("/studies?limit=1&NoSuchThing=1&Modality=CT&orderby=x")
        assert len(answer.json()) == 1
        warning = answer.headers["Warning"]
        assert warning.startswith("299 ")
        assert all(name in warning for name in ("NoSuchThing", "Modality", "orderby"))

    def test_empty_parameters(self, archive):
        answer = archive.get("/studies?&includefield=00081030&limit=1")
        assert (answer.status_code, len(answer.json())) == (200, 1)
        assert "Warning" not in answer.headers

    def test_a_header_cannot_be_injected(self, archive):
        answer = archive.get("/studies?limit=1&a%0d%0aX-Evil:%20yes=1")
        assert answer.status_code == 200
        assert "X-Evil" not in answer.headers

    def test_bad_numbers(self, archive):
        for query in ("limit=-1", "limit=x", "offset=1.5", "limit=", "offset=99999999999999999"):
            answer = archive.get(f"/studies?{query}")
            assert answer.status_code == 400
            assert query.partition("=")[0] in answer.json()["reason"]
        assert archive.get("/studies?limit=2147483648").status_code == 200
        assert archive.get("/studies?limit=0").json() == []


def test_paths_and_keys_that_contradict_each_other(archive):
    for path in (f"/studies/{STUDY}/series?StudyInstanceUID=1.2", f"/studies/{STUDY}/instances?StudyInstanceUID=1.2",
                 f"/studies/{STUDY}/series/{SERIES}/instances?SeriesInstanceUID=1.2",
                 f"/studies/{STUDY}/series?PatientID=nobody", f"/studies/{STUDY}/series/1.2/instances",
                 "/studies/1.2/series", "/studies/1.2/instances"):  # fmt: skip
        answer = archive.get(path)
        assert (answer.status_code, answer.json()) == (200, []), path
    own = f"StudyInstanceUID={STUDY}&SeriesInstanceUID={SERIES}"
    assert len(archive.get(f"/studies/{STUDY}/series/{SERIES}/instances?{own}").json()) == 4


def test_bad_uids_in_the_query(archive):
    for resource in ("studies", "series", "instances", f"studies/{STUDY}/series"):
        answer = archive.get(f"/{resource}?StudyInstanceUID=abc!")
        assert answer.status_code == 400
        assert "StudyInstanceUID: 'abc!' is not a UID" in answer.json()["reason"]


def test_bad_uids_in_the_path(archive):
    answer = archive.get("/studies/" + "1" * 65 + "/series")
    assert answer.status_code == 400
    assert "65 characters" in answer.json()["reason"]


def test_the_client_of_python(archive):
    client = DICOMwebClient(archive.url)
    assert len(client.search_for_studies(limit=25, get_remaining=True)) == 60
    assert len(client.search_for_series(STUDY)) == 3
    assert len(client.search_for_instances(STUDY, SERIES)) == 4
    found = client.search_for_studies(search_filters={"PatientID": "P000003"}, fields=["StudyDescription"])
    assert {row["0020000D"]["Value"][0] for row in found} == {"1.2.826.0.1.6", STUDY}
    assert client.search_for_studies(search_filters={"PatientID": "nobody"}) == []


def test_headers_without_instances_are_not_listed(archive):
    study, series, _instance = study_documents(1000, 1, 1)
    study["dataset"]["00080020"]["Value"] = ["20991231"]
    write(archive.database, [study, series])
    first = archive.get("/studies?limit=1").json()
    assert [value(row, "00080020") for row in first] != ["20991231"]
    assert len(first) == 1
    assert archive.get("/studies/1.2.826.0.1.1000/series").json() == []
    assert len(archive.get("/series?limit=2").json()) == 2


def test_uids_decide_what_is_read(archive):
    """A search by the UIDs of one series reads what is in it, not every study of the archive."""
    for query, number in ((f"SeriesInstanceUID={SERIES}", 4), (f"SeriesInstanceUID={SERIES},{SERIES}9,1.2.3", 4)):
        assert archive.get(f"/instances/count?{query}").json() == {"count": number}
        rows = archive.get(f"/instances?{query}").json()
        assert [value(row, "0020000E") for row in rows] == [SERIES] * number
        steps = archive.get(f"/instances?{query}&explain").json()["requests"]
        assert sum(step.get("scanned", 0) for step in steps) <= 10, steps
    other = f"SeriesInstanceUID={SERIES}&StudyInstanceUID={STUDY}9"
    assert archive.get(f"/instances?{other}").json() == []
    assert archive.get(f"/instances?SeriesInstanceUID={SERIES}&PatientID=nobody").json() == []
    # The order of an answer stays that of the studies, newest first.
    of_all = [row["0020000E"]["Value"][0] for row in archive.get("/instances?limit=1000").json()]
    three = [f"1.2.826.0.1.{number}.1" for number in (3, 40, 21)]
    some = archive.get(f"/instances?SeriesInstanceUID={','.join(three)}&limit=100").json()
    assert [value(row, "0020000E") for row in some] == [uid for uid in of_all if uid in three]
    page = archive.get(f"/instances?SeriesInstanceUID={','.join(three)}&limit=5&offset=3").json()
    assert page == some[3:8]
