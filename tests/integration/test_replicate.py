"""`dicouch replicate`: what goes, what does not, and bytes that stay in a folder of the first server."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
import requests

from dicouch.scripts import replicate
from dicouch.scripts.databases import embedded
from tests.dimse.conftest import until
from tests.made import instance
from tests.server import push, serve

CT = [instance("6.1", "6.1.1", f"6.1.1.{number}", Modality="CT", PatientID="P1") for number in (1, 2)]
MR = instance("6.1", "6.1.2", "6.1.2.1", Modality="MR", PatientID="P1")
OTHER = instance("6.2", "6.2.1", "6.2.1.1", Modality="MR", PatientID="P2")
STORED = {"Accept": "application/dicom; transfer-syntax=*"}


def made(root: str) -> str:
    url = f"{root}/second-{uuid.uuid4().hex[:8]}"
    requests.put(url, timeout=30).raise_for_status()
    push(*url.rsplit("/", 1))
    return url


def ids(database: str) -> set[str]:
    rows = requests.get(f"{database}/_all_docs", timeout=30).json()["rows"]
    return {row["id"] for row in rows if ":" in row["id"]}


def file_of(server, path: str) -> requests.Response:
    return server.get(path, headers=STORED)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return tmp_path_factory.mktemp("first"), tmp_path_factory.mktemp("second")


@pytest.fixture(scope="module")
def first(fresh_database, folders, tmp_path_factory):
    """Give a server that keeps bytes in a folder, with two studies."""
    with serve(fresh_database, tmp_path_factory.mktemp("log") / "first.log", BYTES=f"folder:{folders[0]}") as running:
        assert running.store(*CT, MR, OTHER).status_code == 200
        yield running


def test_one_study_with_bytes_that_are_fetched(first, folders, database, tmp_path, capsys):
    target = made(database.url)
    # Nobody would have the bytes: neither attachments nor a server that fetches.
    assert replicate.main([first.database, target]) == 2
    told = capsys.readouterr().err
    assert "BYTES_FROM" in told
    assert "move-bytes" in told
    change = {"tag": "PatientName", "value": "Roe^Jane", "by": "Ann"}
    assert requests.post(f"{first.url}/studies/6.1/conflicts", json=change, timeout=30).status_code == 200
    settings = {"BYTES": f"folder:{folders[1]}", "BYTES_FROM": first.url, "WEB_CONCURRENCY": "1"}
    with serve(target, tmp_path / "second.log", **settings) as second:
        until(lambda: requests.get(f"{target}/_local/bytes-from", timeout=10).ok)
        assert replicate.main([first.database, target, "--study", "6.1"]) == 0
        assert "completed" in capsys.readouterr().out
        assert ids(target) == {one for one in ids(first.database) if one.startswith("6.1:")}
        check_answers(first, second)
        path = "/studies/6.1/series/6.1.2/instances/6.1.2.1"
        # The raw bytes are there now, under the name that the document has, and given to nobody who would ask back.
        kept = [one for one in files(folders[1]) if one.read_bytes() == MR and one.suffix != ".part"][0]
        assert kept.relative_to(folders[1]) in {one.relative_to(folders[0]) for one in files(folders[0])}
        assert second.get(path, headers={"Dicouch-Stored": "yes"}).content == MR
        check_continuous(first, second, target, folders, capsys)


def files(folder: Path) -> list[Path]:
    return [one for one in folder.rglob("*") if one.is_file()]


def check_answers(first, second) -> None:
    """Compare searches, metadata, corrected files and frames of the study 6.1."""
    for path in ("/studies/6.1/series", "/studies/6.1/instances", "/studies/6.1/metadata", "/studies?PatientName=Roe*"):
        here, there = ([*server.get(path).json()] for server in (first, second))
        texts = [str(one).replace(second.url, first.url) for one in there]
        assert texts == [str(one) for one in here]
        assert here
    for path in ("/studies/6.1/series/6.1.2/instances/6.1.2.1", "/studies/6.1/series/6.1.1/instances/6.1.1.1/frames/1"):
        headers = STORED if path.endswith(".2.1") else {}
        answers = [server.get(path, headers=headers) for server in (first, second)]
        assert [answer.status_code for answer in answers] == [200, 200]
        assert b"Roe^Jane" in answers[1].content or "frames" in path
        assert len(answers[0].content) == len(answers[1].content)


def check_continuous(first, second, target, folders, capsys) -> None:
    """Store, delete and store again on the first, while a replication goes on; then end it."""
    assert replicate.main([first.database, target, "--continuous"]) == 0
    path = "/studies/6.2/series/6.2.1/instances/6.2.1.1"
    until(lambda: file_of(second, path).content == OTHER)
    assert [one for one in files(folders[1]) if one.read_bytes() == OTHER]
    assert requests.delete(f"{first.url}/studies/6.2", timeout=30).status_code == 204
    until(lambda: not second.get("/studies?PatientID=P2").json())
    until(lambda: file_of(second, path).status_code == 404)  # the instance is deleted behind the study's header
    until(lambda: not [one for one in files(folders[1]) if one.read_bytes() == OTHER])
    assert first.store(OTHER).status_code == 200
    until(lambda: file_of(second, path).content == OTHER)
    until(lambda: len(second.get("/studies?PatientID=P2").json()) == 1)
    capsys.readouterr()
    assert replicate.main([first.database, target, "--status"]) == 0
    assert "running" in capsys.readouterr().out
    assert replicate.main([first.database, target, "--cancel"]) == 0
    assert replicate.main([first.database, target, "--status"]) == 0
    assert "no replication" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (["--patient", "P2"], {"6.2:study", "6.2:6.2.1", "6.2:6.2.1:6.2.1.1"}),
        (["--modality", "CT"], {"6.1:study", "6.1:6.1.1", "6.1:6.1.1:6.1.1.1", "6.1:6.1.1:6.1.1.2"}),
        (["--since", "2020-01-01", "--push"], None),
    ],
)
def test_what_belongs_together(first, database, chosen, expected):
    """Headers and instances; design documents of the first are not among them."""
    target = made(database.url)
    design = requests.get(f"{target}/_design/dicom", timeout=30).json()["_rev"]
    assert replicate.main([first.database, target, "--shared-bytes", *chosen]) == 0
    assert ids(target) == (ids(first.database) if expected is None else expected)
    assert requests.get(f"{target}/_design/dicom", timeout=30).json()["_rev"] == design
    if expected is None:  # the same again takes what is new
        assert first.store(instance("6.3", "6.3.1", "6.3.1.1")).status_code == 200
        assert replicate.main([first.database, target, "--shared-bytes", *chosen]) == 0
        assert ids(target) == ids(first.database)
        assert requests.delete(f"{first.url}/studies/6.3", timeout=30).status_code == 204
    requests.delete(target, timeout=30)


@pytest.mark.one_database("couchdb")
def test_between_the_two_databases(first, tmp_path, database):
    """Apache CouchDB and the embedded one replicate each way, with the replicator of either."""
    if database.name.startswith("Embedded"):
        pytest.skip("the other is Apache CouchDB")
    with embedded(tmp_path, memory=True) as other:
        there = made(other.url)
        assert replicate.main([first.database, there, "--shared-bytes", "--study", "6.1"]) == 0
        assert ids(there) == {one for one in ids(first.database) if one.startswith("6.1:")}
        for way in ([], ["--push"]):
            back = made(database.url)
            assert replicate.main([there, back, "--shared-bytes", *way]) == 0
            assert ids(back) == ids(there)
            requests.delete(back, timeout=30)
