"""C-STORE over four associations beside Orthanc's, and again with kill -9: nothing that was acknowledged is missing."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from dicouch.scripts import processes
from dicouch.scripts.bench import orthanc
from dicouch.scripts.bench.client import Refused, Request, Sample, fetch, processor_time
from dicouch.scripts.bench.files import Identity, Template, new_run, series_of
from dicouch.scripts.bench.options import Options
from dicouch.scripts.bench.report import Goal, Report
from dicouch.scripts.bench.servers import create, free_port
from dicouch.scripts.push_views import push

ASSOCIATIONS = 4
MATRIX = 128
KILLS = 3
TOOL = "storescu"
SENT = re.compile(r"Sending file: (.*?)\n(?:(?!Sending file).)*?Received Store Response \(Success\)", re.DOTALL)
# Seconds in which a server has to listen, and between attempts of a client to reach one that was killed.
START_LIMIT, AGAIN = 60.0, 0.2


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
    if not shutil.which(TOOL):
        report.note(f"dimse: {TOOL} is not installed (apt-get install dcmtk)")
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
            with written(folder / "files", template, options.dimse) as files:
                kills = survive(scp, files, f"{couch.url}/dimse")
            report.note(
                f"dimse: {len(files)} instances, {ASSOCIATIONS} associations, {kills} x kill -9: none is missing"
            )


@contextlib.contextmanager
def written(folder: Path, template: Template, count: int) -> Iterator[dict[Path, Identity]]:
    """Give new files, which are removed afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for number, identity in enumerate(series_of(new_run(), max(count, ASSOCIATIONS))):
        path = folder / f"{number}.dcm"
        path.write_bytes(template.file(identity))
        files[path] = identity
    try:
        yield files
    finally:
        shutil.rmtree(folder)


def send(port: int, files: Sequence[Path]) -> set[Path]:
    """Send files over one association; return those that were acknowledged."""
    command = [TOOL, "-v", "-R", "-aec", "DICOUCH", "127.0.0.1", str(port), *map(str, files)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return {Path(name) for name in SENT.findall(done.stdout)}


def together(files: Sequence[Path], one: Callable[[Sequence[Path]], None]) -> None:
    """Do something with a share of files in each of as many threads as there are associations."""
    threads = [threading.Thread(target=one, args=(files[at::ASSOCIATIONS],), daemon=True) for at in range(ASSOCIATIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def timed(side: Peer, files: list[Path]) -> Sample:
    """Send files and take the time; Refused where not all are acknowledged."""
    acknowledged: set[Path] = set()
    before, started = processor_time(side.pids()), time.monotonic()
    together(files, lambda share: acknowledged.update(send(side.port, share)))
    wall = time.monotonic() - started
    if missing := len(files) - len(acknowledged):
        raise Refused(0, f"{missing} of {len(files)} instances were not stored")
    each = wall * ASSOCIATIONS / len(files)
    return Sample((each,) * len(files), wall, 0, processor_time(side.pids()) - before)


def survive(scp: Scp, files: dict[Path, Identity], database: str) -> int:
    """Send files until all are acknowledged, while the server is killed; return how often.

    Raises
    ------
    Refused
        When one that was acknowledged is not there.
    """
    acknowledged: set[Path] = set()

    def insist(share: Sequence[Path]) -> None:
        while left := [path for path in share if path not in acknowledged]:
            if not (told := send(scp.port, left)):
                time.sleep(AGAIN)
            acknowledged.update(told)

    goals = sorted(random.sample(range(1, len(files)), min(KILLS, len(files) - 1)))
    sender = threading.Thread(target=together, args=(list(files), insist), daemon=True)
    sender.start()
    kills = 0
    while sender.is_alive():
        # A client tells at the end of an association: the documents say how far it is.
        if kills < len(goals) and stored(database, files) >= goals[kills]:
            scp.kill()
            kills += 1
            scp.start()
        sender.join(0.05)
    if missing := len(files) - stored(database, files):
        raise Refused(0, f"{missing} of {len(files)} acknowledged instances are missing")
    return kills


def stored(database: str, files: dict[Path, Identity]) -> int:
    """Return how many of some instances, all of one series, are in the database."""
    identity = next(iter(files.values()))
    place = f"{identity.study}:{identity.series}"
    keys = urlencode({"startkey": json.dumps(f"{place}:"), "endkey": json.dumps(f"{place}:\uffff")})
    rows = json.loads(fetch(database, Request("GET", f"/_all_docs?{keys}"))[1])["rows"]
    return len({row["id"].rpartition(":")[2] for row in rows} & {one.instance for one in files.values()})
