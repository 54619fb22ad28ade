"""Requests that are refused before their body is read: the client gets the answer, however it sends (RFC 9112 9.6)."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from tests.server import Server, serve

# The database has no part in it.
pytestmark = pytest.mark.one_database("embedded")

LENGTH, LIMIT = 5_000_000, 6_000_000
STORE = 'multipart/related; type="application/dicom"; boundary=b'
# Path, headers, status, and whether gunicorn itself refuses.
REFUSALS = {
    "415": ("/studies", {"Content-Type": "text/plain"}, 415),
    "406": ("/studies", {"Content-Type": STORE, "Accept": "image/png"}, 406),
    "400": ("/studies/a%20b", {"Content-Type": STORE}, 400),
    "404": ("/nothing", {"Content-Type": STORE}, 404),
    "405": ("/series", {"Content-Type": STORE}, 405),
    "413": ("/studies", {"Content-Type": STORE}, 413),
    "403": ("/studies", {"Content-Type": STORE, "Origin": "https://evil.example"}, 403),
    "conflicts": ("/studies/1.2/conflicts", {"Content-Type": "application/json"}, 413),
    "gunicorn": ("/studies", {"Content-Type": STORE, "Expect": "a-miracle"}, 417),
}
NODE = """
const http = require('http');
const [url, headers, length, times] = JSON.parse(process.argv[1]);
const told = [];
function next() {
  if (told.length === times) { console.log(JSON.stringify(told)); return; }
  const request = http.request(url, { method: 'POST', headers: { ...headers, 'Content-Length': length } }, answer => {
    answer.resume().on('end', () => { told.push(answer.statusCode); next(); });
  });
  request.on('error', error => { told.push(error.code); next(); });
  request.end(Buffer.alloc(length));
}
next();
"""
JAVA = """
import java.net.*;
public class Post {
  public static void main(String[] words) throws Exception {
    for (int i = 0; i < Integer.parseInt(words[2]); i++) {
      HttpURLConnection connection = (HttpURLConnection) new URL(words[0]).openConnection();
      connection.setRequestMethod("POST");
      connection.setDoOutput(true);
      connection.setRequestProperty("Content-Type", "text/plain");
      byte[] body = new byte[Integer.parseInt(words[1])];
      if (i % 2 == 0) connection.setFixedLengthStreamingMode(body.length);
      try {
        connection.getOutputStream().write(body);
        System.out.println(connection.getResponseCode());
      } catch (java.io.IOException problem) {
        System.out.println(problem);
      }
    }
  }
}
"""


@pytest.fixture(scope="module")
def server(fresh_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Give a server that takes requests of 6 MB."""
    log = tmp_path_factory.mktemp("server") / "log"
    with serve(fresh_database, log, MAX_REQUEST_SIZE=str(LIMIT), WEB_CONCURRENCY="1") as running:
        yield running


def connected(server: Server) -> socket.socket:
    where = urlsplit(server.url)
    return socket.create_connection((where.hostname, where.port), timeout=20)


def head(server: Server, path: str, headers: dict[str, str]) -> bytes:
    where = urlsplit(server.url)
    lines = [f"POST {where.path}{path} HTTP/1.1", f"Host: {where.netloc}", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


# Without a length a body is read up to the limit, which these two are about.
FRAMED = [
    (kind, framing)
    for kind in REFUSALS
    for framing in ("length", "chunked", "close")
    if framing != "chunked" or kind not in ("413", "conflicts")
]


@pytest.mark.parametrize(("kind", "framing"), FRAMED)
def test_a_client_that_writes_all_before_it_reads(server, kind, framing):
    path, headers, status = REFUSALS[kind]
    body = bytes(LENGTH if kind != "413" else LIMIT + 1)
    if framing == "chunked":
        headers = {**headers, "Transfer-Encoding": "chunked"}
        body = b"".join(b"10000\r\n" + bytes(0x10000) + b"\r\n" for _ in range(LENGTH >> 16)) + b"0\r\n\r\n"
    else:
        headers = {**headers, "Content-Length": str(len(body))}
    if framing == "close":
        headers["Connection"] = "close"
    for _time in range(6):
        with connected(server) as client:
            client.sendall(head(server, path, headers))
            # Slowly enough that the answer comes midway.
            for start in range(0, len(body), 1 << 20):
                client.sendall(body[start : start + (1 << 20)])
                time.sleep(0.005)
            answer = http.client.HTTPResponse(client)
            answer.begin()
            text = answer.read()
            assert (answer.status, answer.headers["Connection"]) == (status, "close")
            assert kind == "gunicorn" or set(json.loads(text)) == {"error", "reason"}
            assert client.recv(10) == b""


def test_a_small_refused_body_leaves_the_connection_as_it_is(server):
    with connected(server) as client:
        for length in (10, 20_000):
            path, headers, status = REFUSALS["415"]
            client.sendall(head(server, path, {**headers, "Content-Length": str(length)}) + bytes(length))
            answer = http.client.HTTPResponse(client)
            answer.begin()
            answer.read()
            assert (answer.status, answer.headers["Connection"]) == (status, "keep-alive")


@pytest.mark.parametrize("kind", ["415", "406", "413", "404"])
def test_node(server, kind):
    path, headers, status = REFUSALS[kind]
    told = json.dumps([server.url + path, headers, LENGTH if kind != "413" else LIMIT + 1, 20])
    done = subprocess.run(["node", "-e", NODE, told], capture_output=True, text=True, timeout=120, check=True)
    assert json.loads(done.stdout) == [status] * 20


def test_java(server, tmp_path: Path):
    if not shutil.which("javac"):
        pytest.skip("NOT TESTED: no JDK on this machine")
    (tmp_path / "Post.java").write_text(JAVA)
    command = ["java", str(tmp_path / "Post.java"), f"{server.url}/studies", str(LENGTH), "12"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == ["415"] * 12


def test_it_is_not_read_for_ever(server):
    path, headers, _status = REFUSALS["415"]
    (worker,) = psutil.Process(server.pid).children()
    port, piece, sent = urlsplit(server.url).port, bytes(1 << 20), 0
    with connected(server) as silent, connected(server) as endless:
        for client in (silent, endless):
            client.sendall(head(server, path, {**headers, "Content-Length": str(1 << 40)}))
        with suppress(ConnectionError):
            while sent < 600 << 20:
                sent += endless.send(piece)
        assert 200 << 20 < sent < 400 << 20
        deadline = time.monotonic() + 15
        while any(one.laddr.port == port and one.raddr for one in worker.net_connections()):
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert server.get("/studies").status_code in (200, 204)
