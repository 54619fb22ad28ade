"""Hostile searches: a 400 or a correct answer, never a 5xx, never seconds (PS3.18 8.3)."""

import time
from urllib.parse import quote

import pytest
import requests

# What depends on the database is tested on both by test_qido_matching.py and test_store_and_retrieve.py.
pytestmark = pytest.mark.one_database("couchdb")

SLOW = 10.0  # seconds, on a loaded machine; the worst case of a backtracking matcher is hours
TEXTS = {
    "regular expression": "(a+)+$^.*[x-",
    "stars": "*" * 1000,
    "stars and letters": "*a" * 500 + "b",
    "question marks": "?" * 1000,
    "prototype": "__proto__",
    "constructor": "constructor",
    "script": "<script>alert(1)</script>",
    "sql": "'; DROP TABLE studies; --",
    "javascript": "'}); emit(null, null); ({'",
    "json": '{"$gt": ""}',
    "path": "../../_all_dbs",
    "percent": "%25%%",
    "quotes": '"\'`\\"',
    "planes": "\U0001f600\U00020000\U000e0001\uffff\ufffe\ud7ff\ue000",
    "combining": "e" + "\u0301" * 200,
    "right to left": "\u202e\u0627\u0644",
    "noncharacters": "\ufdd0\U0010ffff",
    "high key": "\ufff0",
    "long": "x" * 4000,
}
KEYS = [
    *["PatientName", "PatientID", "StudyDescription", "AccessionNumber", "ModalitiesInStudy", "00091001", "StudyDate"],
    *["StudyTime", "StudyID", "Modality", "SeriesNumber", "RequestAttributesSequence.00400009", "StudyInstanceUID"],
    *["SOPInstanceUID", "includefield", "limit", "offset", "fuzzymatching", "emptyvaluematching", "accept", "charset"],
    "NoSuchKeyword",
]
RESOURCES = ["/studies", "/series", "/instances", "/patients"]
BROKEN = ["%ff", "%c3%28", "%ed%a0%80", "%f4%90%80%80", "%00", "%", "%zz", "+", "&&&=&=&", ";", "%26%3d"]


def ask(server, path, **options):
    started = time.perf_counter()
    answer = server.get(path, **options)
    assert answer.status_code in (200, 400, 406, 414), (answer.status_code, answer.text)
    assert time.perf_counter() - started < SLOW
    if answer.status_code == 200:
        assert isinstance(answer.json(), list)
    else:
        assert answer.json()["reason"]
        assert "Traceback" not in answer.text
    return answer


@pytest.mark.parametrize("text", TEXTS.values(), ids=list(TEXTS))
@pytest.mark.parametrize("resource", RESOURCES)
def test_texts_as_values(archive, resource, text, pytestconfig):
    """Every text with every key, each pair of one of the resources; of all with `--all`."""
    for key in KEYS if pytestconfig.getoption("--all") else KEYS[RESOURCES.index(resource) :: len(RESOURCES)]:
        ask(archive, f"{resource}?limit=5&{key}={quote(text)}")


@pytest.mark.parametrize("text", TEXTS.values(), ids=list(TEXTS))
def test_texts_as_names_and_uids(archive, text):
    answer = ask(archive, f"/studies?limit=1&{quote(text)}=1&includefield={quote(text)}")
    assert answer.status_code == 200
    ask(archive, f"/studies?limit=1&PatientName={quote(text)}&fuzzymatching=true")
    ask(archive, f"/studies/{quote(text.replace('/', ''), safe='')[:2000]}/series")


@pytest.mark.parametrize("byte", [*range(32), 127])
def test_control_characters(archive, byte):
    for key in ("PatientName", "PatientID", "00091001", "StudyDate"):
        answer = ask(archive, f"/studies?{key}=a%{byte:02x}b")
        assert answer.status_code == 400
        assert key in answer.json()["reason"]


@pytest.mark.parametrize("raw", BROKEN)
def test_broken_encodings(archive, raw):
    for query in (f"PatientName={raw}", f"{raw}=1", raw):
        ask(archive, f"/studies?limit=1&{query}")


def test_a_hundred_parameters(archive):
    same = "&".join(f"PatientName=a{n}" for n in range(100))
    assert ask(archive, f"/studies?{same}").status_code == 200
    different = "&".join(f"{n:08X}=1" for n in range(0x00091100, 0x00091164))
    assert ask(archive, f"/studies?limit=1&{different}").status_code == 200
    assert ask(archive, "/studies?" + "&".join(["PatientID=1"] * 501)).status_code == 400


@pytest.mark.parametrize("size", [8_000, 20_000, 100_000, 200_000])
def test_long_queries(archive, size):
    def status(query):
        return ask(archive, f"/studies?limit=1&{query}").status_code

    fits = size <= 100_000
    for query in ("PatientName=" + "x" * size, "x" * size, "includefield=" + "PatientName," * (size // 12)):
        assert status(query) == (200 if fits else 414)
    uids = ",".join(f"1.2.826.0.1.{n}" for n in range(size // 16))
    assert status(f"StudyInstanceUID={uids}") == (200 if fits else 414)


def test_a_warning_says_all_of_its_sentence(archive):
    path = ".".join(["ReferencedStudySequence"] * 5)
    keys = "&".join(f"{n:08X}.{path}=1" for n in range(0x00091100, 0x00091100 + 400))
    answer = ask(archive, f"/instances?limit=1&{keys}")
    assert "no index that serves this search" in answer.headers["Warning"]


def test_a_list_of_many_uids_finds_what_is_there(archive):
    uids = ",".join(f"1.2.826.0.1.{n}" for n in range(5_000))
    assert len(archive.get(f"/studies?StudyInstanceUID={uids}").json()) == 60


def test_patterns_that_explode_elsewhere(archive):
    started = time.perf_counter()
    for pattern in ("*a" * 30 + "b", "*?" * 200, "a*" * 500, "?*" * 500, "*" * 2000 + "x" * 2000):
        ask(archive, f"/studies?StudyDescription={pattern}")
    assert time.perf_counter() - started < 2 * SLOW


def test_methods(archive):
    for method in ("POST", "PUT", "PATCH"):
        answer = requests.request(method, archive.url + "/series?PatientID=1", timeout=30)
        assert answer.status_code in (404, 405)


def test_errors_can_be_read_by_viewers(archive):
    answer = archive.get("/studies?limit=x", headers={"Origin": "http://localhost:3000"})
    assert answer.status_code == 400
    assert answer.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
    assert answer.headers["Content-Type"] == "application/json"
