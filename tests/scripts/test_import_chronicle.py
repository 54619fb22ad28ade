"""Bringing in a chronicle that breaks in every way, from a small server that does, to one that stores."""

import base64
import csv
import hashlib
import json
import threading
import time
import tracemalloc
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import requests

from dicouch.scripts.chronicle import bring, main, source
from dicouch.scripts.chronicle.bring import Bringer, Wanted
from dicouch.scripts.chronicle.report import Report
from dicouch.scripts.chronicle.source import Source
from dicouch.scripts.connection import CommandError
from dicouch.scripts.progress import Bar, Checkpoint
from tests.made import instance
from tests.scripts.test_load import Server as Target

CUT, SHORT, OTHER, RESET = "cut", "short", "other", "reset"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_args):
        pass

    def answer(self, status, body, length=None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = length is not None

    def do_GET(self):  # noqa: N802
        url = urlsplit(self.path)
        database, _, path = unquote(url.path).lstrip("/").partition("/")
        source, query = self.server, {key: values[0] for key, values in parse_qs(url.query).items()}
        source.asked.append(path)
        fault = source.faults[path].pop(0) if source.faults.get(path) else None
        known = base64.b64encode(b"reader:secret").decode()
        if fault == RESET:
            self.close_connection = True
        elif isinstance(fault, int):
            self.answer(fault, json.dumps({"error": "x", "reason": f"told {fault}"}).encode())
        elif source.guarded and self.headers["Authorization"] != f"Basic {known}":
            self.answer(401, b'{"error":"unauthorized","reason":"You are not authorized"}')
        elif database != "chronicle":
            self.answer(404, b'{"error":"not_found","reason":"Database does not exist."}')
        elif not path:
            self.answer(200, json.dumps({"doc_count": len(source.changes)}).encode())
        elif path == "_changes":
            self.answer(200, json.dumps(source.changed(query)).encode())
        else:
            self.give(path, fault)

    def give(self, path, fault):
        document_id, _, name = path.partition("/")
        document = self.server.documents.get(document_id)
        if document is None:
            self.answer(404, b'{"error":"not_found","reason":"deleted"}')
        elif not name:
            self.answer(200, json.dumps(document).encode())
        else:
            data = self.server.files[path]
            if fault == CUT:
                self.answer(200, data[: len(data) // 2], len(data))
            else:
                self.answer(200, data[:-4] if fault == SHORT else data[::-1] if fault == OTHER else data)


class Broken(ThreadingHTTPServer):
    """A chronicle whose answers go wrong as `faults` says, by path."""

    daemon_threads = True

    def __init__(self, port=0):
        super().__init__(("127.0.0.1", port), Handler)
        self.documents, self.files, self.changes, self.faults, self.asked = {}, {}, [], {}, []
        self.guarded = False
        self.url = f"http://127.0.0.1:{self.server_port}/chronicle"

    def add(self, document_id, data=None, *, digest=None):
        """Add a document, and what is attached to it."""
        document = {"_id": document_id, "_rev": "1-a", "dataset": {}}
        if data is not None:
            md5 = base64.b64encode(digest or hashlib.md5(data).digest()).decode()
            stub = {"content_type": "application/dicom", "length": len(data), "digest": f"md5-{md5}", "stub": True}
            document["_attachments"] = {"object.dcm": stub}
            self.files[f"{document_id}/object.dcm"] = data
        self.documents[document_id] = document
        self.changes.append(document_id)

    def changed(self, query):
        """Answer as CouchDB 2 and newer, whose sequences are no numbers."""
        since = int(query["since"].partition("-")[0])
        until = time.monotonic() + 5
        while query.get("feed") == "longpoll" and len(self.changes) <= since and time.monotonic() < until:
            time.sleep(0.01)
        end = min(len(self.changes), since + int(query["limit"]))
        rows = [{"id": self.changes[at], "seq": f"{at + 1}-x", "changes": []} for at in range(since, end)]
        return {"results": rows, "last_seq": f"{end}-x"}


@pytest.fixture
def broken():
    with Broken() as running:
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture
def target():
    with Target() as running:
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture(autouse=True)
def settings(tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(source, "PAUSE", 0.01)
    monkeypatch.setattr("dicouch.scripts.progress.SAVED", 0)
    monkeypatch.setattr("dicouch.scripts.stow.time", SimpleNamespace(sleep=lambda seconds: None))


def made(number):
    return instance("1.2", "1.2.3", f"1.2.3.{number}")


def run(broken, target, tmp_path, *options, url=None):
    """Run the command; return its status and what the report says."""
    report = tmp_path / "report.csv"
    status = main.main([url or broken.url, "--url", target.url, "--report", str(report), "--workers", "2", *options])
    if not report.exists():
        return status, None
    with report.open(newline="") as file:
        return status, [tuple(row.values()) for row in csv.DictReader(file)]


def test_what_is_temporary_is_tried_again(broken, target, tmp_path):
    for number, faults in enumerate([[RESET], [CUT, RESET], [SHORT], [OTHER], [500, 503], [429], []]):
        broken.add(f"d{number}", made(number))
        broken.faults[f"d{number}/object.dcm"] = faults
    broken.faults |= {"": [RESET, 503], "_changes": [CUT, 500], "d3": [RESET, 500]}
    target.fail = [None, 503]
    assert run(broken, target, tmp_path) == (0, [])
    assert target.stored == {f"1.2.3.{number}": made(number) for number in range(7)}


def test_the_report_says_what_is_not_there_and_why(broken, target, tmp_path, capsys):
    for number in range(9):
        broken.add(f"d{number}", made(number))
    broken.add("bare")
    broken.documents["bare"]["filePath"] = "/linked/a.dcm"
    broken.add("text", b"no DICOM file")
    broken.add("directory", bytes(128) + b"DICM" + b"1.2.840.10008.1.3.10")
    broken.add("_design/instances")
    del broken.documents["d1"]
    broken.faults = {"d2/object.dcm": [404], "d3/object.dcm": [CUT] * 9, "d4/object.dcm": [OTHER] * 9, "d5": [500] * 9}
    broken.faults["d8/object.dcm"] = [RESET] * 99
    target.answers["1.2.3.6"] = {"00081197": {"vr": "US", "Value": [0xA900]}}
    del broken.documents["d7"]["_attachments"]["object.dcm"]["digest"]
    status, told = run(broken, target, tmp_path)
    assert status == 1
    short = len(made(3))
    assert sorted(told) == sorted([
        ("d1", "", "deleted", ""),
        ("d2", "object.dcm", "broken", "it cannot be found"),
        ("d3", "object.dcm", "broken", f"it has {short // 2} bytes, and the document says {short}"),
        ("d4", "object.dcm", "broken", "its bytes are not those of which the document has the digest"),
        ("d5", "", "failed", "500 x: told 500"),
        ("d6", "object.dcm", "refused", "the data set does not match its SOP Class (A900H)"),
        ("d8", "object.dcm", "failed", told[[row[0] for row in told].index("d8")][3]),
        ("bare", "", "no attachment", "no DICOM file is attached; it was made of /linked/a.dcm"),
        ("text", "object.dcm", "no DICOM", "13 bytes that are no DICOM instance"),
        ("directory", "object.dcm", "no DICOM", "152 bytes that are no DICOM instance"),
    ])  # fmt: skip
    assert "the database does not answer" in {row[0]: row[3] for row in told}["d8"]
    assert set(target.stored) == {"1.2.3.0", "1.2.3.7", "1.2.3.6"}
    said = capsys.readouterr().out.splitlines()
    assert said[:3] == ["stored               2", "no attachment        1   (documents without a file)",
                        "no DICOM             2   (attached files that are no DICOM instances)"]  # fmt: skip
    # What failed for the moment is where the next run begins.
    broken.faults = {}
    asked = len(broken.asked)
    assert run(broken, target, tmp_path)[0] == 1
    assert {"d5", "d8"} <= set(broken.asked[asked:])
    assert {"1.2.3.5", "1.2.3.8"} <= set(target.stored)


def test_a_login_is_needed(broken, target, tmp_path, capsys):
    broken.guarded = True
    broken.add("d", made(1))
    assert run(broken, target, tmp_path) == (2, None)
    said = capsys.readouterr().err
    assert "refuses the login (401 You are not authorized)" in said
    wrong = broken.url.replace("//", "//reader:wrong@")
    assert run(broken, target, tmp_path, url=wrong) == (2, None)
    assert "wrong" not in capsys.readouterr().err
    right = broken.url.replace("//", "//reader:secret@")
    assert run(broken, target, tmp_path, url=f"FROM={right}") == (0, [])


def test_the_source_may_be_named_by_a_setting(broken, target, tmp_path, monkeypatch):
    broken.add("d", made(1))
    monkeypatch.setenv("CHRONICLE_URL", broken.url)
    monkeypatch.setenv("DICOMWEB_URL", target.url)
    assert main.main([]) == 0
    assert list(target.stored) == ["1.2.3.1"]


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1:1", "names no database: write http://host:5984/chronicle"),
        ("ftp://host/chronicle", "not a URL of a server"),
        ("{}x", "Database does not exist."),
        ("http://127.0.0.1:1/chronicle", "Connection refused"),
    ],
)
def test_what_is_no_chronicle(broken, target, tmp_path, capsys, url, why):
    assert run(broken, target, tmp_path, url=url.format(broken.url)) == (2, None)
    assert why in capsys.readouterr().err


def test_a_source_that_goes_away_is_gone_on_with(broken, target, tmp_path, capsys, monkeypatch):
    """The sequence is kept: what was stored is not read again, and the report goes on where it was."""
    monkeypatch.setattr(source, "PAGE", 4)
    for number in range(10):
        broken.add(f"d{number}", made(number) if number % 4 else None)
    broken.faults = {"_changes": [None, None, *[500] * 99]}
    status, told = run(broken, target, tmp_path)
    assert status == 2
    assert "500 x: told 500; running it again goes on here" in capsys.readouterr().err
    assert [row[0] for row in told] == ["d0", "d4"]
    with (tmp_path / "report.csv").open("a") as report:
        report.write("d9,,what was written behind the checkpoint,\r\n")
    broken.faults, asked = {}, len(broken.asked)
    status, told = run(broken, target, tmp_path)
    assert (status, [row[0] for row in told]) == (1, ["d0", "d4", "d8"])
    assert set(broken.asked[asked:]) == {"", "_changes", "d8", "d9", "d9/object.dcm"}
    assert capsys.readouterr().out.startswith("stored               7\nno attachment        3")
    assert set(target.stored) == {f"1.2.3.{number}" for number in range(10) if number % 4}
    # It was finished: the next run begins at the start.
    assert run(broken, target, tmp_path)[0] == 1
    assert broken.asked[-20:].count("d0") == 1


def test_it_follows_a_source_and_a_server_that_are_away_for_a_while(broken, target, monkeypatch):
    broken.add("d0", made(0))
    following = Source(broken.url)
    with Checkpoint("x", following.couch) as place, Report(None, place.kept) as report, Bar(disable=True) as bar:
        bringer = Bringer(following, Wanted(target.url, 2, follow=True), place, report, bar)
        thread = threading.Thread(target=lambda: ended.append(_ends(bringer)), daemon=True)
        ended: list = []
        thread.start()
        _until(lambda: "1.2.3.0" in target.stored)
        # More failures than attempts, on both sides.
        broken.faults = {"_changes": [RESET] * 12}
        target.fail = [503] * 20
        broken.add("d1", made(1))
        _until(lambda: "1.2.3.1" in target.stored)
        broken.faults = {"": [RESET] * 9, "d2": [RESET] * 30, "d2/object.dcm": [CUT, RESET]}
        broken.add("d2", made(2))
        _until(lambda: "1.2.3.2" in target.stored)
        broken.faults = {"_changes": [404]}
        broken.add("d3", made(3))
        thread.join(20)
    assert ended == [f"{broken.url}: 404 x: told 404"]
    assert report.counts == {"stored": 4} or report.counts == {"stored": 3}


def _ends(bringer):
    try:
        bringer.run()
    except CommandError as problem:
        return str(problem)
    return None


def _until(there):
    for _ in range(1000):
        if there():
            return
        time.sleep(0.02)
    raise AssertionError("it takes too long")


def test_an_attachment_is_never_in_memory_as_a_whole(broken, tmp_path):
    data = bytes(24 << 20)
    broken.add("d", data)
    read = Source(broken.url)
    (attached,) = source.attached_to(read.document("d"))
    tracemalloc.start()
    try:
        read.fetch("d", attached, tmp_path / "read")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (tmp_path / "read").stat().st_size == len(data)
    assert peak < 4 << 20


def test_few_files_are_on_the_disk_at_a_time(broken, target, tmp_path, monkeypatch):
    """As many batches as there are requests at a time, and the one that is being read."""
    monkeypatch.setattr(bring, "BATCH_FILES", 2)
    most = []
    store = bring.stow.Client.store

    def counted(client, files):
        most.append(sum(1 for _ in files[0][0].parent.iterdir()))
        time.sleep(0.02)
        return store(client, files)

    monkeypatch.setattr(bring.stow.Client, "store", counted)
    for number in range(24):
        broken.add(f"d{number}", made(number))
    assert run(broken, target, tmp_path) == (0, [])
    assert len(target.stored) == 24
    assert max(most) <= 2 * 3
    assert requests.get(f"{target.url}/studies", timeout=5).status_code == 200
