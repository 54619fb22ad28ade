"""Several clients that store one study, or many, beside one client alone: nothing conflicts and nothing is missing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from dicouch.scripts.bench.client import Refused, Request, Side, fetch, race
from dicouch.scripts.bench.files import Identity, Template, new_run, series_of, store_request
from dicouch.scripts.bench.options import Options
from dicouch.scripts.bench.report import Goal, Report
from dicouch.scripts.bench.servers import Server, create, database, pids, settled, shim

MATRIX = 64
STUDIES = 200
SERIES = 4


def measure(options: Options, report: Report, folder: Path) -> None:
    """Measure storing small instances, one a request, of one study and of many."""
    alone, all_together = "dicouch, 1 client", f"dicouch, {options.clients} clients"
    with database(folder / "couchdb", options.database, options.javascript[0]) as couch:
        report.versions["database"] = f"{couch.name} ({options.javascript[0]})"
        create(couch, "together")
        with shim(couch, "together") as server:
            template = Template(MATRIX, MATRIX)
            for studies in (1, min(STUDIES, options.together)):
                sides, stored = {}, []
                for name, clients in ((alone, 1), (all_together, options.clients)):
                    identities = spread(options.together, studies)
                    operations = [[store_request([template.file(identity)])] for identity in identities]
                    sides[name] = Side(
                        server.root, operations, pids(server, couch.pid), settled(couch.url), connections=clients
                    )
                    stored += identities
                taken = race(sides, rounds=options.rounds)
                report.compare(
                    "together",
                    f"{options.together} instances of {template.size / 1000:.0f} KB, studies: {studies}",
                    taken,
                    size=template.size,
                    references=(alone,),
                    goals=(Goal(all_together, alone, 1),),
                )
                if not any(isinstance(sample, Refused) for sample in taken.values()):
                    check_counts(server, stored)


def spread(count: int, studies: int) -> list[Identity]:
    """Return the identities of `count` instances of as many studies in turn, each study of several series."""
    run = new_run()
    per_series = -(-count // (studies * SERIES))
    series = [
        series_of(run, per_series, study=study, series=number)
        for number in range(1, SERIES + 1)
        for study in range(1, studies + 1)
    ]
    return [identity for column in zip(*series, strict=True) for identity in column][:count]


def check_counts(server: Server, stored: Sequence[Identity]) -> None:
    """Ask how many instances there are of each study.

    Raises
    ------
    Refused
        When they are not as many as were stored.
    """
    for study, count in Counter(identity.study for identity in stored).items():
        _headers, content = fetch(server.root, Request("GET", f"/studies/{study}/instances/count"))
        if json.loads(content) != {"count": count}:
            raise Refused(200, f"study {study} has {content.decode()} instead of {count} instances")
