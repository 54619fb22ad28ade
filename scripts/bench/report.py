"""The results: rows with ratios, printed as they come, and kept as JSON and as Markdown."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tqdm import tqdm

from dicouch.scripts.bench.client import Refused, Sample

NUMBERS = ("p50 ms", "p95 ms", "p99 ms", "per s", "MB/s", "CPU ms")
COLUMNS = ("part", "measure", "server", "conn.", *NUMBERS, "ratios", "goal")


@dataclass(frozen=True)
class Goal:
    """What a server is to reach: `factor` times the speed of the reference.

    Attributes
    ----------
    server : str
        Beginning of its name.
    reference : str
        Name of the other.
    factor : float
        1 is the same speed, 2 twice as fast.
    """

    server: str
    reference: str
    factor: float

    def told(self, ratio: float) -> str:
        return f"{'reached' if ratio >= self.factor else 'MISSED'}: at least {self.factor:.3g} x {self.reference}"


@dataclass
class Row:
    """One server in one measurement.

    Attributes
    ----------
    part, measure, server : str
    connections : int
    p50, p95, p99 : float or None
        Milliseconds of an operation.
    rate : float or None
        Things a second, of the kind that the measure names.
    megabytes : float or None
        Millions of bytes stored or retrieved a second.
    cpu : float or None
        Milliseconds of processor time of the server (with its database) for each thing.
    ratios : dict of str to float
        How many times as fast as another server it is: above 1 is faster.
    goal : str
        What it is to reach, and whether it does.
    note : str
        Why there is no figure, or figures of another kind.
    """

    part: str
    measure: str
    server: str
    connections: int = 1
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    rate: float | None = None
    megabytes: float | None = None
    cpu: float | None = None
    ratios: dict[str, float] = field(default_factory=dict)
    goal: str = ""
    note: str = ""

    def cells(self) -> list[str]:
        """Return what stands in the table, by `COLUMNS`."""
        ratios = ", ".join(f"{ratio:.2f} x {name}" for name, ratio in self.ratios.items())
        numbers = [_short(number) for number in (self.p50, self.p95, self.p99, self.rate, self.megabytes, self.cpu)]
        return [self.part, self.measure, self.server, str(self.connections), *numbers, ratios or self.note, self.goal]


def _short(number: float | None) -> str:
    if number is None:
        return ""
    return f"{number:.0f}" if number >= 100 else f"{number:.1f}" if number >= 10 else f"{number:.2f}"


class Report:
    """Collects rows.

    Parameters
    ----------
    settings : dict
        What the run was asked to do.
    """

    def __init__(self, settings: dict) -> None:
        self.started = datetime.now(UTC)
        self.settings = settings
        self.versions: dict[str, str] = {}
        self.notes: list[str] = []
        self.rows: list[Row] = []

    def note(self, text: str) -> None:
        """Say something that is not a figure."""
        if text not in self.notes:
            self.notes.append(text)
            tqdm.write(f"  {text}")

    def add(self, row: Row) -> None:
        """Keep a row and print it."""
        self.rows.append(row)
        tqdm.write("  ".join(cell for cell in row.cells() if cell))

    def compare(
        self,
        part: str,
        measure: str,
        taken: Mapping[str, Sample | Refused],
        *,
        connections: int = 1,
        per: float = 1,
        size: int | None = None,
        by: str = "rate",
        references: Sequence[str] = ("CouchDB", "Orthanc"),
        goals: Sequence[Goal] = (),
    ) -> None:
        """Keep what `race` measured, each server with its ratios to the references.

        Parameters
        ----------
        per : float
            Things that one operation does: instances of a request, say.
        size : int, optional
            Bytes of a thing, where they are sent and not received.
        by : {"rate", "p50"}
            What ratios are made of.
        """
        for name, sample in taken.items():
            row = Row(part, measure, name, connections)
            if isinstance(sample, Refused):
                row.note = f"not measured: {sample.text}"
                self.add(row)
                continue
            row.p50, row.p95 = sample.p50 * 1000, sample.p95 * 1000
            row.rate = sample.rate * per
            row.megabytes = (row.rate * size if size else sample.received / sample.wall) / 1e6
            row.cpu = sample.cpu * 1000 / len(sample.seconds) / per if sample.cpu else None
            for reference in references:
                other = taken.get(reference)
                if reference != name and isinstance(other, Sample):
                    ratio = sample.rate / other.rate if by == "rate" else other.p50 / sample.p50
                    row.ratios[reference] = round(ratio, 3)
            told = [
                goal.told(row.ratios[goal.reference])
                for goal in goals
                if name.startswith(goal.server) and goal.reference in row.ratios
            ]
            row.goal = "; ".join(told)
            self.add(row)

    def write(self, folder: Path) -> Path:
        """Write the results below `folder`, named by the time of the run; return the Markdown file."""
        folder.mkdir(parents=True, exist_ok=True)
        name = self.started.strftime("%Y%m%dT%H%M%SZ")
        facts = {
            "started": self.started.isoformat(timespec="seconds"),
            "machine": f"{os.cpu_count()} processors, {platform.machine()}, Python {platform.python_version()}",
            "versions": self.versions,
            "settings": self.settings,
            "notes": self.notes,
        }
        results = {**facts, "rows": [asdict(row) for row in self.rows]}
        (folder / f"{name}.json").write_text(json.dumps(results, indent=1), "utf-8")
        path = folder / f"{name}.md"
        path.write_text(self.markdown(facts), "utf-8")
        return path

    def markdown(self, facts: dict) -> str:
        """Return the table with what one must know to read it."""
        head = [
            f"# Benchmark of {facts['started']}",
            "",
            f"{facts['machine']}; {', '.join(self.versions.values())}.",
            "Ratios say how many times as fast as the other server it is: above 1 is faster. CPU is the processor time",
            "of the server with its database for one thing. Settings: " + json.dumps(self.settings) + ".",
            "",
            *(f"- {note}" for note in self.notes),
            "",
        ]
        lines = [COLUMNS, ["---"] * len(COLUMNS), *(row.cells() for row in self.rows)]
        return "\n".join([*head, *("| " + " | ".join(_plain(cell) for cell in line) + " |" for line in lines), ""])


def _plain(cell: str) -> str:
    return cell.replace("|", "/").replace("\n", " ").replace("\r", " ")
