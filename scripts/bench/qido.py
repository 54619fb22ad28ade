"""QIDO-RS on archives of several sizes, beside the same requests straight to CouchDB, its plain views, and Orthanc."""

from __future__ import annotations

import json
import random
import re
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote, urlencode

from tqdm import tqdm

from dicouch.scripts.bench import made, orthanc
from dicouch.scripts.bench.client import Operation, Refused, Request, Sample, Side, background, fetch, race, run
from dicouch.scripts.bench.files import Template, new_run, series_of, store_request
from dicouch.scripts.bench.options import Options
from dicouch.scripts.bench.queries import JSON, KINDS, PAGE, Kind
from dicouch.scripts.bench.report import Goal, Report, Row
from dicouch.scripts.bench.servers import Server, create, database, pids, shim
from dicouch.scripts.databases import Database
from dicouch.scripts.push_views import push

TINY_MATRIX = 8
SCAN_LIMIT = 1.0
FIRST_LIMIT = 2.0
SLOWER, SLOWEST = 2.0, 0.06
"""How much slower a search may be beside a client that stores: p50 by this factor, p99 in seconds."""
ALONE = 5.0
"""Seconds for which that client stores alone."""
OVERHEAD_LIMIT = 3.0
GROWTH = 1.3
BASE = 1000
"""Studies of the archive that larger ones are compared with."""
LARGE = 10000
"""Studies."""
QUICK = 0.005
"""Seconds."""
DIRECT = "the same requests to CouchDB"
VIEW = "CouchDB's plain views"


def measure(options: Options, report: Report, folder: Path) -> None:
    """Measure searching, with each JavaScript engine."""
    runs = {size: new_run() for size in options.studies}
    peers: dict[int, Server] = {}
    with ExitStack() as stack:
        for size in sorted(options.studies):
            if size <= options.orthanc_studies:
                peer = stack.enter_context(orthanc.beside(options, folder / f"orthanc-{size}"))
                if peer:
                    report.versions["orthanc"] = orthanc.version(peer)
                    load_orthanc(peer, runs[size], size)
                    peers[size] = peer
        for engine in options.javascript:
            # The second engine finds the archives that were loaded for the first.
            with database(folder / "couchdb", options.database, engine) as couch:
                report.versions[engine] = f"{couch.name} ({engine})"
                Searches(options, report, couch, engine, runs, peers, folder / "bytes").measure()


def load_orthanc(peer: Server, runs: int, studies: int) -> None:
    """Store an archive on Orthanc, ten instances a request over four connections."""
    template = Template(TINY_MATRIX, TINY_MATRIX)
    step = 100
    with tqdm(total=studies, unit="study", desc=f"Orthanc, {studies} studies", disable=None) as bar:
        for start in range(0, studies, step):
            numbers = range(start, min(start + step, studies))
            requests = [[store_request(list(made.files(template, runs, [number])))] for number in numbers]
            run(peer.root, requests, 4)
            bar.update(len(numbers))


class Searches:
    """The measurements on one database server.

    Parameters
    ----------
    engine : str
        Its JavaScript engine.
    runs : dict of int to int
        By number of studies, the run that sets an archive's UIDs apart.
    peers : dict of int to Server
        By number of studies, an Orthanc with the same archive.
    """

    def __init__(
        self,
        options: Options,
        report: Report,
        couch: Database,
        engine: str,
        runs: dict[int, int],
        peers: dict[int, Server],
        stored: Path,
    ) -> None:
        self.options = options
        self.report = report
        self.couch = couch
        self.engine = engine
        self.runs = runs
        self.peers = peers
        self.stored = stored
        # Of the largest archive, by kind.
        self.quiet: dict[str, Sample | Refused] = {}
        # What a client stored a second beside the searches, by server.
        self.rates: dict[str, list[float]] = {}

    def measure(self) -> None:
        """Load what is missing, and search."""
        with ExitStack() as stack:
            servers = {}
            for size in sorted(self.options.studies):
                self.load(size)
                servers[size] = stack.enter_context(shim(self.couch, f"archive-{size}", f"folder:{self.stored}"))
            for kind in KINDS:
                taken = {size: self.search(kind, size, server) for size, server in servers.items()}
                self.quiet[kind.name] = taken[max(servers)]
                self.growth(kind, taken)
            largest = max(servers)
            self.beside(largest, servers[largest])
            self.overhead(servers[largest], largest)
        self.first_after_load()

    def load(self, studies: int) -> None:
        """Write an archive straight into a database, then build its indexes."""
        name = f"archive-{studies}"
        if name in json.loads(fetch(self.couch.url, Request("GET", "/_all_dbs"))[1]):
            return
        create(self.couch, "template")
        with shim(self.couch, "template", f"folder:{self.stored}") as server:
            stamps = made.store_placeholder(server.root, server.couch, Template(TINY_MATRIX, TINY_MATRIX))
        fetch(self.couch.url, Request("DELETE", "/template"))
        url = create(self.couch, name)
        texts = made.documents(stamps, self.runs[studies], range(studies))
        total = studies * (1 + made.SERIES * (1 + made.INSTANCES))
        with tqdm(total=total, unit="document", desc=f"CouchDB, {studies} studies", disable=None) as bar:
            made.load(url, texts, bar.update)
        started = time.monotonic()
        push(self.couch.url, name, wait=7200)
        seconds = time.monotonic() - started
        speed = f"{total / seconds:.0f} documents/s"
        self.report.note(f"indexing {total} documents ({self.engine}): {seconds:.0f} s, {speed}")

    def search(self, kind: Kind, studies: int, server: Server, storing: bool = False) -> Sample | Refused:
        """Measure one kind of search on one archive; return what this server took."""
        count = self.options.samples
        if kind.scans:
            count = max(3, count // 5)
        # The same studies at every size: in a smaller archive more would be asked for twice, and be remembered.
        chosen = random.Random(0).choices(range(min(studies, BASE)), k=count)
        number = self.runs[studies]
        asked = [[kind.request(number, study, studies)] for study in chosen]
        sides = {"dicouch": Side(server.root, asked, pids(server, self.couch.pid))}
        if peer := self.peers.get(studies):
            sides["Orthanc"] = Side(peer.root, asked, (peer.pid,))
        if not storing:
            direct = [explained(server, operation[0]) for operation in asked]
            sides[DIRECT] = Side(server.couch, [requests for requests, _ in direct])
            sides[VIEW] = Side(server.couch, [views for _, views in direct])
        taken: dict[str, Sample | Refused] = {}
        if storing:
            for name, side in sides.items():
                with background(side.root, uploads()) as client:
                    taken |= race({name: side}, 1, 1)
                self.rates.setdefault(name, []).append(client.rate)
        else:
            taken = race(sides, 1, self.options.rounds)
        goals = [] if kind.scans or storing else goals_beside(taken.get("Orthanc"), studies)
        beside = " while another client stores" if storing else ""
        label = f"{kind.name}; {studies} studies, {self.engine}{beside}"
        self.report.compare("qido", label, taken, by="p50", references=("Orthanc", DIRECT, VIEW), goals=goals)
        return taken["dicouch"]

    def beside(self, studies: int, server: Server) -> None:
        """Search while another client stores; compare both with those who have the server to themselves."""
        kinds = [kind for kind in KINDS if not kind.scans][: self.options.beside]
        for kind in kinds:
            quiet, taken = self.quiet[kind.name], self.search(kind, studies, server, storing=True)
            if not isinstance(quiet, Sample) or not isinstance(taken, Sample):
                continue
            ratio = taken.p50 / quiet.p50
            reached = ratio <= SLOWER and taken.p99 < SLOWEST
            row = Row("qido", f"{kind.name}: p50 beside a storing client over p50 without, {self.engine}", "dicouch")
            row.note = f"{ratio:.2f} times the time, p99 {taken.p99 * 1000:.1f} ms"
            told = f"at most {SLOWER:g} times, p99 under {SLOWEST * 1000:g} ms"
            row.goal = f"{'reached' if reached else 'MISSED'}: {told}"
            self.report.add(row)
        roots = {"dicouch": server.root}
        if peer := self.peers.get(studies):
            roots["Orthanc"] = peer.root
        for name, root in roots.items() if kinds else ():
            with background(root, uploads()) as client:
                time.sleep(ALONE)
            row = Row("qido", f"storing beside searches; {studies} studies, {self.engine}", name)
            row.rate = statistics.mean(self.rates[name])
            row.note = f"{row.rate / client.rate:.2f} of {client.rate:.1f} instances a second without them"
            self.report.add(row)

    def growth(self, kind: Kind, taken: dict[int, Sample | Refused]) -> None:
        """Compare the sizes: cost must follow the answer."""
        measured = {size: sample for size, sample in taken.items() if isinstance(sample, Sample)}
        if len(measured) < 2:
            return
        # From 1,000 studies on every kind has a full page.
        base = next((size for size in sorted(measured) if size >= BASE), min(measured))
        for size in sorted(measured):
            if size <= base:
                continue
            ratio = measured[size].p50 / measured[base].p50
            row = Row("qido", f"{kind.name}: p50 at {size} studies over p50 at {base}, {self.engine}", "dicouch")
            row.note = f"{ratio:.2f} times the time"
            if kind.scans and size == LARGE:
                row.goal = f"{'reached' if measured[size].p50 <= SCAN_LIMIT else 'MISSED'}: within {SCAN_LIMIT:g} s"
            elif not kind.scans:
                row.goal = f"{'reached' if ratio <= GROWTH else 'MISSED'}: at most {GROWTH} times"
            self.report.add(row)

    def overhead(self, server: Server, studies: int) -> None:
        """Read from ``Server-Timing`` what is spent outside CouchDB for a page."""
        page = KINDS[0].request(self.runs[studies], 0, studies)
        told: dict[str, list[float]] = {}
        for _ in range(self.options.samples):
            header = fetch(server.root, page)[0].get("Server-Timing", "")
            for name, milliseconds in re.findall(r"\b(couch|shim);dur=([\d.]+)", header):
                told.setdefault(name, []).append(float(milliseconds))
        if "shim" not in told:
            self.report.note("the server does not tell Server-Timing: its share of a page is not known")
            return
        shares = {name: statistics.median(values) for name, values in told.items()}
        row = Row("qido", f"share of the shim in a page of {PAGE}; {studies} studies, {self.engine}", "dicouch")
        row.note = ", ".join(f"{name} {value:.2f} ms" for name, value in shares.items())
        row.goal = f"{'reached' if shares['shim'] < OVERHEAD_LIMIT else 'MISSED'}: under {OVERHEAD_LIMIT:g} ms"
        self.report.add(row)

    def first_after_load(self) -> None:
        """Store instances through the server, and search at once."""
        name = f"loaded-{self.engine}"
        create(self.couch, name)
        with shim(self.couch, name, f"folder:{self.stored}") as server:
            template = Template(TINY_MATRIX, TINY_MATRIX)
            number, per = new_run(), made.SERIES * made.INSTANCES
            studies = max(1, self.options.loaded // per)
            started = time.monotonic()
            with tqdm(total=studies, unit="study", desc="storing through the server", disable=None) as bar:
                for start in range(0, studies, 100):
                    numbers = range(start, min(start + 100, studies))
                    files = [list(made.files(template, number, [study])) for study in numbers]
                    run(server.root, [[store_request(one)] for one in files], 4)
                    bar.update(len(numbers))
            loaded = time.monotonic() - started
            sample = run(server.root, [[Request("GET", f"/studies?limit={PAGE}", JSON)]])
            row = Row("qido", f"first page after storing {studies * per} instances, {self.engine}", "dicouch")
            row.p50 = sample.p50 * 1000
            row.note = f"stored {studies * per / loaded:.0f} instances/s"
            row.goal = f"{'reached' if sample.p50 <= FIRST_LIMIT else 'MISSED'}: within {FIRST_LIMIT:g} s"
            self.report.add(row)


def goals_beside(peer: Sample | Refused | None, studies: int) -> list[Goal]:
    """Return how fast a search shall be beside Orthanc's: on a large archive, and on one where Orthanc is quick too."""
    if not isinstance(peer, Sample):
        return []
    if studies >= LARGE:
        return [Goal("dicouch", "Orthanc", 3)]
    return [Goal("dicouch", "Orthanc", 1 if peer.p50 > QUICK else 1 / 1.5)]


def uploads() -> Iterator[Request]:
    """Yield requests to store instances of one further study after the other, without an end."""
    template = Template(256, 256)
    number = new_run()
    for study in range(1, 10**9):
        yield store_request([template.file(series_of(number, 1, study=study)[0])])


def explained(server: Server, request: Request) -> tuple[Operation, Operation]:
    """Return the requests to CouchDB that a search leads to, and those for the bare rows that these read.

    The latter ask the same views for the same ranges, without list functions.
    """
    joint = "&" if "?" in request.path else "?"
    asked = json.loads(fetch(server.root, Request("GET", f"{request.path}{joint}explain", JSON))[1])["requests"]
    return [replayed(step) for step in asked], [plain(step) for step in asked]


def replayed(step: dict) -> Request:
    """Return one of the explained requests."""
    params = {key: value if isinstance(value, str) else json.dumps(value) for key, value in step["params"].items()}
    path = f"/{step['path']}" + (f"?{urlencode(params, quote_via=quote)}" if params else "")
    if step["body"] is None:
        return Request(step["method"], path)
    return Request(step["method"], path, made.JSON_TYPE, json.dumps(step["body"]).encode())


def plain(step: dict) -> Request:
    """Return a request for the rows of the view that an explained request runs a list over."""
    if "/_list/" not in step["path"]:
        return replayed(step)
    design, _, rest = step["path"].partition("/_list/")
    view = rest.partition("/")[2]
    path = view if view.startswith("_") else f"{design}/_view/{view}"
    body = {key: value for key, value in (step["body"] or {}).items() if key == "keys"} or None
    params = {key: value for key, value in step["params"].items() if key != "q"}
    limit = json.loads(step["params"].get("q", "{}")).get("limit")
    if limit and body is None and "limit" not in params:
        params["limit"] = limit
    return replayed({**step, "path": path, "params": params, "body": body, "method": "POST" if body else "GET"})
