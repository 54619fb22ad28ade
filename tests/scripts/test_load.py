"""Uploading a folder, against a small server that answers as PS3.18 I.2 says."""

import csv
import io
import json
import re
import threading
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pydicom
import pydicom.data
import pytest

from dicouch.errors import DicomWebError
from dicouch.scripts import load, stow


@pytest.fixture(autouse=True)
def data_folder(tmp_path, monkeypatch):
    """Keep journals out of the working folder."""
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))


TEST_FILES = Path(pydicom.data.__file__).parent / "test_files"


class Server(ThreadingHTTPServer):
    """Keeps what it was sent; `answers` decides about each instance, `status` about a whole request."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests = []
        self.answers = {}
        self.fail = []
        self.limit = None
        self.stored = {}
        self.url = f"http://127.0.0.1:{self.server_port}/dicom-web"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_args):
        pass

    def answer(self, status, body=b"[]"):
        self.send_response(status)
        self.send_header("Content-Type", "application/dicom+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):  # noqa: N802
        self.answer(200)

    def do_POST(self):  # noqa: N802
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server = self.server
        if server.fail:
            status = server.fail.pop(0)
            if status is None:
                self.close_connection = True
                return
            self.answer(status, b'{"error": "x", "reason": "told so"}')
            return
        boundary = re.search("boundary=(.*)", self.headers["Content-Type"])[1].encode()
        pieces = body.split(b"--" + boundary)
        assert pieces[0] == b""
        assert pieces[-1] == b"--\r\n"
        parts = [piece.removeprefix(b"\r\nContent-Type: application/dicom\r\n\r\n")[:-2] for piece in pieces[1:-1]]
        server.requests.append(parts)
        if server.limit and len(parts) > server.limit:
            self.answer(413, b"{}")
            return
        sequences = {"00081199": [], "00081198": [], "0008119A": []}
        for part in parts:
            try:
                uid = str(pydicom.dcmread(io.BytesIO(part), stop_before_pixels=True).SOPInstanceUID)
            except (pydicom.errors.InvalidDicomError, AttributeError):
                sequences["0008119A"].append({"00081197": {"vr": "US", "Value": [0xC000]}})
                continue
            item = {"00081155": {"vr": "UI", "Value": [uid]}, **server.answers.get(uid, {})}
            server.stored[uid] = part
            sequences["00081198" if "00081197" in item else "00081199"].append(item)
        dataset = {tag: {"vr": "SQ", "Value": items} for tag, items in sequences.items() if items}
        self.answer(200, json.dumps(dataset).encode())


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def folder(tmp_path):
    """Three instances, one Part 10 file without content, one text file."""
    root = tmp_path / "folder"
    for name in ("a/CT_small.dcm", "a/b/MR_small.dcm", "rtplan.dcm"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes((TEST_FILES / Path(name).name).read_bytes())
    (root / "readme.txt").write_text("not DICOM")
    return root


def uid(name):
    return str(pydicom.dcmread(TEST_FILES / name, stop_before_pixels=True, force=True).SOPInstanceUID)


def results(summary):
    return {outcome.path.name: (outcome.result, outcome.reason) for outcome in summary.outcomes}


def test_files_arrive_bit_for_bit(server, folder):
    summary = load.upload(folder, server.url, quiet=True)
    assert summary.count(stow.STORED) == 3
    assert (summary.skipped, summary.refused) == (1, [])
    sent = {part for parts in server.requests for part in parts}
    assert sent == {path.read_bytes() for path in folder.rglob("*.dcm")}
    assert summary.size == sum(map(len, sent))


def test_reasons_reach_the_file_they_are_about(server, folder):
    (folder / "a/empty").write_bytes(bytes(128) + b"DICM")
    server.answers = {
        uid("CT_small.dcm"): {"00000902": {"vr": "LO", "Value": ["already stored, the same bytes"]}},
        uid("MR_small.dcm"): {"00081197": {"vr": "US", "Value": [0xA700]}},
        uid("rtplan.dcm"): {"00081196": {"vr": "US", "Value": [0xB000]}},
    }
    assert results(load.upload(folder, server.url, quiet=True)) == {
        "CT_small.dcm": (stow.ALREADY, ""),
        "MR_small.dcm": (stow.REFUSED, "out of resources (A700H)"),
        "rtplan.dcm": (stow.STORED, "warning B000H"),
        "empty": (stow.REFUSED, "cannot be understood (C000H)"),
    }


def test_a_reason_of_files_whose_data_set_does_not_say_their_uid(tmp_path):
    """The server takes it from the File Meta Information, so the answer names instances that no file is known by."""
    files = [(tmp_path / name, 1) for name in ("a.dcm", "b.dcm")]
    for path, _size in files:
        path.write_bytes(b"no UID that could be read")
    why = {"00000902": {"vr": "LO", "Value": ["StudyInstanceUID is missing"]}, "00081197": {"vr": "US", "Value": [288]}}
    failed = [{**why, "00081155": {"vr": "UI", "Value": [uid]}} for uid in ("1.2.3", "1.2.4")]
    outcomes = stow.match({"00081198": {"vr": "SQ", "Value": failed}}, files)
    assert [(one.path.name, one.reason) for one in outcomes] == [
        ("a.dcm", "StudyInstanceUID is missing (0120H)"),
        ("b.dcm", "StudyInstanceUID is missing (0120H)"),
    ]


def test_a_request_too_large_is_halved(server, folder):
    server.limit = 1
    summary = load.upload(folder, server.url, quiet=True)
    assert summary.count(stow.STORED) == 3
    assert [len(parts) for parts in server.requests] == [3, 1, 2, 1, 1]


def test_a_broken_connection_is_tried_again(server, folder, monkeypatch):
    monkeypatch.setattr(stow.time, "sleep", lambda seconds: None)
    server.fail = [None, 503]
    counted = []
    outcomes = stow.Client(server.url, counted.append).store([(folder / "rtplan.dcm", 2672)])
    assert [outcome.result for outcome in outcomes] == [stow.STORED]
    assert sum(counted) == 2672
    assert len(server.requests) == 1


def test_an_error_of_the_server_refuses_the_files_of_the_request(server, folder):
    server.fail = [500]
    summary = load.upload(folder, server.url, quiet=True)
    assert set(results(summary).values()) == {(stow.REFUSED, "500 told so")}


def test_a_refused_login_stops_everything(server, folder, capsys):
    server.fail = [401] * 9
    assert load.main([str(folder), "--url", server.url]) == 2
    assert capsys.readouterr().err.strip().splitlines()[-1] == "load: the server refuses the login (401): told so"


def test_a_file_that_shrinks_does_not_take_the_others_with_it(server, folder):
    files = [(path, path.stat().st_size) for path in sorted(folder.rglob("*.dcm"))]
    files[1] = (files[1][0], files[1][1] + 1)
    outcomes = stow.Client(server.url).store(files)
    assert sorted(outcome.result for outcome in outcomes) == [stow.REFUSED, stow.STORED, stow.STORED]
    refused = next(outcome for outcome in outcomes if outcome.result == stow.REFUSED)
    assert (refused.path, refused.reason) == (files[1][0], "became shorter while it was read")


def test_exit_codes_summary_and_report(server, folder, tmp_path, capsys):
    assert load.main([str(folder), "--url", server.url]) == 0
    assert "stored               3" in capsys.readouterr().out
    server.answers = {uid("rtplan.dcm"): {"00081197": {"vr": "US", "Value": [0x0110]}}}
    report = tmp_path / "failures.csv"
    assert load.main([str(folder), "--url", server.url, "--report", str(report)]) == 1
    assert "rtplan.dcm: processing failure (0110H)" in capsys.readouterr().out
    rows = list(csv.reader(report.open(newline="")))
    assert rows == [["file", "reason"], [str(folder / "rtplan.dcm"), "processing failure (0110H)"]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{missing}"], "does not exist"),
        (["{empty}"], "no DICOM file in"),
        (["{empty}", "--url", "http://127.0.0.1:1/dicom-web"], "no DICOMweb server answers at http://127.0.0.1:1"),
        (["{empty}", "--url", "nonsense"], "not a URL"),
    ],
)
def test_what_cannot_work_is_one_line(server, tmp_path, capsys, arguments, message):
    (tmp_path / "empty").mkdir()
    places = {"missing": tmp_path / "missing", "empty": tmp_path / "empty"}
    arguments = [argument.format(**places) for argument in arguments]
    if "--url" not in arguments:
        arguments += ["--url", server.url]
    assert load.main(arguments) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert message in lines[0]


def test_batches_keep_within_their_limits():
    files = [(Path(str(number)), size) for number, size in enumerate([5, 5, 20, 1, 1, 1, 1])]
    sizes = [[size for _, size in batch] for batch in load.batches(files, most_files=3, most_bytes=10)]
    assert sizes == [[5, 5], [20], [1, 1, 1], [1]]


def test_passwords_are_not_printed(tmp_path, capsys):
    assert load.main([str(tmp_path), "--url", "http://me:secret@127.0.0.1:1/dicom-web"]) == 2
    assert "secret" not in capsys.readouterr().err


def test_a_run_that_was_stopped_goes_on(folder, server, monkeypatch, tmp_path):
    monkeypatch.setattr(load, "batches", lambda files: ([one] for one in files))
    count = len(load.upload(folder, server.url, quiet=True).outcomes)

    class Stopped(Exception):
        pass

    real = load.stow.Client.store
    calls = []

    def store(self, batch):
        calls.append(batch)
        if len(calls) > 1:
            raise Stopped
        return real(self, batch)

    monkeypatch.setattr(load.stow.Client, "store", store)
    with pytest.raises(Stopped):
        load.upload(folder, server.url, workers=1, quiet=True)
    (journal,) = (tmp_path / "data").glob("load-*.journal")
    with journal.open("a") as file:
        file.write('["cut o')
    monkeypatch.setattr(load.stow.Client, "store", real)
    summary = load.upload(folder, server.url, quiet=True)
    assert summary.before == 1
    assert len(summary.outcomes) == count - 1
    assert any("stored before" in line for line in summary.lines())
    assert not journal.exists()


def test_what_is_under_way_when_a_run_is_stopped_is_not_sent_again(folder, server, monkeypatch):
    monkeypatch.setattr(load, "batches", lambda files: ([one] for one in files))

    def stop(*_arguments, **_options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(load, "wait", stop)
        with pytest.raises(KeyboardInterrupt):
            load.upload(folder, server.url, workers=2, quiet=True)
    summary = load.upload(folder, server.url, quiet=True)
    assert summary.before == 2
    assert summary.count(load.stow.ALREADY) == 0


@pytest.mark.parametrize("problem", [None, DicomWebError(503, "it takes long")])
def test_what_is_linked_is_in_the_index_at_the_end(tmp_path, monkeypatch, problem):
    """Who searches asks the server, which does not know of it."""
    done = []

    def asked(_method, path, params):
        done.append((path, params["limit"]))
        if problem:
            raise problem

    couch = SimpleNamespace(with_timeout=lambda _seconds: SimpleNamespace(json=asked))
    monkeypatch.setattr(load, "couch_of_server", lambda: nullcontext(couch))
    monkeypatch.setattr(load, "place_of", lambda _couch: "here")
    monkeypatch.setattr(load, "upload", lambda *_told, **_options: done.append("linked") or "summary")
    assert load.link(tmp_path, 1) == "summary"
    assert done == ["linked", ("_design/dicom/_view/studies_by_uid", 0)]
