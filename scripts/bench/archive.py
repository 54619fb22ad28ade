"""An archive as it grows: documents, indexes and searches at 10,000 instances, ten times as many, and so on.

The documents are written straight into CouchDB, as the server would write them. What is done is noted in the folder
(``--keep``), so a run that was stopped goes on from there. ``--samples 0`` builds only,
``--beside 0`` does not build the indexes anew.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path

import psutil

from dicouch.scripts import designdocs
from dicouch.scripts.bench import made
from dicouch.scripts.bench.client import (
    FORK,
    Refused,
    Request,
    Sample,
    Side,
    family,
    fetch,
    leave_signals,
    processor_time,
    race,
    run,
)
from dicouch.scripts.bench.files import Template
from dicouch.scripts.bench.memory import MB, watched
from dicouch.scripts.bench.options import Options
from dicouch.scripts.bench.queries import KINDS, Kind
from dicouch.scripts.bench.report import Report, Row
from dicouch.scripts.bench.servers import Server, create, database, pids, shim
from dicouch.scripts.connection import CommandError
from dicouch.scripts.databases import Database
from dicouch.scripts.progress import Bar
from dicouch.scripts.push_views import push

PART = "archive"
FIRST = 10_000
"""Instances of the smallest archive, with which the larger ones are compared."""
GROWTH = 1.3
PER_STUDY = made.SERIES * made.INSTANCES
DOCUMENTS = 1 + made.SERIES + PER_STUDY
"""Of a study."""
STEP = 50
"""Studies a request."""
WAIT = 7 * 86400.0
"""Seconds that an index may take."""
EVERY = 2.0
"""Seconds between two looks at the memory while an index is built."""
CHANGED = "views/studies_by_year/map.js"
"""One view that changes: CouchDB builds all of a design document's indexes anew."""
BESIDE = KINDS[:2]
"""Searches while it does."""


def measure(options: Options, report: Report, folder: Path) -> None:
    """Build archives of several sizes, search all of them in turns, and build their indexes anew while searches run."""
    studies = [instances // PER_STUDY or 1 for instances in sizes(options.instances)]
    engine = options.javascript[0]
    with database(folder / "couchdb", options.database, engine) as couch:
        report.versions["database"] = f"{couch.name} ({engine})"
        steps = Steps(report, folder / "steps.json", couch)
        archives = Archives(options, couch, steps, folder)
        for number in studies:
            archives.load(number)
            archives.index(number)
        if options.samples:
            archives.search(studies)
        for number in studies if options.samples and options.beside else ():
            archives.rebuild(number)


def sizes(instances: int) -> list[int]:
    """Return `FIRST`, ten times that and so on as far as they are below `instances`, and `instances`."""
    found, size = [], FIRST
    while size < instances:
        found.append(size)
        size *= 10
    return [*found, instances]


class Steps:
    """What was done and what it took, in a file: the rows of each step, and the time of one that was stopped."""

    def __init__(self, report: Report, path: Path, couch: Database) -> None:
        self.report = report
        self._path = path
        self._couch = couch
        with suppress(FileNotFoundError):
            told = json.loads(path.read_text("utf-8"))
        self._rows: dict[str, list[dict]] = told["rows"] if path.exists() else {}
        self._spent: dict[str, list[float]] = told["spent"] if path.exists() else {}

    def once(self, step: str, make: Callable[[], Iterator[Row]]) -> list[Row]:
        """Do a step unless an earlier run did, and report its rows."""
        rows = [Row(**row) for row in self._rows.get(step, ())] or list(make())
        self._rows[step] = [asdict(row) for row in rows]
        self._write()
        for row in rows:
            self.report.add(row)
        return rows

    @contextmanager
    def spending(self, step: str) -> Iterator[None]:
        """Add up the seconds of a step, and CouchDB's of processor time, also those of a run that is stopped."""
        started, computed = time.monotonic(), self._computed()
        try:
            yield
        finally:
            before = self._spent.get(step, [0.0, 0.0])
            self._spent[step] = [before[0] + time.monotonic() - started, before[1] + self._computed() - computed]
            self._write()

    def spent(self, step: str, things: int) -> str:
        """Return in words what a step took for so many things."""
        seconds, computed = self._spent[step]
        rate, each = things / max(seconds, 0.001), computed / things * 1000
        return f"{seconds:.0f} s ({rate:.0f} documents/s), CouchDB's processors {computed:.0f} s ({each:.2f} ms each)"

    def _computed(self) -> float:
        return processor_time([self._couch.pid] if self._couch.pid else [])

    def _write(self) -> None:
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps({"rows": self._rows, "spent": self._spent}, indent=1), "utf-8")
        new.replace(self._path)


class Archives:
    """The archives in one CouchDB, each in a database of its own."""

    def __init__(self, options: Options, couch: Database, steps: Steps, folder: Path) -> None:
        self.options = options
        self.couch = couch
        self.steps = steps
        self.folder = folder
        self._place = f"folder:{folder / 'bytes'}"

    def load(self, studies: int) -> None:
        """Write the documents that are not there yet, in as many processes as there are processors."""
        self.steps.once(f"documents-{studies}", lambda: self._load(studies))

    def _load(self, studies: int) -> Iterator[Row]:
        url, step = f"{self.couch.url}/{_name(studies)}", f"documents-{studies}"
        if _name(studies) not in json.loads(fetch(self.couch.url, Request("GET", "/_all_dbs"))[1]):
            create(self.couch, _name(studies))
        stamps = self._stamps()
        chunks = [range(at, min(at + STEP, studies)) for at in range(0, studies, STEP)]
        left = missing(url, studies, chunks)
        total = studies * DOCUMENTS
        with (
            self.steps.spending(step),
            Bar(total=total, initial=total - sum(map(len, left)) * DOCUMENTS, desc=step, unit=" documents") as bar,
            FORK.Pool(initializer=leave_signals) as pool,
        ):
            written = pool.imap(partial(_write, url, stamps, studies), left)
            for chunk, _ in zip(left, written, strict=True):
                bar.update(len(chunk) * DOCUMENTS)
        told = json.loads(fetch(url, Request("GET", ""))[1])
        if told["doc_count"] != total:
            raise Refused(0, f"{told['doc_count']} of {total} documents are there: run it again")
        yield _row("documents", studies, f"{self.steps.spent(step, total)}; {_disk(told, studies)}")

    def _stamps(self) -> dict[str, made.Stamp]:
        """Return the documents that the server itself writes for an instance."""
        with suppress(Refused):  # of a run that was stopped
            fetch(self.couch.url, Request("DELETE", "/template"))
        create(self.couch, "template")
        with shim(self.couch, "template", self._place) as server:
            return made.store_placeholder(server.root, server.couch, Template(8, 8))

    def index(self, studies: int) -> None:
        """Build the indexes."""
        self.steps.once(f"index-{studies}", lambda: self._index(studies))

    def _index(self, studies: int) -> Iterator[Row]:
        step = f"index-{studies}"
        with self.steps.spending(step), watched(self.couch.pid or os.getpid(), EVERY) as seen:
            push(self.couch.url, _name(studies), wait=WAIT)
        told = json.loads(fetch(self.couch.url, Request("GET", f"/{_name(studies)}/_design/dicom/_info"))[1])
        memory = f"CouchDB's memory at most {seen.peak.proportional / MB:.0f} MB"
        taken = self.steps.spent(step, studies * DOCUMENTS)
        yield _row("index", studies, f"{taken}; {_disk(told['view_index'], studies)}; {memory}")

    def search(self, studies: list[int]) -> None:
        """Search the archives in turns, every kind of the bench."""
        with ExitStack() as stack:
            servers: dict[int, Server] = {}

            def taken(kind: Kind) -> Iterator[Row]:
                for number in studies:
                    if number not in servers:
                        servers[number] = stack.enter_context(shim(self.couch, _name(number), self._place))
                yield from self._search(kind, servers)

            last = studies[-1]  # the same folder may have searches of fewer
            rows = [row for kind in KINDS for row in self.steps.once(f"{kind.name}-{last}", partial(taken, kind))]
            for number in studies:
                self.steps.once(f"memory-{number}-{last}", partial(self._memory, servers.get(number), number))
        if misses := [row.measure for row in rows if row.goal.startswith("MISSED")]:
            self.steps.report.note(f"slower than {GROWTH} times the smallest archive: {'; '.join(misses)}")

    def _search(self, kind: Kind, servers: dict[int, Server]) -> Iterator[Row]:
        count = max(3, self.options.samples // (20 if kind.scans else 1))
        # The same studies at every size: in a smaller archive more would be asked for twice, and be remembered.
        chosen = random.Random(0).choices(range(min(servers)), k=count)
        sides = {
            f"{studies * PER_STUDY} instances": Side(
                server.root,
                [[kind.request(number_of(studies), study, studies)] for study in chosen],
                pids(server, self.couch.pid),
            )
            for studies, server in servers.items()
        }
        base = None
        for name, sample in race(sides, 1, self.options.rounds).items():
            row = Row(PART, f"{kind.name}; {name}", "dicouch")
            if isinstance(sample, Refused):
                row.note = f"not measured: {sample.text}"
                yield row
                continue
            base = base or sample
            row.p50, row.p95, row.p99 = sample.p50 * 1000, sample.p95 * 1000, sample.p99 * 1000
            row.cpu = sample.cpu * 1000 / len(sample.seconds)
            row.ratios = {"the smallest's p50": round(base.p50 / sample.p50, 3)}
            if sample is not base:
                row.goal = f"{'reached' if sample.p50 <= base.p50 * GROWTH else 'MISSED'}: at most {GROWTH} times"
            yield row

    def _memory(self, server: Server | None, studies: int) -> Iterator[Row]:
        told = _processes(self.couch.pid)
        told += f"; this archive's server: {_processes(server.pid)}" if server else ""
        yield _row("memory after the searches (PSS)", studies, told)

    def rebuild(self, studies: int) -> None:
        """Push a changed view while a client searches; after this the archive has the changed one."""
        self.steps.once(f"rebuild-{studies}", lambda: self._rebuild(studies))

    def _rebuild(self, studies: int) -> Iterator[Row]:
        changed = self.folder / "designdocs"
        shutil.rmtree(changed, ignore_errors=True)
        shutil.copytree(designdocs.FOLDER, changed)
        view = changed / "dicom" / CHANGED
        view.write_text(view.read_text("utf-8").replace("{\n", "{\n  // Changed.\n", 1), "utf-8")
        name, step = _name(studies), f"rebuild-{studies}"
        built: list[bool] = []

        def build() -> None:
            push(self.couch.url, name, folder=changed, wait=WAIT)
            built.append(True)

        # A push of what is there would throw away what an earlier run has built of the changed one.
        with shim(self.couch, name, self._place, pushed=False) as server, self.steps.spending(step):
            asked = [
                kind.request(number_of(studies), study, studies) for study in range(min(studies, 5)) for kind in BESIDE
            ]
            run(server.root, [asked])
            pushing = threading.Thread(target=build, daemon=True)
            pushing.start()
            taken: list[Sample] = []
            while pushing.is_alive() or not taken:
                taken.append(run(server.root, [[request] for request in asked]))
                pushing.join(0.2)
        if not built:
            raise CommandError("push-views of the changed view failed: its thread has said why")
        sample = Sample.joined(taken)
        row = _row("push-views of a changed view, and searches meanwhile", studies, "")
        row.p50, row.p95, row.p99 = sample.p50 * 1000, sample.p95 * 1000, sample.p99 * 1000
        row.note = f"{self.steps.spent(step, studies * DOCUMENTS)}; {len(sample.seconds)} searches, none failed"
        yield row


def _name(studies: int) -> str:
    return f"archive-{studies}"


def number_of(studies: int) -> int:
    """Return the run of an archive (`bench.files.uid`): the same whenever it is asked, so that one can go on."""
    return 10_000_000 + studies


def missing(url: str, studies: int, chunks: list[range]) -> list[range]:
    """Return the chunks of which the last document is not there; all, when it is somewhere else that one is missing."""
    last = [made.identity(number_of(studies), chunk[-1], made.SERIES, made.INSTANCES) for chunk in chunks]
    keys = [f"{one.study}:{one.series}:{one.instance}" for one in last]
    asked = Request("POST", "/_all_docs", made.JSON_TYPE, json.dumps({"keys": keys}).encode())
    rows = json.loads(fetch(url, asked)[1])["rows"]
    return [chunk for chunk, row in zip(chunks, rows, strict=True) if "id" not in row] or chunks


def _write(url: str, stamps: dict[str, made.Stamp], studies: int, chunk: range) -> None:
    made.load(url, made.documents(stamps, number_of(studies), chunk), lambda _: None, STEP * DOCUMENTS, again=True)


def _row(measure: str, studies: int, note: str) -> Row:
    return Row(PART, f"{measure}; {studies * PER_STUDY} instances", "dicouch", note=note)


def _disk(told: dict, studies: int) -> str:
    if "sizes" not in told:
        return "the database does not tell its size"
    size = told["sizes"]["file"]
    return f"{size / MB:.0f} MB on disk ({size / studies / PER_STUDY / 1000:.2f} KB an instance)"


def _processes(pid: int | None) -> str:
    """Return what each process below one, and itself, has of memory."""
    found = []
    for process in family(pid) if pid else []:
        with suppress(psutil.Error):
            told = process.memory_full_info()
            found.append((getattr(told, "pss", told.rss) / MB, process.name()))
    return ", ".join(f"{name} {size:.0f} MB" for size, name in sorted(found, reverse=True) if size >= 1)
