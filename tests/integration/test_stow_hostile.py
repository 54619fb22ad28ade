"""Hostile UIDs and files: refused with a reason, or stored and retrievable; the others of the request are stored."""

import time
from urllib.parse import quote

import pytest

from tests.awkward_files import HOSTILE, LENGTHS, proper
from tests.integration.test_stow_losses import FAILED, OTHER, items, unique
from tests.unit.made_part10 import element

# What depends on the database is tested on both by test_qido_matching.py and test_store_and_retrieve.py.
pytestmark = pytest.mark.one_database("embedded")

REFUSED = [
    "_design/x",
    "..",
    ".",
    "../../_all_dbs",
    "1%2F2",
    "%2e%2e",
    "1:2",
    "1" * 65,
    "1" * 10_000,
    "1.2 3",
    "1.2\x003",
    "1.2\x1b3",
    "1.2\n3",
    "1.é",
    "１.２",
    "1/2",
    "1?a=b",
    "1#a",
    '1"2',
    "1<2>",
    "1{2}",
    "1|2",
    "1^2",
    "1`2",
    "1[2]",
    "_local",
    "count",
]
KEPT = [
    "1.2.ABC",
    "study.1",
    "a+b",
    "a&b=c",
    "a'b(c)",
    "a;b",
    "a,b",
    "~a",
    "$a",
    "!a*",
    "a@b",
    "constructor",
    "toString",
    "hasOwnProperty",
    "length",
    "a__proto__",
    "-1",
    "null",
    "true",
    "0",
    "1.2.3.",
    ".1",
    "1" * 64,
]


@pytest.mark.parametrize("name", ["study", "series", "instance"])
def test_uids_that_cannot_name_anything(server, name):
    good = unique()
    contents = [proper(element(0x00100010, "PN", "Doe"), **{name: uid}) for uid in REFUSED]
    answer = server.store(good, *contents)
    assert answer.status_code == 202
    assert len(items(answer)) == 1
    refused = items(answer, FAILED) + items(answer, OTHER)
    assert [item["00081197"]["Value"][0] for item in refused] == [0x0106] * len(REFUSED)


@pytest.mark.parametrize("name", ["study", "series", "instance"])
def test_uids_that_are_kept_can_be_retrieved(server, name):
    studies = set()
    for uid in KEPT:
        content = proper(element(0x00100010, "PN", "Doe"), **{name: uid})
        answer = server.store(content)
        assert answer.status_code in (200, 202), (uid, answer.text)
        (item,) = items(answer)
        path = item["00081190"]["Value"][0].removeprefix(server.url)
        assert f"/{uid}" in path
        for reached in (path, quote(path)):
            got = server.get(reached, headers={"Accept": "application/dicom; transfer-syntax=*"})
            assert got.status_code == 200, (uid, got.text)
            assert got.content == content, uid
        (told,) = server.get(f"{quote(path)}/metadata").json()
        assert told["00080018"]["Value"][0] == path.rpartition("/")[2]
        series = quote(path.rpartition("/instances/")[0])
        for listing in (series + "/instances", series.rpartition("/series/")[0] + "/series"):
            rows = server.get(listing)
            assert rows.status_code == 200, (uid, rows.text)
            assert len(rows.json()) >= 1, (uid, listing)
        studies.add(path.split("/")[2])
    assert studies <= {row["0020000D"]["Value"][0] for row in server.get("/studies?limit=1000").json()}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_and_the_others_are_stored(server, name):
    began = time.monotonic()
    answer = server.store(unique(), HOSTILE[name], unique())
    assert time.monotonic() - began < 60
    assert answer.status_code == 202
    assert len(items(answer)) == 2
    (failure,) = items(answer, FAILED) + items(answer, OTHER)
    assert failure["00081197"]["Value"][0] in (0xC000, 0xA700)
    assert failure["00000902"]["Value"][0]


def test_lengths_beyond_the_file(server):
    answer = server.store(unique(), *LENGTHS.values())
    assert answer.status_code == 202
    assert len(items(answer)) == 1 + len(LENGTHS)
    for item, content in zip(items(answer)[1:], LENGTHS.values(), strict=True):
        path = item["00081190"]["Value"][0].removeprefix(server.url)
        got = server.get(path, headers={"Accept": "application/dicom; transfer-syntax=*"})
        assert got.content == content
        assert server.get(f"{path}/metadata").status_code == 200
        frame = server.get(
            f"{path}/frames/1",
            headers={"Accept": "multipart/related; type=application/octet-stream; transfer-syntax=*"},
        )
        assert frame.status_code < 500, frame.text
