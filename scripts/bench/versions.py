"""Another checkout's server beside this one's: the same requests in turn, to databases of one CouchDB.

    dicouch bench versions --other ../dicouch-before

Its `make run` must have been set up.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from dicouch.scripts import processes, run
from dicouch.scripts.bench import made
from dicouch.scripts.bench.client import Operation, Request, Side, fetch, race
from dicouch.scripts.bench.client import run as send
from dicouch.scripts.bench.files import Identity, Template, new_run, series_of, store_request
from dicouch.scripts.bench.metadata import metadata
from dicouch.scripts.bench.options import Options
from dicouch.scripts.bench.queries import KINDS
from dicouch.scripts.bench.report import Report
from dicouch.scripts.bench.servers import PREFIX, Server, create, database, free_port, pids, settled, shim
from dicouch.scripts.bench.wado import FRAME, INSTANCE, JPEG, resource
from dicouch.scripts.connection import CommandError
from dicouch.scripts.databases import Database

NEW, OLD = "this checkout", "the other"
SERIES_LENGTH = 8


def measure(options: Options, report: Report, folder: Path) -> None:
    """Measure storing, searching and retrieving through both."""
    if options.other is None:
        report.note("versions needs --other DIR, a checkout to compare with")
        return
    with (
        database(folder / "couchdb", options.database, options.javascript[0]) as couch,
        contextlib.ExitStack() as stack,
    ):
        report.versions["database"] = f"{couch.name} ({options.javascript[0]})"
        for place in ("attachment", "folder"):
            names = {which: f"{place}-{number}" for number, which in enumerate((NEW, OLD))}
            for name in names.values():
                create(couch, name)
            bytes_in = {
                which: f"folder:{folder / name}" if place == "folder" else place for which, name in names.items()
            }
            new = stack.enter_context(shim(couch, names[NEW], bytes_in[NEW]))
            old = stack.enter_context(other(options.other, couch, names[OLD], bytes_in[OLD]))
            servers = (replace(new, name=NEW), old)
            Comparison(options, report, couch, servers, place).measure()


def interpreter(checkout: Path) -> tuple[str, str]:
    """Return the Python of a checkout, and what its scripts are imported as."""
    python = checkout.resolve() / ".venv" / "bin" / "python"
    if not python.is_file():
        raise CommandError(f"{checkout} has no .venv: run `make run` there once")
    for package in ("dicouch.scripts", "scripts"):
        command = [str(python), "-c", f"import {package}"]
        if subprocess.run(command, cwd=checkout, capture_output=True, check=False).returncode == 0:
            return str(python), package
    raise CommandError(f"{checkout} is no checkout of this project")


def push_views(checkout: Path, settings: Mapping[str, str]) -> None:
    """Let a checkout deploy its design documents to the database that the settings name."""
    python, package = interpreter(checkout)
    # Before there was one command, its module was a program.
    has_command = (checkout / "scripts" / "cli.py").is_file()
    words = [f"{package}.cli", "push-views"] if has_command else [f"{package}.push_views"]
    pushed = subprocess.run(
        [python, "-m", *words], cwd=checkout, env={**os.environ, **settings}, capture_output=True, check=False
    )
    if pushed.returncode:
        raise CommandError(f"the other checkout cannot push its design documents: {pushed.stderr.decode()[-300:]}")


@contextlib.contextmanager
def other(checkout: Path, couch: Database, name: str, place: str) -> Iterator[Server]:
    """Serve DICOMweb from the database `name` by another checkout, with its design documents."""
    python, package = interpreter(checkout)
    push_views(checkout, {"COUCHDB_URL": couch.url, "COUCHDB_DATABASE": name})
    process = processes.start([python, "-m", f"{package}.serve"], cwd=checkout, stdin=subprocess.PIPE, text=True)
    port = free_port()
    try:
        settings = {"PREFIX": PREFIX, "SHIM_LOG": "error", "BYTES": place}
        run.serve(process, f"127.0.0.1:{port}", couch.url, name, **settings)
        root = f"http://127.0.0.1:{port}{PREFIX}"
        run.wait_until_ready(process, root)
        yield Server(OLD, root, process.pid, f"{couch.url}/{name}")
    finally:
        processes.stop(process, run.STOP_LIMIT)


class Comparison:
    """The measurements on two servers.

    Parameters
    ----------
    couch : Database
    servers : sequence of Server
    place : str
        Where they have their bytes.
    """

    def __init__(
        self, options: Options, report: Report, couch: Database, servers: Sequence[Server], place: str
    ) -> None:
        self.options = options
        self.report = report
        self.couch = couch
        self.servers = servers
        self.place = place
        self.template = Template(options.matrix, options.matrix)
        self.settle = settled(couch.url)

    def measure(self) -> None:
        """Measure everything once."""
        self.store()
        self.retrieve()
        self.metadata()
        if self.place == "folder":
            self.search()

    def race(
        self, what: str, operations: Sequence[Operation], connections: int = 1, per: float = 1, by: str = "rate"
    ) -> None:
        """Send the same operations to both in turn."""
        sides = {one.name: Side(one.root, operations, pids(one, self.couch.pid)) for one in self.servers}
        taken = race(sides, connections, self.options.rounds)
        label = f"{what}, {self.place}"
        self.report.compare("versions", label, taken, connections=connections, per=per, by=by, references=(OLD,))

    def store(self) -> None:
        """Store large and small instances."""
        for template, size in ((self.template, "large"), (Template(64, 64), "small")):
            for per in (1, 10):
                for connections in self.options.connections:
                    count = max(per, self.options.instances // per * per)
                    files = [template.file(one) for one in series_of(new_run(), count)]
                    requests = [[store_request(files[at : at + per])] for at in range(0, count, per)]
                    self.race(f"store {size} instances, {per} a request", requests, connections, per)
                    self.settle()

    def series(self) -> list[list[Identity]]:
        """Store series on both, unknown to the servers' memories."""
        number = new_run()
        count = max(1, self.options.instances // SERIES_LENGTH)
        made = [series_of(number, SERIES_LENGTH, series=one) for one in range(1, count + 1)]
        for server in self.servers:
            send(server.root, [[store_request([self.template.file(each) for each in one])] for one in made], 2)
        self.settle()
        return made

    def retrieve(self) -> None:
        """Retrieve instances, series, frames and pictures, each for the first time and again."""
        for connections in self.options.readers:
            for what, accept, below in (
                ("instance", INSTANCE, ()),
                ("frame", FRAME, ("frames", "1")),
                ("rendered", JPEG, ("rendered",)),
            ):
                requests = [
                    [Request("GET", resource(one, *below), accept, least=100)] for each in self.series() for one in each
                ]
                self.race(f"{what}, first time", requests, connections)
                self.race(f"{what}, again", requests, connections)
            whole = [
                [Request("GET", resource(one[0]).partition("/instances")[0], INSTANCE, least=self.template.size)]
                for one in self.series()
            ]
            self.race(f"series of {SERIES_LENGTH}, first time", whole, connections)
            self.race(f"series of {SERIES_LENGTH}, again", whole, connections)
        self.multi_frame()

    def multi_frame(self) -> None:
        """Retrieve frames of one instance."""
        template = Template(self.options.matrix, self.options.matrix, self.options.frames)
        identity = series_of(new_run(), 1)[0]
        for server in self.servers:
            send(server.root, [[store_request([template.file(identity)])]])
        numbers = [number % self.options.frames + 1 for number in range(0, 7 * self.options.instances, 7)]
        requests = [
            [Request("GET", resource(identity, "frames", str(number)), FRAME, least=template.frame_length)]
            for number in numbers
        ]
        for connections in self.options.readers:
            self.race("frame of a multi-frame instance", requests, connections)

    def metadata(self) -> None:
        """Retrieve the metadata of a long series, and of short ones."""
        long = series_of(new_run(), self.options.ct)
        pixels = bytes(self.template.pixels)
        for server in self.servers:
            files = ([self.template.file(one, pixels) for one in long[at : at + 10]] for at in range(0, len(long), 10))
            for some in files:
                send(server.root, [[store_request(some)]])
        self.settle()
        cold = [[metadata(long[0], self.options.ct)]]
        self.race(f"metadata of {self.options.ct}, first time", cold, by="p50")
        self.race(f"metadata of {self.options.ct}, again", cold * 20, by="p50")
        short = [[metadata(one[0], SERIES_LENGTH)] for one in self.series()]
        self.race(f"metadata of {SERIES_LENGTH}, first time", short, by="p50")
        self.race(f"metadata of {SERIES_LENGTH}, again", short, by="p50")

    def search(self) -> None:
        """Search one archive through both, every kind twice."""
        studies, number = max(self.options.studies), new_run()
        for server in self.servers:
            stamps = made.store_placeholder(server.root, server.couch, Template(64, 64))
            with tqdm(
                total=studies * 13, unit="document", desc=f"{studies} studies, {server.name}", disable=None
            ) as bar:
                made.load(server.couch, made.documents(stamps, number, range(studies)), bar.update)
            fetch(server.root, Request("GET", "/studies?limit=1"))
        self.settle()
        step = max(1, studies // self.options.samples)
        for kind in KINDS:
            count = max(3, self.options.samples // (5 if kind.scans else 1))
            asked = [[replace(kind.request(number, at * step, studies), check=None)] for at in range(count)]
            self.race(f"search: {kind.name}; {studies} studies", asked, by="p50")
            self.race(f"search: {kind.name}, again; {studies} studies", asked, by="p50")
