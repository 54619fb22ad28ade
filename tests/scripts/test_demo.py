"""What the demonstration prints."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from dicouch.scripts import cli, demo
from dicouch.scripts.connection import CommandError


def test_answers_are_shortened_to_what_a_person_reads():
    many = {f"0009{number:04X}": {"vr": "LO", "Value": ["x" * 100]} for number in range(0x1001, 0x1021)}
    few = {"00080050": {"vr": "SH"}, "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Ä"}]}}
    lines = list(demo.shorten([few, many]))
    assert lines[:2] == ["{", '  00100010 PatientName                  PN [{"Alphabetic": "Ä"}]']
    assert lines[2] == "}, {"
    assert all(len(line) < 110 for line in lines)
    assert lines[-2:] == [f"  … {len(many) - demo.SHOWN_ATTRIBUTES} more attributes", "}"]


@contextmanager
def answering(has_viewer: bool) -> Iterator[str]:
    """Run what answers as a server does that has a viewer or none; yield where."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # noqa: N802
            self.send_response(404 if self.path.startswith("/ohif") and not has_viewer else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("has_viewer", [True, False])
def test_the_viewer_is_installed_for_a_server_that_runs(has_viewer, monkeypatch):
    installed = []
    monkeypatch.delenv("OHIF", raising=False)
    monkeypatch.setattr(demo.viewer, "install", lambda: installed.append(1))
    monkeypatch.setattr(demo.viewer, "installed", lambda: installed or None)
    with answering(has_viewer) as place:
        monkeypatch.setenv("SHIM_BIND", place)
        with demo.server(None) as (url, started):
            assert (url, started) == (f"http://{place}/dicom-web", None)
            assert installed == ([] if has_viewer else [1])
            told = list(demo.links(url))
        with demo.server(f"http://{place}/dicom-web"):
            assert installed == ([] if has_viewer else [1])  # which may be on another machine
    if has_viewer:
        assert told[0] == f"http://{place}/ohif/  study list"
    else:
        (line,) = told
        assert line.startswith(f"no OHIF at http://{place}/ohif/ yet: it is installed on this machine")


def test_a_viewer_that_cannot_be_installed_stops_nothing(monkeypatch, capsys):
    def install():
        raise CommandError("npm is missing")

    monkeypatch.delenv("OHIF", raising=False)
    monkeypatch.setattr(demo.viewer, "install", install)
    monkeypatch.setattr(demo.viewer, "installed", lambda: None)
    with answering(has_viewer=False) as place:
        monkeypatch.setenv("SHIM_BIND", place)
        with demo.server(None) as (url, _started):
            assert next(demo.links(url)).startswith(f"no OHIF at http://{place}/ohif/: ")
        assert capsys.readouterr().err == "demo: no viewer: npm is missing\n"
        monkeypatch.setenv("OHIF", "none")  # the site wants none
        with demo.server(None):
            assert capsys.readouterr().err == ""


def test_the_help_says_what_it_does_without_a_server():
    assert "running server" not in cli.COMMANDS["demo"].summary
