"""Memory of the DICOMweb server while something large goes through it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from dicouch.scripts.bench.client import Refused, Request, family, fetch, run
from dicouch.scripts.bench.files import (
    BOUNDARY,
    PART_HEAD,
    STORE_HEADERS,
    Identity,
    Template,
    complete,
    new_run,
    random_block,
    series_of,
)
from dicouch.scripts.bench.options import Options
from dicouch.scripts.bench.report import Report, Row
from dicouch.scripts.bench.servers import Server, create, database, shim

EVERY = 0.05
"""Seconds between two looks."""
STORE_LIMIT = 200.0
RETRIEVE_LIMIT = 300.0
MB = 1e6
RETRIEVE = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}


def measure(options: Options, report: Report, folder: Path) -> None:
    """Watch all processes of the server while a large instance is stored, retrieved, and retrieved by many at once."""
    frame = options.matrix * options.matrix * 2
    template = Template(options.matrix, options.matrix, max(2, (options.big << 20) // frame))
    size = f"{template.size / MB:.0f} MB"
    with database(folder / "couchdb", options.database, options.javascript[0]) as couch:
        report.versions["database"] = f"{couch.name} ({options.javascript[0]})"
        for place in ("attachment", f"folder:{folder / 'bytes'}"):
            name = place.partition(":")[0]
            create(couch, name)
            with shim(couch, name, place) as server:
                identity = series_of(new_run(), 1)[0]
                with watched(server.pid) as peak:
                    store_file(server, template, identity)
                add(report, f"storing an instance of {size}", server, peak, STORE_LIMIT)
                retrieval = Request("GET", f"/studies/{identity.study}", RETRIEVE, least=template.size)
                with watched(server.pid) as peak:
                    sample = run(server.root, [[retrieval]])
                speed = sample.received / sample.wall / MB
                add(report, f"retrieving it ({speed:.0f} MB/s)", server, peak, STORE_LIMIT)
                with watched(server.pid) as peak:
                    sample = run(server.root, [[retrieval]] * options.clients, options.clients)
                speed = sample.received / sample.wall / MB
                told = f"{options.clients} clients retrieving it ({speed:.0f} MB/s)"
                add(report, told, server, peak, RETRIEVE_LIMIT, beyond=True)


@dataclass(frozen=True)
class Memory:
    """Bytes of all processes of a server together.

    Attributes
    ----------
    resident : int
        Their resident memory (RSS) added up: what they share counts once for each.
    proportional : int
        The same with what they share counted once (PSS); where the system does not tell that, `resident`.
    """

    resident: int = 0
    proportional: int = 0

    def most(self, other: Memory) -> Memory:
        return Memory(max(self.resident, other.resident), max(self.proportional, other.proportional))


@dataclass
class Watched:
    """Memory before the block, and the most while it ran."""

    idle: Memory
    peak: Memory


@contextmanager
def watched(pid: int, every: float = EVERY) -> Iterator[Watched]:
    """Look at the memory of a process and all below it every so many seconds while the block runs."""
    before = memory_of(pid)
    seen = Watched(before, before)
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(every):
            seen.peak = seen.peak.most(memory_of(pid))

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield seen
    finally:
        stop.set()
        watcher.join()


def memory_of(pid: int) -> Memory:
    """Return the memory of a process and all below it now."""
    resident = proportional = 0
    for process in family(pid):
        with suppress(psutil.Error):
            told = process.memory_full_info()
            resident += told.rss
            proportional += getattr(told, "pss", told.rss)
    return Memory(resident, proportional)


def add(report: Report, measure: str, server: Server, seen: Watched, limit: float, beyond: bool = False) -> None:
    """Keep a row, and say whether the peak (or what is beyond the idle size) stays under `limit` megabytes."""
    idle, peak = seen.idle, seen.peak
    used = (peak.proportional - (idle.proportional if beyond else 0)) / MB
    note = f"peak {peak.proportional / MB:.0f} MB, {idle.proportional / MB:.0f} MB before"
    note += f" (RSS of all processes added up: {peak.resident / MB:.0f} and {idle.resident / MB:.0f} MB)"
    goal = f"{'reached' if used < limit else 'MISSED'}: {used:.0f} of {limit:.0f} MB{' beyond idle' if beyond else ''}"
    report.add(Row("memory", measure, server.name, note=note, goal=goal))


def store_file(server: Server, template: Template, identity: Identity) -> None:
    """Store one instance of any size without holding it in memory.

    Raises
    ------
    Refused
        If it is not stored.
    """
    head, block = template.head(identity), random_block(template.frame_length)
    end = f"\r\n--{BOUNDARY}--\r\n".encode()

    def body() -> Iterator[bytes]:
        yield PART_HEAD + head
        for _ in range(template.pixels // len(block)):
            yield block
        yield end

    length = len(PART_HEAD) + template.size + len(end)
    headers = {**STORE_HEADERS, "Content-Length": str(length)}
    if complaint := complete(fetch(server.root, Request("POST", "/studies", headers, body))[1], 1):
        raise Refused(200, f"{server.name}: {complaint}")
