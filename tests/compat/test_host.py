"""The embedded host as a process: starting, refusing to start, stopping, surviving."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from dicouch.scripts.databases import EMBEDDED_HOST, DatabaseError, embedded

SERVER = ["node", str(EMBEDDED_HOST / "server.js")]


class Host:
    """A started server; `url` once it answers."""

    def __init__(self, *options: str, **env: str) -> None:
        self.process = subprocess.Popen(
            [*SERVER, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, **env},
        )  # fmt: skip
        line = self.process.stdout.readline()
        self.url = json.loads(line)["url"] if line else ""

    def end(self, how: int = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(20)


@pytest.fixture
def start() -> Iterator:
    """Start hosts that end with the test."""
    started: list[Host] = []

    def make(*options: str, **env: str) -> Host:
        started.append(Host(*options, **env))
        return started[-1]

    yield make
    for host in started:
        host.process.kill()
        host.process.communicate()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Host, Path]]:
    """Give a host for tests that only look at a database of their own, and its folder."""
    folder = tmp_path_factory.mktemp("host")
    host = Host("--data", str(folder))
    yield host, folder
    host.process.kill()
    host.process.communicate()


def test_it_prints_one_line_and_ends_when_told(start, tmp_path: Path):
    host = start("--data", str(tmp_path))
    assert requests.get(f"{host.url}/_up", timeout=10).ok
    assert requests.put(f"{host.url}/kept", timeout=10).status_code == 201
    assert requests.put(f"{host.url}/kept/doc", json={"a": 1}, timeout=10).status_code == 201
    assert host.end(signal.SIGINT) == 0
    assert host.process.stdout.read() == ""
    assert host.process.stderr.read() == ""
    again = start("--data", str(tmp_path))
    assert requests.get(f"{again.url}/kept/doc", timeout=10).json()["a"] == 1
    assert again.end() == 0


def test_acknowledged_writes_survive_a_kill(start, tmp_path: Path):
    host = start("--data", str(tmp_path))
    requests.put(f"{host.url}/kept", timeout=10).raise_for_status()
    body = b'--b\r\n\r\n{"_attachments": {"x": {"follows": true, "length": 100000}}}\r\n--b\r\n\r\n'
    body += b"x" * 100000 + b"\r\n--b--"
    headers = {"Content-Type": "multipart/related; boundary=b"}
    for i in range(20):
        answer = requests.put(f"{host.url}/kept/{i}", data=body, headers=headers, timeout=10)
        assert answer.status_code == 201
    host.end(signal.SIGKILL)
    again = start("--data", str(tmp_path))
    for i in range(20):
        assert requests.get(f"{again.url}/kept/{i}/x", timeout=10).content == b"x" * 100000


def test_a_port_in_use(start, tmp_path: Path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        host = start("--data", str(tmp_path), "--port", str(port))
        assert host.process.wait(20) == 2
        assert host.process.stderr.read() == f"port {port} is in use\n"


def test_a_data_folder_in_use(start, tmp_path: Path):
    start("--data", str(tmp_path))
    second = start("--data", str(tmp_path))
    assert second.process.wait(20) == 2
    assert second.process.stderr.read() == f"the data folder is in use by another process: {tmp_path}\n"


@pytest.mark.parametrize(
    "options", [[], ["--data", "/dev/null/x"], ["--memory", "--port", "x"], ["--memory", "--nonsense"]]
)
def test_bad_options(start, options):
    host = start(*options)
    assert host.process.wait(20) == 2
    assert len(host.process.stderr.read().splitlines()) == 1


def test_it_ends_with_its_parent_when_asked(start):
    alone = start("--memory")
    bound = start("--memory", "--with-parent")
    for host in (alone, bound):
        host.process.stdin.close()
        host.process.stdin = None
    assert bound.process.wait(20) == 0
    assert requests.get(f"{alone.url}/_up", timeout=10).ok


def test_memory_leaves_nothing_behind(start, tmp_path: Path):
    host = start("--memory", TMPDIR=str(tmp_path))
    requests.put(f"{host.url}/gone", timeout=10).raise_for_status()
    headers = {"Content-Type": "application/dicom"}
    assert requests.put(f"{host.url}/gone/doc/object.dcm", data=b"abc", headers=headers, timeout=10).status_code == 201
    view = {"views": {"v": {"map": "function (doc) { emit(doc._id); }"}}}
    assert requests.put(f"{host.url}/gone/_design/d", json=view, timeout=10).status_code == 201
    assert requests.get(f"{host.url}/gone/doc/object.dcm", timeout=10).content == b"abc"
    assert len(requests.get(f"{host.url}/gone/_design/d/_view/v", timeout=10).json()["rows"]) == 1
    assert list(tmp_path.iterdir())
    assert host.end() == 0
    assert list(tmp_path.iterdir()) == []


def test_a_large_attachment_does_not_fill_memory(shared):
    host, _folder = shared
    process = psutil.Process(host.process.pid)
    requests.put(f"{host.url}/large", timeout=10).raise_for_status()
    size = 300 * 2**20
    block = bytes(range(256)) * 4096

    def body():
        yield b'--b\r\n\r\n{"_attachments": {"x": {"follows": true, "length": %d}}}\r\n--b\r\n\r\n' % size
        for _ in range(size // len(block)):
            yield block
            seen.append(process.memory_info().rss)
        yield b"\r\n--b--"

    seen: list[int] = []
    headers = {"Content-Type": "multipart/related; boundary=b"}
    assert requests.put(f"{host.url}/large/doc", data=body(), headers=headers, timeout=120).status_code == 201
    received = 0
    with requests.get(f"{host.url}/large/doc/x", stream=True, timeout=120) as answer:
        for chunk in answer.iter_content(2**20):
            received += len(chunk)
            seen.append(process.memory_info().rss)
    assert received == size
    assert max(seen) < 250 * 2**20


def test_dropped_attachments_leave_no_files(shared):
    host, data = shared
    url = f"{host.url}/files"
    folder = data / "databases" / "files.attachments"
    requests.put(url, timeout=10).raise_for_status()
    headers = {"Content-Type": "application/dicom"}

    def files() -> int:
        return sum(1 for path in folder.rglob("*") if path.is_file())

    rev = requests.put(f"{url}/a/x", data=b"one", headers=headers, timeout=10).json()["rev"]
    assert files() == 1
    # A refused write leaves nothing.
    assert requests.put(f"{url}/a/x", data=b"two", headers=headers, timeout=10).status_code == 409
    assert files() == 1
    rev = requests.put(f"{url}/a/x", data=b"three", headers=headers, params={"rev": rev}, timeout=10).json()["rev"]
    requests.post(f"{url}/_compact", headers={"Content-Type": "application/json"}, timeout=10).raise_for_status()
    deadline = time.monotonic() + 10
    while files() != 1 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert files() == 1
    assert requests.get(f"{url}/a/x", timeout=10).content == b"three"
    requests.delete(url, timeout=10).raise_for_status()
    assert not folder.exists()


def test_large_attachments_inside_documents_become_files(shared):
    host, folder = shared
    url = f"{host.url}/inline"
    requests.put(url, timeout=10).raise_for_status()
    large = bytes(range(256)) * 4096
    data = {"content_type": "application/dicom", "data": base64.b64encode(large).decode()}
    assert requests.put(f"{url}/a", json={"_attachments": {"x": data}}, timeout=10).status_code == 201
    stored = [
        path.stat().st_size for path in (folder / "databases" / "inline.attachments").rglob("*") if path.is_file()
    ]
    assert stored == [len(large)]
    assert requests.get(f"{url}/a/x", timeout=10).content == large
    answer = requests.get(f"{url}/a", params={"attachments": "true"}, timeout=10).json()
    assert base64.b64decode(answer["_attachments"]["x"]["data"]) == large


def test_a_function_that_never_ends_is_stopped(start):
    host = start("--memory", EMBEDDED_TIME_LIMIT="500")
    url = f"{host.url}/endless"
    requests.put(url, timeout=10).raise_for_status()
    design = {
        "views": {"v": {"map": "function (doc) { if (doc.endless) { for (;;) {} } emit(doc._id); }"}},
        "lists": {"endless": "function (head, req) { for (;;) {} }"},
    }
    assert requests.put(f"{url}/_design/d", json=design, timeout=10).status_code == 201
    assert requests.get(f"{url}/_design/d/_list/endless/v", timeout=30).json()["error"] == "timeout"
    docs = [{"_id": "a"}, {"_id": "b", "endless": True}, {"_id": "c"}]
    requests.post(f"{url}/_bulk_docs", json={"docs": docs}, timeout=10).raise_for_status()
    rows = requests.get(f"{url}/_design/d/_view/v", timeout=30).json()["rows"]
    assert [row["id"] for row in rows] == ["a", "c"]


def test_without_an_administrator_everybody_is_one(start):
    host = start("--memory")
    assert requests.get(f"{host.url}/_session", timeout=10).json()["userCtx"] == {"name": None, "roles": ["_admin"]}
    guarded = start("--memory", EMBEDDED_ADMIN="me:pass:word")
    assert requests.get(f"{guarded.url}/_all_dbs", timeout=10).status_code == 401
    assert requests.get(f"{guarded.url}/_all_dbs", auth=("me", "pass:word"), timeout=10).ok


def test_the_lock_file_names_no_registry():
    lock = (EMBEDDED_HOST / "package-lock.json").read_text()
    assert '"resolved"' not in lock
    assert "://registry" not in lock


def test_embedded_keeps_its_data_and_password(tmp_path: Path):
    with embedded(tmp_path) as database:
        requests.put(f"{database.url}/kept", timeout=10).raise_for_status()
        first = database.password
        pid = database.pid
        assert database.name.startswith("Embedded PouchDB 9.")
        with pytest.raises(DatabaseError, match="in use"), embedded(tmp_path):
            pass
    assert not psutil.pid_exists(pid)
    assert (tmp_path / "private.json").stat().st_mode & 0o777 == 0o600
    with embedded(tmp_path) as database:
        assert database.password == first
        assert requests.get(f"{database.url}/kept", timeout=10).ok
        database.stop()
        database.stop()
