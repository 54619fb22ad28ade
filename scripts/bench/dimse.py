"""C-STORE over four associations beside Orthanc's, and again with kill -9: nothing that was acknowledged is missing."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from dicouch.scripts import processes
from dicouch.scripts.bench import orthanc
from dicouch.scripts.bench.client import Refused, Sample, processor_time
from dicouch.scripts.bench.files import Identity, Template, new_run, series_of
from dicouch.scripts.bench.kills import DCMSEND, STORESCU, send, survive, together
from dicouch.scripts.bench.options import Options
from dicouch.scripts.bench.report import Goal, Report
from dicouch.scripts.bench.servers import create, free_port
from dicouch.scripts.push_views import push

ASSOCIATIONS = 4
MATRIX = 128
# Instances of one series.
SERIES = 1000
# Seconds in which a server has to listen.
START_LIMIT = 60.0


@dataclass(frozen=True)
class Peer:
    """What files are sent to."""

    port: int
    pids: Callable[[], Sequence[int]]


class Scp:
    """``dicouch storescp`` with its bytes in a folder, which can be killed and started again."""

    def __init__(self, root: str, name: str, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.folder = folder
        self._log = folder / "storescp.log"
        places = {"COUCHDB_URL": root, "COUCHDB_DATABASE": name, "BYTES": f"folder:{folder}/bytes"}
        self._environment = {**os.environ, **places}
        self.start()

    def start(self) -> None:
        """Start it and wait until it listens."""
        command = [sys.executable, "-m", "dicouch.scripts.cli", "storescp", "--bind", f"127.0.0.1:{self.port}"]
        with self._log.open("ab") as log:
            self.process = processes.start(command, env=self._environment, stdout=log, stderr=log)
        wait(self.port)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Stop it in an orderly way."""
        processes.stop(self.process, 20)


def wait(port: int) -> None:
    """Wait until something listens on a port."""
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise Refused(0, f"nothing listens on port {port}")


def measure(options: Options, report: Report, folder: Path) -> None:
    """Measure storing by DIMSE, then store as much again while the server is killed."""
    if missing := [tool for tool in (STORESCU, DCMSEND) if not shutil.which(tool)]:
        report.note(f"dimse: {missing[0]} is not installed (apt-get install dcmtk)")
        return
    template = Template(MATRIX, MATRIX)
    dicom_port = free_port()
    with orthanc.compared(options, report, folder, dicom_port) as (couch, peer):
        create(couch, "dimse")
        push(couch.url, "dimse")
        with contextlib.ExitStack() as stack:
            scp = Scp(couch.url, "dimse", folder / "dicouch")
            stack.callback(scp.stop)
            own = (couch.pid,) if couch.pid else ()
            sides = {"dicouch, folder": Peer(scp.port, lambda: (scp.process.pid, *own))}
            if peer:
                wait(dicom_port)
                sides["Orthanc"] = Peer(dicom_port, lambda: (peer.pid,))
            if options.rounds:
                _race(options, report, folder, template, sides)
            if options.kills:
                with written(folder / "files", template, options.dimse) as files:
                    _survive(options, report, template, scp, files, f"{couch.url}/dimse")


def _race(options: Options, report: Report, folder: Path, template: Template, sides: dict[str, Peer]) -> None:
    taken: dict[str, list[Sample]] = {name: [] for name in sides}
    for _round in range(options.rounds):
        for name, side in sides.items():
            with written(folder / "files", template, options.dimse // options.rounds) as files:
                taken[name].append(timed(side, list(files)))
    report.compare(
        "dimse",
        f"C-STORE of {template.size / 1000:.0f} KB",
        {name: Sample.joined(samples) for name, samples in taken.items()},
        connections=ASSOCIATIONS,
        size=template.size,
        references=("Orthanc",),
        goals=(Goal("dicouch", "Orthanc", 0.5),),
    )


def _survive(
    options: Options, report: Report, template: Template, scp: Scp, files: dict[Path, Identity], database: str
) -> None:
    started = time.monotonic()
    told = survive(scp, files, database, ASSOCIATIONS, options.kills)
    wall = time.monotonic() - started
    report.compare(
        "dimse",
        f"C-STORE while it is killed {told.kills} times",
        {"dicouch, folder": Sample((wall * ASSOCIATIONS / len(files),) * len(files), wall, 0, 0.0)},
        connections=ASSOCIATIONS,
        size=template.size,
        references=(),
    )
    tools = ", ".join(f"{count} by {tool}" for tool, count in told.tools.items())
    report.note(
        f"dimse: {len(files)} instances over {ASSOCIATIONS} associations ({tools}), {told.kills} x kill -9 at random "
        f"moments in {wall:.0f} s: of all that got success the document and, byte for byte, the data set are there"
    )


@contextlib.contextmanager
def written(folder: Path, template: Template, count: int) -> Iterator[dict[Path, Identity]]:
    """Give new files, which are removed afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    run, left = new_run(), max(count, ASSOCIATIONS)
    sizes = [min(SERIES, left - at) for at in range(0, left, SERIES)]
    identities = chain.from_iterable(series_of(run, size, series=at) for at, size in enumerate(sizes, 1))
    for number, identity in enumerate(identities):
        path = folder / f"{number}.dcm"
        path.write_bytes(template.file(identity))
        files[path] = identity
    try:
        yield files
    finally:
        shutil.rmtree(folder)


def timed(side: Peer, files: list[Path]) -> Sample:
    """Send files and take the time; Refused where not all are acknowledged."""
    acknowledged: set[Path] = set()
    before, started = processor_time(side.pids()), time.monotonic()
    together(files, ASSOCIATIONS, lambda _at, share: acknowledged.update(send(side.port, share)))
    wall = time.monotonic() - started
    if missing := len(files) - len(acknowledged):
        raise Refused(0, f"{missing} of {len(files)} instances were not stored")
    each = wall * ASSOCIATIONS / len(files)
    return Sample((each,) * len(files), wall, 0, processor_time(side.pids()) - before)
