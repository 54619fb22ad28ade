"""`dicouch import-chronicle` between databases: both generations, stopped and followed, metadata, pictures, views."""

from __future__ import annotations

import base64
import csv
import json
import os
import re
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import requests
from PIL import Image
from pydicom.data import get_testdata_file

from dicouch.couch.client import Couch
from dicouch.scripts import check_bytes, cli, progress
from dicouch.scripts.chronicle import bring
from dicouch.scripts.chronicle import main as command
from dicouch.scripts.chronicle.source import Source
from dicouch.scripts.databases import Database
from dicouch.store.places import Bytes
from tests.files import identifiers
from tests.made import instance
from tests.made_chronicle import attach, chronicle_document, dcmjs_datasets, put, views
from tests.server import Server

# What a chronicle has the files of, and what only the data sets.
FILES = {name: Path(get_testdata_file(name)) for name in ("CT_small.dcm", "MR_small.dcm", "reportsi.dcm")}
BARE = {name: Path(get_testdata_file(name)) for name in ("rtplan.dcm", "liver.dcm")}
SERVED = {name: Path(get_testdata_file(name)) for name in ("examples_palette.dcm", "examples_ybr_color.dcm")}
MANY = 24


@pytest.fixture(scope="module")
def make_source(database: Database) -> Iterator[Callable[[], str]]:
    """Give what makes an empty database to bring in."""
    made = []

    def make() -> str:
        made.append(f"{database.url}/source-{uuid.uuid4().hex}")
        requests.put(made[-1], timeout=30).raise_for_status()
        return made[-1]

    yield make
    for url in made:
        requests.delete(url, timeout=30)


@pytest.fixture(autouse=True)
def settings(server: Server, tmp_path, monkeypatch) -> None:
    """Have the command work with the server's database."""
    root, _, name = server.database.rpartition("/")
    for variable, value in (("COUCHDB_URL", root), ("COUCHDB_DATABASE", name), ("DATA_DIR", str(tmp_path / "data"))):
        monkeypatch.setenv(variable, value)


def run(server: Server, source: str, *options: str) -> int:
    return command.main([f"FROM={source}", "--url", server.url, *options])


def rows_of(report: Path) -> dict[str, list[str]]:
    with report.open(newline="") as file:
        return {row["document"]: [row["attachment"], row["result"], row["reason"]] for row in csv.DictReader(file)}


def path_of(file: Path) -> str:
    return "/studies/{}/series/{}/instances/{}".format(*identifiers(file))


def id_of(file: Path) -> str:
    return ":".join(identifiers(file))


@pytest.fixture(scope="module")
def chronicle(make_source) -> str:
    """Give a database as SlicerChronicle leaves one, with what goes wrong there."""
    source = make_source()
    views(source)
    for name, path in FILES.items():
        document = chronicle_document(path)
        revision = put(source, document)
        revision = attach(source, document["_id"], revision, b"a picture", "image32.png", "image/png")
        # record.py has the type guessed; CouchDB compresses what it takes for text.
        kind = "text/plain" if name == "MR_small.dcm" else "application/octet-stream"
        attach(source, document["_id"], revision, path.read_bytes(), kind=kind)
    for path in BARE.values():
        put(source, chronicle_document(path))
    broken = chronicle_document(Path(get_testdata_file("JPGExtended.dcm")))
    attach(source, broken["_id"], put(source, broken), b"this is no DICOM file at all")
    image = identifiers(FILES["CT_small.dcm"])
    uids = {"0020000D": image[0], "0020000E": "1.2.826.0.99", "00080018": "1.2.826.0.99.1"}
    dataset = {tag: {"vr": "UI", "Value": value} for tag, value in uids.items()}
    put(source, {"_id": "points", "label": "SM", "instancePoints": {image[2]: [[1, 2]]}, "dataset": dataset})
    put(source, {"_id": "notes", "instancePoints": {image[2]: []}})
    gone = put(source, {"_id": "gone", "dataset": {}})
    requests.delete(f"{source}/gone", params={"rev": gone}, timeout=30).raise_for_status()
    return source


def test_a_chronicle_comes_with_its_files_and_a_report(server, chronicle, tmp_path, capsys):
    report = tmp_path / "report.csv"
    assert run(server, chronicle, "--report", str(report)) == 1
    for path in FILES.values():
        assert server.get(path_of(path), headers={"Accept": "application/dicom"}).content == path.read_bytes()
    told = rows_of(report)
    assert told.keys() == {"notes", "points", *(identifiers(path)[2] for path in BARE.values())} | {
        identifiers(Path(get_testdata_file("JPGExtended.dcm")))[2]
    }
    assert told["notes"] == ["", "no attachment", "no DICOM file is attached"]
    linked = BARE["rtplan.dcm"]
    assert told[identifiers(linked)[2]] == ["", "no attachment", f"no DICOM file is attached; it was made of {linked}"]
    assert [row[:2] for row in told.values() if row[0]] == [["object.dcm", "no DICOM"]]
    said = capsys.readouterr().out
    assert said.startswith("stored               3\n")
    assert "no attachment        4   (documents without a file)\n" in said
    assert "no DICOM             1" in said
    # A second time nothing is sent that is not there.
    assert run(server, chronicle) == 1
    assert capsys.readouterr().out.startswith("stored               0\nalready there        3\n")


@pytest.fixture(scope="module")
def whole(server, chronicle, tmp_path_factory) -> Path:
    """Bring in the chronicle with the metadata of what has no file; give the report."""
    report = tmp_path_factory.mktemp("report") / "kept.csv"
    root, _, name = server.database.rpartition("/")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUCHDB_URL", root)
        patch.setenv("COUCHDB_DATABASE", name)
        patch.setenv("DATA_DIR", str(report.parent))
        assert run(server, chronicle, "--metadata-only", "--report", str(report)) == 1
    return report


def test_metadata_alone_are_found_and_have_no_bytes(server, whole):
    """PS3.18 10.6, 10.4; PS3.3 C.4.23.1.1: UNAVAILABLE. What is asked of the file is answered 404 (8.5)."""
    told = rows_of(whole)
    assert told["notes"] == ["", "not kept", "it has no data set, so it is no instance"]
    assert told["points"][1] == "metadata only"
    study, series, sop = identifiers(BARE["rtplan.dcm"])
    place = path_of(BARE["rtplan.dcm"])
    (row,) = server.get(f"/instances?SOPInstanceUID={sop}").json()
    assert row["00080056"] == {"vr": "CS", "Value": ["UNAVAILABLE"]}
    assert "00083002" not in row
    assert row["00100020"] == {"vr": "LO", "Value": ["id00001"]}
    (row,) = server.get(f"/studies?StudyInstanceUID={study}&PatientName=last*").json()
    assert (row["00080056"]["Value"], row["00201208"]["Value"]) == (["UNAVAILABLE"], [1])
    (metadata,) = server.get(f"{place}/metadata").json()
    assert metadata["300A0002"] == {"vr": "SH", "Value": ["Plan1"]}
    for path in (place, f"{place}/frames/1", f"{place}/rendered", f"{place}/thumbnail", f"{place}/bulkdata/7FE00010",
                 f"/studies/{study}", f"/studies/{study}/series/{series}", f"/studies/{study}/thumbnail",
                 f"/studies/{study}/rendered", f"/studies/{study}/bulkdata", f"{place}/pixeldata"):  # fmt: skip
        for accept in ("*/*", 'multipart/related; type="application/dicom"; transfer-syntax=*', "application/zip"):
            answer = server.get(path, headers={"Accept": accept})
            assert answer.status_code in (404, 406), (path, accept, answer.status_code)
            assert answer.json()["reason"], path
            if accept == "*/*" and "bulkdata" not in path and "pixeldata" not in path:
                assert answer.status_code == 404, (path, answer.text)
                assert "only the metadata are here" in answer.json()["reason"], (path, answer.text)
    uri = server.url.removesuffix("/dicom-web")
    query = {"requestType": "WADO", "studyUID": study, "seriesUID": series, "objectUID": sop}
    answer = requests.get(uri, params={**query, "contentType": "application/dicom"}, timeout=30)
    assert (answer.status_code, "only the metadata" in answer.text) == (404, True)
    # Of a study that has both, the files that are there come, and that one is missing is told (Table 10.4.3-1).
    answer = server.get(f"/studies/{identifiers(FILES['CT_small.dcm'])[0]}", headers={"Accept": "multipart/related"})
    assert (answer.status_code, "the files of 1 instances" in answer.headers["Warning"]) == (206, True)
    assert FILES["CT_small.dcm"].read_bytes() in answer.content


CONTEXT, SERIES, REFERENCES = ("context", "seriesInstances", "instanceReferences")


def view(database: str, name: str, *, design: str, **params) -> list[dict]:
    query = {key: json.dumps(value) for key, value in params.items()}
    answer = requests.get(f"{database}/_design/{design}/_view/{name}", params=query, timeout=120)
    answer.raise_for_status()
    return answer.json()["rows"]


def test_queries_of_chronicle_get_the_rows_that_a_chronicle_gives(server, chronicle, whole):
    """Those of its site (`chronicle.root`, `chronicle.series`) and of the Slicer module, over both databases."""

    def both(name: str, **params) -> list[dict]:
        theirs = view(chronicle, name, design="instances", **params)
        ours = view(server.database, name, design="chronicle", **params)
        assert [(row["key"], row["value"]) for row in ours] == [(row["key"], row["value"]) for row in theirs]
        # A row's document is the instance's.
        there = {f"{row['id'].rpartition(':')[2]}" for row in ours if row.get("id")}
        assert there == {row["id"].replace("points", "1.2.826.0.99.1") for row in theirs if row.get("id")}
        return ours

    assert view(server.database, CONTEXT, design="chronicle")[0]["value"] == 7
    for level in (1, 2, 3, 4):
        assert both(CONTEXT, reduce=True, group_level=level)
    both(CONTEXT, reduce=True)
    both(CONTEXT, reduce=False)
    both(CONTEXT, reduce=True, group=True, descending=True, limit=3)
    for row in both(CONTEXT, reduce=True, group_level=2):
        # SlicerChronicle asks so for the series of a study, and for those of a patient.
        for key in (row["key"], row["key"][:1]):
            assert both(CONTEXT, reduce=True, group_level=3, startkey=key, endkey=[*key, {}])
    series = [row["key"] for row in both(SERIES, reduce=True, group=True)]
    assert len(series) == 7
    for key in series:
        (row,) = both(SERIES, key=key, reduce=False)
        (ours,) = view(server.database, SERIES, design="chronicle", key=key, reduce=False, include_docs=True)
        assert ours["doc"]["dataset"]["00080018"]["Value"] == [row["value"][1]]
    image = identifiers(FILES["CT_small.dcm"])[2]
    (row,) = view(server.database, REFERENCES, design="chronicle", key=image, reduce=False)
    assert row["id"] == row["value"] == f"{identifiers(FILES['CT_small.dcm'])[0]}:1.2.826.0.99:1.2.826.0.99.1"
    assert server.document(row["id"])["source"]["label"] == "SM"
    theirs = view(chronicle, REFERENCES, design="instances", key=image, reduce=True, group=True)
    assert [one["value"] for one in theirs] == [2]  # with the points that are no instance
    assert view(server.database, REFERENCES, design="chronicle", key=image, group=True)[0]["value"] == 1


def test_files_that_come_later_take_the_place_of_their_metadata(server, chronicle, whole, capsys):
    path = BARE["liver.dcm"]
    before = server.document(id_of(path))
    assert before["file"]["store"] == "none"
    # Metadata never take the place of a file, nor are the same written twice.
    assert run(server, chronicle, "--metadata-only") == 1
    assert server.document(id_of(path))["_rev"] == before["_rev"]
    assert server.document(id_of(FILES["CT_small.dcm"]))["file"]["store"] == "attachment"
    answer = server.store(path.read_bytes())
    assert answer.status_code == 200, answer.text
    assert "00081196" not in answer.json()["00081199"]["Value"][0]
    after = server.document(id_of(path))
    assert (after["file"]["store"], "source" in after) == ("attachment", False)
    assert server.get(path_of(path), headers={"Accept": "application/dicom"}).content == path.read_bytes()
    (row,) = server.get(f"/instances?SOPInstanceUID={identifiers(path)[2]}").json()
    assert row["00080056"]["Value"] == ["ONLINE"]
    assert run(server, chronicle, "--metadata-only") == 1
    assert server.document(id_of(path))["_rev"] == after["_rev"]
    couch = Couch(*server.database.rsplit("/", 1))
    assert check_bytes.check_all(couch, Bytes(couch, "attachment"), [], digests=True)[1] == 0


def test_metadata_alone_are_deleted_as_any_instance(server, whole):
    study = identifiers(BARE["rtplan.dcm"])[0]
    assert requests.delete(f"{server.url}/studies/{study}", timeout=30).status_code == 204
    assert server.get(f"/studies?StudyInstanceUID={study}").json() == []
    assert requests.get(f"{server.database}/{study}:study", timeout=30).status_code == 404


@pytest.fixture(scope="module")
def dicomweb(make_source) -> str:
    """Give a database as dicomweb-server leaves one: a file, one whose type nobody said, and one that it linked."""
    source = make_source()
    paths = [*SERVED.values(), BARE["rtplan.dcm"]]
    for path, dataset in zip(paths, dcmjs_datasets(*paths), strict=True):
        document = {"_id": dataset["00080018"]["Value"][0], "dataset": dataset, "md5hash": "0"}
        if path in SERVED.values():
            attach(source, document["_id"], put(source, document), path.read_bytes())
        else:
            put(source, {**document, "filePath": "/linked/rtplan.dcm"})
    return source


def test_dicomweb_server_comes_with_pictures(server, dicomweb, tmp_path, capsys):
    """Names, type and widths are those of SlicerChronicle; a picture is beside the row's document, `../<id>/…`."""
    path = SERVED["examples_palette.dcm"]
    assert run(server, dicomweb) == 1
    before, tag = server.document(id_of(path)), server.get(path_of(path)).headers["ETag"]
    metadata = server.get(f"{path_of(path)}/metadata").json()
    report = tmp_path / "report.csv"
    assert run(server, dicomweb, "--thumbnails", "--metadata-only", "--report", str(report)) == 0
    document = server.document(id_of(path))
    assert int(document["_rev"].partition("-")[0]) == int(before["_rev"].partition("-")[0]) + 1
    assert sorted(document["_attachments"]) == ["image128.png", "image256.png", "image32.png", "image512.png",
                                                "image64.png", "object.dcm"]  # fmt: skip
    (row,) = view(server.database, SERIES, design="chronicle", key=identifiers(path)[1], reduce=False)
    for width in (32, 64, 128, 256, 512):
        answer = requests.get(f"{server.database}/{row['id']}/image{width}.png", timeout=30)
        assert answer.headers["Content-Type"] == "image/png"
        rows, columns = (document["dataset"][tag]["Value"][0] for tag in ("00280010", "00280011"))
        assert Image.open(BytesIO(answer.content)).size == (width, int(width * rows / columns))
    # The instance is what it was: its validator, its metadata, its bytes.
    assert document["_attachments"]["object.dcm"]["digest"] == before["_attachments"]["object.dcm"]["digest"]
    assert server.get(path_of(path)).headers["ETag"] == tag
    assert server.get(f"{path_of(path)}/metadata").json() == metadata
    assert server.get(path_of(path), headers={"Accept": "application/dicom"}).content == path.read_bytes()
    couch = Couch(*server.database.rsplit("/", 1))
    assert check_bytes.check_all(couch, Bytes(couch, "attachment"), [], digests=True)[1] == 0
    # What has its pictures is not written again, nor what is stored again; other content has others.
    assert run(server, dicomweb, "--thumbnails") == 1
    server.store(path.read_bytes())
    assert server.document(id_of(path))["_rev"] == document["_rev"]
    other = path.read_bytes().replace(b"ORIGINAL", b"DERIVED ")
    assert server.store(other if other != path.read_bytes() else path.read_bytes() + bytes(2)).status_code in (200, 202)
    assert list(server.document(id_of(path))["_attachments"]) == ["object.dcm"]


def slowly(log: Path, words: list[str]) -> None:
    """Run the command with small batches and checkpoints at once: it has a middle in which it can be killed."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdout = sys.stderr = log.open("w", buffering=1)
    progress.SAVED, bring.BATCH_FILES = 0, 4
    fetch = Source.fetch
    Source.fetch = lambda *told: (time.sleep(0.05), fetch(*told))[1]
    sys.exit(cli.main(words))


@contextmanager
def started(server: Server, log: Path, *options: str) -> Iterator[BaseProcess]:
    """Run the command in a process of its own, forked: a fresh one would read all modules."""
    words = ["import-chronicle", *options, "--url", server.url, "--workers", "2"]
    process = get_context("fork").Process(target=slowly, args=(log, words))
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join(30)


def until(there: Callable[[], object], process: BaseProcess) -> None:
    for _ in range(600):
        if there():
            return
        assert process.is_alive(), process.exitcode
        time.sleep(0.05)
    raise AssertionError("it takes too long")


def test_killed_in_the_middle_it_goes_on_and_follows(server, make_source, tmp_path, capsys):
    """Nothing is lost and nothing told twice; what comes while it follows is stored at once."""
    source, study, series = make_source(), "1.2.826.0.7", "1.2.826.0.7.1"
    documents = []
    for number in range(MANY):
        file = base64.b64encode(instance(study, series, f"{series}.{number}")).decode()
        stub = {"object.dcm": {"content_type": "application/dicom", "data": file}}
        documents.append({"_id": f"{number:03d}", "dataset": {}, **({"_attachments": stub} if number % 5 else {})})
    requests.post(f"{source}/_bulk_docs", json={"docs": documents}, timeout=30).raise_for_status()
    without = {document["_id"] for document in documents if "_attachments" not in document}
    report, data = tmp_path / "report.csv", Path(os.environ["DATA_DIR"])

    def stored() -> int:
        return len(server.get(f"/instances?StudyInstanceUID={study}").json())

    log = tmp_path / "log"
    with started(server, log, source, "--report", str(report)) as first:
        until(lambda: list(data.glob("import-chronicle-*.checkpoint")), first)
        first.kill()
        first.join(30)
        assert first.exitcode == -signal.SIGKILL
    (checkpoint,) = data.glob("import-chronicle-*.checkpoint")
    done = json.loads(checkpoint.read_text())["kept"]["documents"]
    assert 0 < done < MANY
    with started(server, log, source, "--report", str(report), "--follow") as second:
        until(lambda: stored() == MANY - len(without), second)
        revision = put(source, {"_id": "later", "dataset": {}})
        revision = attach(source, "later", revision, b"a picture", "image32.png", "image/png")
        attach(source, "later", revision, instance(study, series, f"{series}.99"))
        until(lambda: stored() == MANY - len(without) + 1, second)
        # What is stored is answered at once; that it is noted, a moment later.
        until(
            lambda: json.loads(checkpoint.read_text())["kept"]["counts"]["stored"] > MANY - len(without) - done, second
        )
        os.kill(second.pid, signal.SIGINT)
        second.join(30)
    said = log.read_text()
    assert second.exitcode == 130, said
    assert "goes on behind document" in said
    assert said.rstrip().endswith("running it again goes on where it was")
    assert run(server, source, "--report", str(report)) == 1
    with report.open(newline="") as file:
        told = [row["document"] for row in csv.DictReader(file)]
    assert sorted(one for one in told if one != "later") == sorted(without)
    assert not list(data.glob("import-chronicle-*.checkpoint"))
    said = capsys.readouterr().out
    assert sum(map(int, re.findall(r"^(?:stored|already there) +(\d+)", said, re.MULTILINE))) > MANY - len(without), (
        said
    )
