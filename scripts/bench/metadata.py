"""Metadata of a long series, asked for the first time and again, and of a short one, beside Orthanc."""

from __future__ import annotations

import json
from pathlib import Path

from dicouch.scripts.bench import orthanc
from dicouch.scripts.bench.client import Request, Side, fetch, race, run
from dicouch.scripts.bench.files import Identity, Template, new_run, series_of, store_request
from dicouch.scripts.bench.options import Options
from dicouch.scripts.bench.report import Goal, Report
from dicouch.scripts.bench.servers import Server, create, pids, settled, shim

JSON = {"Accept": "application/dicom+json"}
COLD_SERIES = 3
SHORT = 10


def measure(options: Options, report: Report, folder: Path) -> None:
    """Measure metadata."""
    with orthanc.compared(options, report, folder) as (couch, peer):
        create(couch, "folder")
        with shim(couch, "folder", f"folder:{folder / 'bytes'}") as server:
            servers = [one for one in (server, peer) if one]
            template = Template(options.matrix, options.matrix)
            long = [stored(servers, template, options.ct) for _ in range(COLD_SERIES)]
            short = [stored(servers, template, SHORT) for _ in range(options.samples)]
            # The first request shall not wait for indexes that are still being built.
            settled(couch.url)()

            def compare(name: str, operations: list, factor: float) -> None:
                sides = {one.name: Side(one.root, operations, pids(one, couch.pid)) for one in servers}
                if factor == 10:
                    told = f"{server.name}, with If-None-Match"
                    sides[told] = Side(server.root, validated(server, operations), pids(server, couch.pid))
                taken = race(sides, 1, options.rounds if len(operations) > COLD_SERIES else COLD_SERIES)
                report.compare("metadata", name, taken, by="p50", goals=[Goal("dicouch", "Orthanc", factor)])

            cold = [[metadata(identity, options.ct)] for identity in long]
            compare(f"series of {options.ct}, first time", cold, 3)
            compare(f"series of {options.ct}, again", cold * max(2, options.samples // 20), 10)
            compare(f"series of {SHORT}, first time", [[metadata(identity, SHORT)] for identity in short], 1)
            compare(f"series of {SHORT}, again", [[metadata(identity, SHORT)] for identity in short], 1)


def stored(servers: list[Server], template: Template, count: int) -> Identity:
    """Store a series on every server; return one of its instances."""
    identities = series_of(new_run(), count)
    pixels = bytes(template.pixels)
    for start in range(0, count, SHORT):
        request = store_request([template.file(identity, pixels) for identity in identities[start : start + SHORT]])
        for server in servers:
            run(server.root, [[request]])
    return identities[0]


def metadata(identity: Identity, count: int) -> Request:
    """Return the request for the metadata of a series, which must have all its instances."""

    def check(content: bytes) -> str:
        found = len(json.loads(content))
        return "" if found == count else f"{found} instances, not {count}"

    return Request("GET", f"/studies/{identity.study}/series/{identity.series}/metadata", JSON, check=check)


def validated(server: Server, operations: list) -> list:
    """Return the same requests with the ETag of what was answered before, as a viewer's cache sends it."""
    known = {}
    for (request,) in operations:
        if request.path not in known:
            known[request.path] = fetch(server.root, request)[0].get("ETag", "")
    return [
        [Request("GET", request.path, {**JSON, "If-None-Match": known[request.path]} if known[request.path] else JSON)]
        for (request,) in operations
    ]
