"""``shim/store/peers.py``: bytes that another server has are fetched once, checked, and kept."""

from __future__ import annotations

import hashlib
import shutil
import threading
import time
import tracemalloc
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from dicouch.config import Config
from dicouch.errors import NoBytes
from dicouch.store import peers
from dicouch.store.peers import Peers
from dicouch.store.places import Bytes

CONTENT = bytes(range(256)) * 40
DOCUMENT = "1.2:3.4:5.6"
NAME = "ab/ab-1.dcm"


def file_of(content: bytes, store: str = f"folder:{NAME}") -> dict:
    return {"store": store, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


class Server(ThreadingHTTPServer):
    """Answers each request with what a test says."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []
        self.status, self.pieces, self.length = 200, [CONTENT], None

    @property
    def root(self):
        return f"http://Ann:s%C3%A9cret@127.0.0.1:{self.server_port}/dicom-web"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append((self.path, dict(self.headers)))
        self.send_response(self.server.status)
        length = self.server.length or sum(len(piece) for piece in self.server.pieces)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        for piece in self.server.pieces:
            self.wfile.write(piece)

    def log_message(self, *_arguments):
        pass


@pytest.fixture
def server():
    running = Server()
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield running
    running.shutdown()
    running.server_close()


class Couch:
    """A database in which documents are as they were."""

    def __init__(self, file):
        self.file = file

    def get(self, _document_id, **_options):
        return {"file": self.file}


def store(tmp_path, file, *roots):
    return Bytes(Couch(file), f"folder:{tmp_path}", peers=Peers(roots))


def read(store_, file, **options):
    return b"".join(store_.open(DOCUMENT, file, **options))


def kept(tmp_path):
    return [path for path in tmp_path.rglob("*") if path.is_file()]


def test_fetched_once_and_kept_under_its_name(server, tmp_path):
    file = file_of(CONTENT)
    own = store(tmp_path, file, server.root)
    assert read(own, file, start=10, end=20) == CONTENT[10:20]
    assert read(own, file) == CONTENT
    assert kept(tmp_path) == [tmp_path / NAME]
    ((path, headers),) = server.asked
    assert path == "/dicom-web/studies/1.2/series/3.4/instances/5.6"
    assert headers["Dicouch-Stored"] == "yes"  # without corrections, and nobody else is asked
    assert headers["Authorization"] == "Basic QW5uOnPDqWNyZXQ="  # in UTF-8 (RFC 7617 2.1)
    own.discard(file)
    assert kept(tmp_path) == []


def test_many_who_ask_at_a_time_fetch_once(server, tmp_path):
    file = file_of(CONTENT)
    own, found = store(tmp_path, file, server.root), []
    threads = [threading.Thread(target=lambda: found.append(read(own, file))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [CONTENT] * 8
    assert len(server.asked) == 1


def test_a_linked_file_is_kept_beside_and_goes_with_its_document(server, tmp_path):
    file = file_of(CONTENT, "link:/elsewhere/a.dcm")
    own = store(tmp_path, file, server.root)
    assert read(own, file) == CONTENT
    assert len(kept(tmp_path)) == 1
    own.discard(file)
    assert kept(tmp_path) == []


@pytest.mark.parametrize("pieces", [[CONTENT[:-1]], [CONTENT + b"x"], [bytes(len(CONTENT))]])
def test_other_bytes_are_not_kept(server, tmp_path, pieces):
    server.pieces = pieces
    with pytest.raises(NoBytes) as refused:
        read(store(tmp_path, file_of(CONTENT), server.root), file_of(CONTENT))
    assert refused.value.status == 502
    assert kept(tmp_path) == []


def test_what_breaks_off_is_not_kept(server, tmp_path):
    server.pieces, server.length = [CONTENT[:100]], len(CONTENT)
    with pytest.raises(NoBytes) as refused:
        read(store(tmp_path, file_of(CONTENT), server.root), file_of(CONTENT))
    assert refused.value.status in (502, 503)
    assert "s%C3%A9cret" not in str(refused.value)
    assert kept(tmp_path) == []


def test_the_next_server_is_asked(server, tmp_path):
    gone = Server()
    gone.server_close()
    file = file_of(CONTENT)
    assert read(store(tmp_path, file, gone.root, server.root), file) == CONTENT


def test_a_dead_server_is_not_waited_for_again_at_once(tmp_path, monkeypatch):
    asked = []

    def get(_session, path, **_options):
        asked.append(path)
        raise requests.ConnectTimeout

    monkeypatch.setattr(requests.Session, "get", get)
    file = file_of(CONTENT)
    own = store(tmp_path, file, "http://dead.example/dicom-web")
    for document_id in (DOCUMENT, "1.2:3.4:7.8"):
        with pytest.raises(NoBytes, match=f"{document_id}: http://dead.example/dicom-web .* ConnectTimeout") as refused:
            own.open(document_id, file)
        assert refused.value.headers == {"Retry-After": "5"}
    assert len(asked) == 1
    monkeypatch.setattr(peers, "monotonic", lambda: time.monotonic() + peers.DEAD)
    with pytest.raises(NoBytes):
        own.open(DOCUMENT, file)
    assert len(asked) == 2


def test_what_one_file_comes_to_says_nothing_of_the_next(server, tmp_path):
    file = file_of(CONTENT)
    own = store(tmp_path, file, server.root)
    server.pieces, server.length = [CONTENT[:100]], len(CONTENT)
    with pytest.raises(NoBytes):
        read(own, file)
    server.pieces, server.length = [CONTENT], None
    assert read(own, file) == CONTENT


def test_no_disk_is_filled(server, tmp_path):
    file, free = file_of(CONTENT), shutil.disk_usage(tmp_path).free
    own = Bytes(Couch(file), f"folder:{tmp_path}/new", peers=Peers([server.root], free * 2))
    with pytest.raises(NoBytes, match="no room") as refused:
        read(own, file)
    assert refused.value.status == 503
    assert server.asked == []


@pytest.mark.parametrize("status", [401, 404, 503])
def test_a_server_without_them(server, tmp_path, status):
    server.status = status
    with pytest.raises(NoBytes) as refused:
        read(store(tmp_path, file_of(CONTENT), server.root), file_of(CONTENT))
    assert (refused.value.status, refused.value.headers) == (503, {"Retry-After": "5"})
    assert str(status) in str(refused.value)


def test_who_is_asked_by_another_server_asks_nobody(server, tmp_path):
    file = file_of(CONTENT)
    with pytest.raises(NoBytes):
        read(store(tmp_path, file, server.root), file, fetch=False)
    assert server.asked == []


def test_bytes_that_are_here_get_the_name_by_which_they_are_known_elsewhere(tmp_path):
    """Where both sites stored the same file; what is damaged is not given on."""
    mine, theirs = file_of(CONTENT, "folder:ab/mine.dcm"), file_of(CONTENT)
    own = store(tmp_path, theirs)
    own.adopt(mine, theirs)  # nothing is here
    own.folder.receive("ab/mine.dcm", [CONTENT])
    own.adopt(mine, {**theirs, "store": "attachment"})
    own.adopt(mine, {**theirs, "store": "folder:../theirs.dcm"})
    assert len(kept(tmp_path)) == 1
    own.adopt(mine, theirs)
    own.discard(mine)
    assert kept(tmp_path) == [tmp_path / NAME]
    assert read(own, theirs) == CONTENT
    linked = file_of(CONTENT, "link:/elsewhere/a.dcm")
    own.adopt(theirs, linked)
    assert read(own, linked) == CONTENT
    own.discard(linked)
    (tmp_path / NAME).write_bytes(bytes(len(CONTENT)))
    with pytest.raises(NoBytes, match="digest"):
        own.adopt(theirs, mine)
    assert kept(tmp_path) == [tmp_path / NAME]


def test_files_of_another_site_are_read_and_never_removed(tmp_path):
    file = file_of(CONTENT)
    theirs, mine = tmp_path / "theirs", tmp_path / "mine"
    Bytes(Couch(file), f"folder:{theirs}").folder.receive(NAME, [CONTENT])
    settings = {"BYTES": f"folder:{mine}", "BYTES_SHARED": str(theirs)}
    own = Bytes.from_config(Config.from_environment(settings), Couch(file))
    assert read(own, file) == CONTENT
    own.discard(file)
    assert kept(tmp_path) == [theirs / NAME]


def test_a_name_that_leads_out_of_the_folder(server, tmp_path):
    file = file_of(CONTENT, "folder:../outside.dcm")
    folder = tmp_path / "inside"
    folder.mkdir()
    with pytest.raises(NoBytes):
        read(store(folder, file, server.root), file)
    assert kept(tmp_path) == []
    assert server.asked == []


def test_memory_is_bounded(server, tmp_path):
    piece = bytes(1 << 20)
    server.pieces = [piece] * 48
    digest = hashlib.sha256()
    for one in server.pieces:
        digest.update(one)
    file = {"store": f"folder:{NAME}", "size": 48 << 20, "sha256": digest.hexdigest()}
    own = store(tmp_path, file, server.root)
    tracemalloc.start()
    for _piece in own.open(DOCUMENT, file):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


def test_the_setting():
    environment = {"BYTES": "folder:/srv/bytes", "BYTES_FROM": "https://a.example/dicom-web http://u:p@b/dicom-web"}
    assert Config.from_environment(environment).bytes_from == ("https://a.example/dicom-web", "http://u:p@b/dicom-web")
    with pytest.raises(ValueError, match="BYTES_FROM needs a folder"):
        Config.from_environment({"BYTES_FROM": "http://a/dicom-web"})
    with pytest.raises(ValueError, match="BYTES_FROM must list DICOMweb roots") as refused:
        Config.from_environment({**environment, "BYTES_FROM": "ftp://u:secret@a/"})
    assert "secret" not in str(refused.value)
