"""Where the milliseconds of a stored instance go: processor time of an instance, by process and by what CouchDB does.

The documents that the server writes are written again by `_bulk_docs`, as many a request, to a database without design
documents, to one with the check alone, and to one with the views, too: what one takes more than that before it is the
cost of the check, and of the index. What CouchDB takes beyond that for the server is what this asks it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from dicouch.rewrite import requests
from dicouch.scripts.bench import orthanc
from dicouch.scripts.bench.client import Operation, Request, family, fetch, run
from dicouch.scripts.bench.files import Identity, Template, new_run, series_of, store_request
from dicouch.scripts.bench.made import JSON_TYPE, Stamp, store_placeholder
from dicouch.scripts.bench.options import Options
from dicouch.scripts.bench.report import Report, Row
from dicouch.scripts.bench.servers import Server, create, settled, shim
from dicouch.scripts.databases import Database
from dicouch.scripts.push_views import push

SMALL_MATRIX = 64
PER = (1, 10, 100)
DESIGN = f"/{requests.DESIGN}"


def measure(options: Options, report: Report, folder: Path) -> None:
    """Measure small and large instances with their bytes in a folder, by connections and by instances a request."""
    with orthanc.compared(options, report, folder) as (couch, peer):
        for name in ("folder", "bare", "checked", "indexed"):
            create(couch, name)
        push(couch.url, "indexed")
        _give_check(couch)
        with shim(couch, "folder", f"folder:{folder / 'bytes'}") as server:
            for matrix in sorted({min(SMALL_MATRIX, options.matrix), options.matrix}):
                template = Template(matrix, matrix)
                stamp = store_placeholder(server.root, server.couch, template)["instance"]
                for connections in options.connections:
                    for per in (per for per in PER if per == 1 or per <= options.instances):
                        costs = Costs(couch, max(options.instances, per * connections), connections)
                        for row in _rows(costs, template, stamp, server, peer, per):
                            report.add(row)


@dataclass(frozen=True)
class Cost:
    """What an instance took, in milliseconds: by the clock, and of processors, of which `javascript` is CouchDB's."""

    wall: float
    client: float
    server: float
    couch: float
    javascript: float


@dataclass(frozen=True)
class Costs:
    """Measures what `count` instances over some connections cost."""

    couch: Database
    count: int
    connections: int

    def of(self, root: str, operations: Sequence[Operation], pid: int | None, behind: Callable[[], object]) -> Cost:
        """Return the cost of operations; `behind` brings about what belongs to it and is done afterwards."""
        before = self._clocks(pid)
        wall = run(root, operations, self.connections).wall
        behind()
        settled(self.couch.url)()
        took = (now - then for now, then in zip(self._clocks(pid), before, strict=True))
        return Cost(*(seconds * 1000 / self.count for seconds in (wall, *took)))

    def _clocks(self, pid: int | None) -> tuple[float, ...]:
        children, database = os.times(), family(self.couch.pid) if self.couch.pid else []
        javascript = [process for process in database if process.name().startswith("couchjs")]
        groups = (family(pid) if pid else [], database, javascript)
        return children.children_user + children.children_system, *(sum(map(_seconds, group)) for group in groups)


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _rows(costs: Costs, template: Template, stamp: Stamp, server: Server, peer: Server | None, per: int) -> list[Row]:
    identities = series_of(new_run(), costs.count)
    groups = [identities[at : at + per] for at in range(0, costs.count, per)]
    stow = [[store_request([template.file(identity) for identity in group])] for group in groups]
    writes = [[_bulk_docs(stamp, group)] for group in groups]
    url = costs.couch.url
    ours = costs.of(server.root, stow, server.pid, lambda: _index(server.couch))
    bare = costs.of(f"{url}/bare", writes, None, lambda: None)
    checked = costs.of(f"{url}/checked", writes, None, lambda: None)
    indexed = costs.of(f"{url}/indexed", writes, None, lambda: _index(f"{url}/indexed"))
    parts = {
        "client": ours.client,
        "shim": ours.server,
        "write": bare.couch,
        "check": checked.couch - bare.couch,
        "index": indexed.couch - checked.couch,
        "asked": ours.couch - indexed.couch,
        "of all, JavaScript": ours.javascript,
    }
    measure = f"{template.size / 1000:.0f} KB, {per} a request"
    note = "ms: " + ", ".join(f"{name} {milliseconds:.2f}" for name, milliseconds in parts.items())
    rows = [_row(measure, server.name, costs, ours, note)]
    if peer:
        other = costs.of(peer.root, stow, peer.pid, lambda: None)
        rows.append(_row(measure, peer.name, costs, other, f"ms: client {other.client:.2f}"))
    return rows


def _row(measure: str, name: str, costs: Costs, cost: Cost, note: str) -> Row:
    database = cost.couch if name.startswith("dicouch") else 0.0
    return Row("cost", measure, name, costs.connections, rate=1000 / cost.wall, cpu=cost.server + database, note=note)


def _index(database: str) -> None:
    fetch(database, Request("GET", f"{DESIGN}/_view/counts?limit=0&reduce=false"))


def _bulk_docs(stamp: Stamp, identities: Sequence[Identity]) -> Request:
    body = '{"docs":[' + ",".join(map(stamp.document, identities)) + "]}"
    return Request("POST", "/_bulk_docs", JSON_TYPE, body.encode())


def _give_check(couch: Database) -> None:
    """Give a database the check of documents without the views."""
    design = json.loads(fetch(f"{couch.url}/indexed", Request("GET", DESIGN))[1])
    kept = {name: value for name, value in design.items() if name not in ("_rev", "views", "_attachments")}
    fetch(f"{couch.url}/checked", Request("PUT", DESIGN, JSON_TYPE, json.dumps(kept).encode()))
