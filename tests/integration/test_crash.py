"""kill -9 at a random moment of an upload: what was answered as stored is there, and nothing is half there.

``CRASH_ROUNDS`` sets how many rounds each victim gets (1 by default).
"""

import os
import random
import signal
import threading
import time
from contextlib import contextmanager

import psutil
import pytest
import requests

from dicouch.scripts.databases import embedded, find_couchdb, private_couchdb
from tests.conftest import EXTENT
from tests.made import instance
from tests.server import serve

ROUNDS = int(os.environ.get("CRASH_ROUNDS", "1"))
STUDIES, CLIENTS = 3, 3


class Uploader(threading.Thread):
    """A client that stores one new instance after the other and remembers what was acknowledged."""

    def __init__(self, server, number, stop):
        super().__init__()
        self.server, self.number, self.stop = server, number, stop
        self.acknowledged = {}

    def run(self):
        count = 0
        while not self.stop.is_set():
            count += 1
            study = f"1.{self.number}.{count % STUDIES + 1}"
            sop = f"{study}.5.{count}"
            data = instance(study, f"{study}.5", sop, pixels=random.randbytes(2 * 64 * 64))
            try:
                answer = self.server.store(data)
            except requests.RequestException:
                time.sleep(0.05)
                continue
            if answer.status_code in (200, 202) and "00081199" in answer.json():
                self.acknowledged[f"/studies/{study}/series/{study}.5/instances/{sop}"] = data


@contextmanager
def started(kind, folder):
    if kind == "couchdb":
        with private_couchdb(folder) as running:
            yield running
    else:
        with embedded(folder) as running:
            yield running


def kill(victim, server, database):
    """Send SIGKILL to a worker, to the whole shim, or to the database."""
    master = psutil.Process(server.pid)
    if victim == "worker":
        random.choice(master.children()).kill()
    elif victim == "shim":
        for process in [*master.children(recursive=True), master]:
            process.kill()
    else:
        os.kill(database.pid, signal.SIGKILL)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("kind", "victim"),
    [("embedded", "worker"), ("couchdb", "shim"), ("embedded", "database"), ("couchdb", "database")]
    # The database does not see which process of a server ends.
    + ([("couchdb", "worker"), ("embedded", "shim")] if EXTENT["all"] else []),
)
def test_nothing_acknowledged_is_lost(kind, victim, tmp_path):
    if kind == "couchdb" and not find_couchdb():
        pytest.skip("no Apache CouchDB on this machine")
    acknowledged = {}
    for number in range(1, ROUNDS + 1):
        with started(kind, tmp_path / "data") as database:
            address = f"{database.url}/crash"
            requests.put(address, timeout=30)
            with serve(address, tmp_path / "log") as server:
                stop = threading.Event()
                clients = [Uploader(server, number * 10 + n, stop) for n in range(CLIENTS)]
                for client in clients:
                    client.start()
                time.sleep(0.5 + random.random() * 1.5)
                kill(victim, server, database)
                if victim == "worker":
                    time.sleep(0.5)
                stop.set()
                for client in clients:
                    client.join()
                    acknowledged.update(client.acknowledged)
        with started(kind, tmp_path / "data") as database, serve(f"{database.url}/crash", tmp_path / "log") as server:
            check(server, acknowledged)
    assert len(acknowledged) >= ROUNDS


def check(server, acknowledged):
    """Everything acknowledged is there bit for bit; everything listed can be retrieved; counts say what is there."""
    for path, data in acknowledged.items():
        response = server.get(path, headers={"Accept": "application/dicom; transfer-syntax=*"})
        assert response.status_code == 200, path
        assert response.content == data, path
    listed = 0
    for study in server.get("/studies").json():
        uid = study["0020000D"]["Value"][0]
        rows = server.get(f"/studies/{uid}/instances").json()
        assert len(rows) == study["00201208"]["Value"][0]
        assert len(server.get(f"/studies/{uid}/metadata").json()) == len(rows)
        for row in rows:
            part = row["00081190"]["Value"][0].removeprefix(server.url)
            response = server.get(part, headers={"Accept": "application/dicom; transfer-syntax=*"})
            assert response.status_code == 200, part
            assert response.content[128:132] == b"DICM"
        listed += len(rows)
    assert listed >= len(acknowledged)
