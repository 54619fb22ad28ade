"""Answers of the database that break off or are not what they say: an error a client can read, never a traceback."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from dicouch.couch.client import Couch
from dicouch.errors import DicomWebError


class Broken(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        content = b'{"rows":['
        self.send_response(200)
        if self.path.endswith("/chunked"):
            self.send_header("Transfer-Encoding", "chunked")
            content = b"9\r\n" + content + b"\r\n"
        else:
            self.send_header("Content-Length", "9" if self.path.endswith("/whole") else "100")
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = True

    def log_message(self, *_arguments):
        pass


@pytest.fixture
def couch():
    with ThreadingHTTPServer(("127.0.0.1", 0), Broken) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Couch(f"http://127.0.0.1:{server.server_port}", "dicom")
        server.shutdown()


@pytest.mark.parametrize(
    ("path", "reason"),
    [("short", "breaks off"), ("chunked", "breaks off"), ("whole", "the database's answer is no JSON")],
)
def test_answers_that_are_not_whole(couch, path, reason):
    with pytest.raises(DicomWebError, match=reason) as raised:
        couch.json("GET", path)
    assert raised.value.status == 502
