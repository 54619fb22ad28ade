"""A DIMSE server of each test module's own, in front of each database, and DCMTK's tools."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pynetdicom import AE, _config

from dicouch.config import Config
from dicouch.read.retrieve import Retriever
from dicouch.scripts.push_views import push
from dicouch.services import Services
from tests import prefork
from tests.conftest import skip
from tests.server import free_port

# The tests send the bytes of files as they are.
_config.STORE_SEND_CHUNKED_DATASET = True


@dataclass
class Scp:
    """A running `dicouch storescp`."""

    database: str
    folder: Path
    options: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: prefork.Server | None = None

    @property
    def root(self) -> str:
        return self.database.rpartition("/")[0]

    def start(self) -> None:
        """Start it, again after it was killed."""
        name = self.database.rpartition("/")[2]
        settings = {
            "COUCHDB_URL": self.root,
            "COUCHDB_DATABASE": name,
            "BYTES": f"folder:{self.folder}/bytes",
            "MAX_INSTANCE_SIZE": str(8 << 20),
            **self.environment,
        }
        (self.folder / "bytes").mkdir(exist_ok=True)
        log = self.folder / "storescp.log"
        self.process = prefork.start(settings, log, "storescp", "--bind", f"127.0.0.1:{self.port}", *self.options)
        for _ in range(1200):
            assert self.process.runs(), log.read_text()
            if listens(self.port):
                return
            time.sleep(0.05)
        raise AssertionError(log.read_text())

    def stop(self, number: int = signal.SIGTERM) -> None:
        assert self.process is not None
        os.kill(self.process.pid, number)
        until(lambda: not self.process.runs())

    def services(self) -> Services:
        """Return the way to what it stored."""
        name = self.database.rpartition("/")[2]
        return Services.from_config(Config(self.root, name, bytes=f"folder:{self.folder}/bytes"))

    def stored(self, study: str, series: str, instance: str) -> bytes:
        """Return an instance's file as it is stored."""
        services = self.services()
        reader = Retriever(services.couch, services.store)
        (found,) = reader.instances(study, series, instance)
        return b"".join(reader.open(found))

    def associate(self, contexts, title: str = "TESTER", called: str = "DICOUCH", **options):
        """Open an association, as pynetdicom does; `contexts` are pairs of a SOP Class and a transfer syntax."""
        entity = AE(title)
        entity.maximum_pdu_size = 131072
        entity.acse_timeout = entity.dimse_timeout = 10  # one of a server that was killed is waited for
        for sop_class, syntax in contexts:
            entity.add_requested_context(sop_class, syntax)
        return entity.associate("127.0.0.1", self.port, ae_title=called, **options)

    def run(self, name: str, *arguments: object, title: str = "TESTER", called: str = "DICOUCH"):
        """Run a tool of DCMTK against it; its output is in ``stdout``."""
        command = [name, "-v", "-aet", title, "-aec", called, *map(str, arguments[:-1] if arguments else ())]
        command += ["127.0.0.1", str(self.port), *map(str, arguments[-1:])]
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)


def listens(port: int) -> bool:
    """Return whether something takes connections on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def until(told: Callable[[], object]) -> None:
    """Wait until something is so; a busy machine takes its time."""
    for _ in range(1500):
        if told():
            return
        time.sleep(0.02)
    raise AssertionError


@pytest.fixture(scope="module")
def peers_file() -> str:
    """Give the text of the peers file; a test module may have one."""
    return ""


@pytest.fixture(scope="module")
def scp(fresh_database: str, peers_file: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scp]:
    """Give a server of the test module's own, with the bytes in a folder."""
    folder = tmp_path_factory.mktemp("scp")
    options: tuple[str, ...] = ()
    if peers_file:
        (folder / "peers.toml").write_text(peers_file)
        options = ("--peers", str(folder / "peers.toml"))
    push(*fresh_database.rsplit("/", 1))
    running = Scp(fresh_database, folder, options)
    running.start()
    yield running
    if running.process and running.process.runs():
        running.stop()


@pytest.fixture
def dcmtk(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Skip, loudly, where the tools of DCMTK are absent."""
    if not shutil.which("storescu"):
        skip(request.config, "DIMSE with DCMTK", "its tools are not installed (apt-get install dcmtk)")
