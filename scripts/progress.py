"""How far a long command is: a bar on a terminal, a line a minute in a log, and a file from which a run goes on."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

from dicouch.couch.client import Couch
from dicouch.couch.response import CouchError
from dicouch.scripts.commands import place_of
from dicouch.scripts.folders import data_dir

INTERVAL = 60.0
"""Seconds between two lines in a log."""
PATIENCE = 5.0
"""Seconds to wait for the number of things that there are."""
LASTING = 86400.0
"""Seconds after which a checkpoint counts for nothing: what was done before it is no longer known to be so."""
SAVED = 1.0
"""Seconds between two writes of a checkpoint: what a run that was killed did since the last one is done again."""


class Bar(tqdm):
    """A bar with rate and time left where standard error is a terminal; elsewhere a line a minute that says the same.

    Parameters
    ----------
    *arguments, **options
        As of `tqdm.tqdm`.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.lines = not sys.stderr.isatty()
        if self.lines:
            # What takes less than a minute says nothing.
            pace = {"mininterval": INTERVAL, "maxinterval": INTERVAL, "miniters": 1, "delay": INTERVAL}
            options |= {**pace, "ncols": 0, "leave": False}
        super().__init__(*arguments, file=sys.stderr, **options)

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Draw the bar, or write a line; tqdm calls this."""
        if not self.lines:
            super().display(msg, pos)
        elif msg is None:
            self.fp.write(f"{self}\n")
            self.fp.flush()

    def say(self, line: str) -> None:
        """Print a line of the command's own, above the bar where there is one."""
        if self.lines or self.disable:
            print(line)
        else:
            self.write(line)


class Checkpoint:
    """How far a command has come that goes through things in the order of their ids.

    It is a file in the data folder that lives as long as the work is unfinished. When the context is left, the file is
    gone if all is done. It is up to date if an exception, such as that of Ctrl-C, ended the work, or something failed.

    Parameters
    ----------
    name : str
        Of the command.
    couch : Couch
    *about : str
        What the command works on, and how: other work has another file.
    from_start : bool
        Go on nowhere: what an earlier run has noted is left alone until this one notes something.

    Attributes
    ----------
    after : str
        The id up to which everything is done; empty at the start.
    kept : dict
        What else the next run has to know; JSON.
    """

    def __init__(self, name: str, couch: Couch, *about: str, from_start: bool = False) -> None:
        told = json.dumps([place_of(couch), *about])
        self.path = data_dir() / f"{name}-{hashlib.sha256(told.encode()).hexdigest()[:16]}.checkpoint"
        self._name = name
        self._from_start = from_start
        self.after = ""
        self.kept: dict[str, Any] = {}
        self._text = ""
        self._due = time.monotonic() + SAVED
        self._held = False

    def __enter__(self) -> Self:
        try:
            if self._from_start or time.time() - self.path.stat().st_mtime > LASTING:
                return self
            told = json.loads(self.path.read_text("utf-8"))
            self.after, self.kept = told["after"], told["kept"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return self  # from the beginning
        print(f"{self._name}: goes on behind {self.after}, where it was stopped", file=sys.stderr)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and not self._held:
            self.path.unlink(missing_ok=True)
        elif self._text:
            self._write()
        elif kind is None and self._from_start:
            self.path.unlink(missing_ok=True)  # it failed at once: what an earlier run noted is behind that

    def reach(self, key: str, done: bool = True) -> None:
        """Note that all up to `key` is done; where it is not, the next run begins there, wherever this one stops."""
        self._held = self._held or not done
        if self._held or key <= self.after:
            return
        self.after = key
        self._text = json.dumps({"after": key, "kept": self.kept})
        if time.monotonic() >= self._due:
            self._write()

    def _write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_suffix(".new")
        new.write_text(self._text, "utf-8")
        new.replace(self.path)
        self._due = time.monotonic() + SAVED


def count_instances(couch: Couch, studies: Iterable[str] = ()) -> int | None:
    """Return how many instances there are, in all or in some studies; None where no index tells soon."""
    if keys := [f"{study}:study" for study in studies]:
        rows = _rows(couch, "POST", "counts", params={"group": "true"}, body={"keys": keys})
    else:
        rows = _rows(couch, "GET", "counts")
    if rows is None:
        return None
    # Without keys, each instance counts for its study and for its series.
    return sum(row["value"][1] for row in rows) // (1 if keys else 2)


def count_studies(couch: Couch) -> int | None:
    """Return how many studies there are; None where no index tells soon."""
    rows = _rows(couch, "GET", "studies_by_uid", params={"reduce": "true"})
    return None if rows is None else sum(row["value"] for row in rows)


def _rows(couch: Couch, method: str, view: str, **options: Any) -> list[dict] | None:
    pending = couch.start_json(method, f"_design/dicom/_view/{view}", **options)
    # An index that is behind may take hours, and the work need not wait for the length of its bar.
    if not pending.is_answered(PATIENCE):
        pending.close()
        return None
    try:
        rows: list[dict] = pending.json()["rows"]
        return rows
    except CouchError:
        return None
