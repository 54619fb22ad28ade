"""Where the milliseconds of a stored instance go: processor time by process, and what CouchDB does for one document.

The documents that the server writes are written again, as many a request, to a database without design documents, to
one with the check alone, and to one with everything: what each takes more than the one before is the column's figure.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import psutil

from dicouch.scripts.bench import orthanc
from dicouch.scripts.bench.archive import JSON_TYPE, Stamp, store_placeholder
from dicouch.scripts.bench.client import Operation, Request, family, fetch, processor_time, run
from dicouch.scripts.bench.files import Identity, Template, new_run, series_of, store_request
from dicouch.scripts.bench.options import Options
from dicouch.scripts.bench.report import Report
from dicouch.scripts.bench.servers import create, settled, shim
from dicouch.scripts.databases import Database
from dicouch.scripts.push_views import push

SIZES = (64, 512)
PER = (1, 10, 100)
NAMES = ("wall", "client", "shim", "write", "check", "index", "asked", "JavaScript", "Orthanc wall", "Orthanc")
CHECK = "_design/dicom"


def measure(options: Options, report: Report, folder: Path) -> None:
    """Print one table: milliseconds of an instance, by size, connections and instances a request."""
    with orthanc.compared(options, report, folder) as (couch, peer):
        for name in ("folder", "bare", "check", "all"):
            create(couch, name)
        push(couch.url, "all")
        _check_alone(couch)
        settle = settled(couch.url)
        with shim(couch, "folder", f"folder:{folder / 'bytes'}") as server:
            for matrix in SIZES if options.matrix == Options.matrix else (options.matrix,):
                template = Template(matrix, matrix)
                stamp = store_placeholder(server.root, server.couch, template)["instance"]
                for connections in options.connections:
                    for per in PER:
                        count = max(options.instances, per * connections)
                        known = series_of(new_run(), count)
                        groups = [known[at : at + per] for at in range(0, count, per)]
                        stow = [[store_request([template.file(one) for one in group])] for group in groups]
                        settle()
                        costs = _Costs(couch, count, connections)
                        took = costs.of(server.root, stow, settle, server.pid)
                        alone = {
                            name: costs.of(f"{couch.url}/{name}", [[_bulk(stamp, group)] for group in groups], settle)
                            for name in ("bare", "check", "all")
                        }
                        database = {name: one["couch"] for name, one in alone.items()}
                        other = costs.of(peer.root, stow, lambda: None, peer.pid) if peer else {"wall": 0, "own": 0}
                        figures = (
                            took["wall"],
                            took["client"],
                            took["own"],
                            database["bare"],
                            database["check"] - database["bare"],
                            database["all"] - database["check"],
                            took["couch"] - database["all"],
                            took["javascript"],
                            other["wall"],
                            other["own"],
                        )
                        told = ", ".join(f"{name} {ms:.2f}" for name, ms in zip(NAMES, figures, strict=True))
                        report.note(f"{template.size / 1000:.0f} KB, {connections} conn., {per} a request, ms: {told}")


class _Costs:
    """What `count` instances over some connections cost, in milliseconds of one."""

    def __init__(self, couch: Database, count: int, connections: int) -> None:
        self._couch = couch
        self._count = count
        self._connections = connections

    def of(self, root: str, operations: Sequence[Operation], settle, pid: int = 0) -> dict[str, float]:  # noqa: ANN001
        before = self._clocks(pid)
        wall = run(root, operations, self._connections).wall
        settle()
        clocks = {name: now - before[name] for name, now in self._clocks(pid).items()}
        return {name: seconds * 1000 / self._count for name, seconds in {**clocks, "wall": wall}.items()}

    def _clocks(self, pid: int) -> dict[str, float]:
        database = family(self._couch.pid or 0) if self._couch.pid else []
        javascript = [one for one in database if one.name().startswith("couchjs")]
        return {
            "own": processor_time([pid]) if pid else 0.0,
            "couch": sum(map(_seconds, database)),
            "javascript": sum(map(_seconds, javascript)),
            "client": os.times().children_user + os.times().children_system,
        }


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _bulk(stamp: Stamp, identities: Sequence[Identity]) -> Request:
    body = '{"docs":[' + ",".join(stamp.document(one) for one in identities) + "]}"
    return Request("POST", "/_bulk_docs", JSON_TYPE, body.encode())


def _check_alone(couch: Database) -> None:
    """Give a database the check of documents without the views."""
    design = json.loads(fetch(f"{couch.url}/all", Request("GET", f"/{CHECK}"))[1])
    kept = {
        name: design[name] for name in ("_id", "language", "validate_doc_update", "lib", "tables") if name in design
    }
    fetch(f"{couch.url}/check", Request("PUT", f"/{CHECK}", JSON_TYPE, json.dumps(kept).encode()))
