"""Run the parts that were asked for, and write down what came out; ``dicouch bench``."""

from __future__ import annotations

import contextlib
import importlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from dicouch.scripts import run
from dicouch.scripts.bench import orthanc
from dicouch.scripts.bench.client import Refused
from dicouch.scripts.bench.options import parse
from dicouch.scripts.bench.report import Report
from dicouch.scripts.connection import CommandError
from dicouch.scripts.databases import DatabaseError


@contextlib.contextmanager
def workplace(kept: Path | None) -> Iterator[Path]:
    """Give a folder for the data of the servers: temporary, unless it shall be kept."""
    if kept:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept.resolve()
        return
    folder = Path(tempfile.mkdtemp(prefix="dicouch-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark.

    Returns
    -------
    int
        0 when everything was measured, 1 when a part failed, 130 when it was stopped.
    """
    options = parse(arguments)
    report = Report(options.told())
    failed = 0
    if options.database == "embedded":
        report.note("measured on the embedded database, whose figures say little of Apache CouchDB")
    if options.orthanc and isinstance(missing := orthanc.find(), str):
        report.note(missing)
    with workplace(options.keep) as folder, run.until_signal():
        try:
            for part in options.parts:
                started = time.monotonic()
                print(f"{part} ...", flush=True)
                try:
                    importlib.import_module(f"dicouch.scripts.bench.{part}").measure(options, report, folder / part)
                except (Refused, CommandError, DatabaseError) as problem:
                    report.note(f"{part} broke off: {problem}")
                    failed = 1
                print(f"{part}: {time.monotonic() - started:.0f} s", flush=True)
                if not options.keep:
                    shutil.rmtree(folder / part, ignore_errors=True)
        except KeyboardInterrupt:
            report.note("stopped before the end")
            failed = 130
    print(f"written to {report.write(options.out)}")
    return failed
