"""The private Apache CouchDB as a process."""

from __future__ import annotations

import signal
from pathlib import Path

import psutil
import pytest
import requests

from dicouch.scripts.databases import DatabaseError, embedded, find_couchdb, private_couchdb

pytestmark = pytest.mark.skipif(not find_couchdb(), reason="no Apache CouchDB on PATH or in /opt/couchdb/bin")


def test_a_second_start_finds_data_port_and_password(tmp_path: Path):
    with private_couchdb(tmp_path) as database:
        assert database.name.startswith("Apache CouchDB 3.")
        assert requests.get(database.fauxton, timeout=10).ok
        requests.put(f"{database.url}/kept", timeout=30).raise_for_status()
        requests.put(f"{database.url}/kept/doc", json={"a": 1}, timeout=30).raise_for_status()
        with pytest.raises(DatabaseError, match="in use"), private_couchdb(tmp_path):
            pass
        processes = [psutil.Process(database.pid), *psutil.Process(database.pid).children(recursive=True)]
        first = database
    assert not [process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    for name in ("private.json", "private.ini"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    with private_couchdb(tmp_path) as database:
        assert database.url == first.url
        assert requests.get(f"{database.url}/kept/doc", timeout=30).json()["a"] == 1
        assert database.password not in (tmp_path / "couchdb.log").read_text()


def test_several_at_once(tmp_path: Path):
    with private_couchdb(tmp_path / "a") as one, private_couchdb(tmp_path / "b", js_engine="spidermonkey") as two:
        assert one.url != two.url
        requests.put(f"{one.url}/mine", timeout=30).raise_for_status()
        assert requests.get(f"{two.url}/mine", timeout=30).status_code == 404
        for database, engine in ((one, "quickjs"), (two, "spidermonkey")):
            config = requests.get(f"{database.url}/_node/_local/_config/couchdb", timeout=30).json()
            assert config.get("js_engine", engine) == engine
            assert config["max_attachment_size"] == "infinity"
            assert config["btree_chunk_size"] == "4096"
        info = requests.get(f"{one.url}/mine", timeout=30).json()
        assert (info["cluster"]["n"], info["cluster"]["q"]) == (1, 2)


def test_it_ends_when_killed_outside(tmp_path: Path):
    with private_couchdb(tmp_path) as database:
        psutil.Process(database.pid).send_signal(signal.SIGKILL)
    with private_couchdb(tmp_path) as database:
        assert requests.get(f"{database.url}/_up", timeout=10).ok


def test_what_is_not_there(tmp_path: Path):
    with pytest.raises(DatabaseError, match="not here"), private_couchdb(tmp_path, binary=tmp_path / "none"):
        pass


def test_a_port_in_use(tmp_path: Path):
    with embedded(memory=True) as other:
        port = int(other.fauxton.split(":")[2].split("/")[0])
        with pytest.raises(DatabaseError, match=f"port {port} is in use"), private_couchdb(tmp_path, port=port):
            pass
        with pytest.raises(DatabaseError, match=f"port {port} is in use"), embedded(tmp_path, port=port):
            pass
