"""What became of the documents of a source: counts, and a CSV file that a run which goes on continues."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple, Self

STORED, ALREADY, KEPT = "stored", "already there", "metadata only"
NO_ATTACHMENT, NO_DICOM, BROKEN, REFUSED, FAILED = "no attachment", "no DICOM", "broken", "refused", "failed"
DELETED, NO_PICTURES, NOT_KEPT = "deleted", "no pictures", "not kept"
# What is stored, and what is not but could not be either: of these nobody has to do anything.
FINE = frozenset((STORED, ALREADY, KEPT, DELETED))
SILENT = frozenset((STORED, ALREADY))
EXPLAINED = {
    STORED: "",
    ALREADY: "",
    KEPT: "documents without a file whose metadata are stored",
    NO_ATTACHMENT: "documents without a file",
    NO_DICOM: "attached files that are no DICOM instances",
    BROKEN: "attached files that are not whole",
    REFUSED: "by the server",
    FAILED: "after several attempts; the next run tries again",
    NOT_KEPT: "documents without a file whose metadata are those of no instance",
    DELETED: "while they were read",
    NO_PICTURES: "stored, and no pictures could be attached",
}
HEADER = ("document", "attachment", "result", "reason")
SHOWN = 20


class Row(NamedTuple):
    """What became of a document or of one of its attachments; its reason is for people."""

    document: str
    attachment: str
    result: str
    reason: str = ""


class Report:
    """Counts rows, and writes those that say of what there is no file in our archive to a file, if one is named.

    Parameters
    ----------
    path : pathlib.Path or None
    kept : dict
        What a checkpoint kept of the run before this one; kept up to date.
    """

    def __init__(self, path: Path | None, kept: dict[str, Any]) -> None:
        self._path = path
        self._kept = kept
        self._file: IO[str] | None = None
        self.counts: Counter[str] = Counter(kept.get("counts", {}))
        self.shown: list[Row] = [Row(*row) for row in kept.get("shown", [])]

    def __enter__(self) -> Self:
        if self._path is not None:
            name, end = self._kept.get("report", ("", 0))
            goes_on = name == str(self._path.resolve()) and self._path.is_file() and self._path.stat().st_size >= end
            self._file = self._path.open("r+" if goes_on else "w", newline="", encoding="utf-8")
            if goes_on:  # what was written behind the checkpoint comes again
                self._file.seek(end)
                self._file.truncate()
            else:
                csv.writer(self._file).writerow(HEADER)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, rows: list[Row]) -> None:
        """Take note of what became of some documents, before a checkpoint says that they are done."""
        self.counts.update(row.result for row in rows)
        told = [row for row in rows if row.result not in SILENT]
        self.shown += told[: SHOWN - len(self.shown)]
        if self._file is not None:
            csv.writer(self._file).writerows(told)
            self._file.flush()
            self._kept["report"] = str(Path(self._file.name).resolve()), self._file.tell()
        self._kept |= {"counts": dict(self.counts), "shown": self.shown}

    @property
    def wrong(self) -> int:
        """How many documents or files are not stored that could be."""
        return sum(count for result, count in self.counts.items() if result not in FINE)

    def lines(self) -> Iterator[str]:
        """The counts as lines of text, and the first of what is not stored."""
        for result, said in EXPLAINED.items():
            if self.counts[result] or result == STORED:
                yield f"{result:<14}{self.counts[result]:>8}" + (f"   ({said})" if said else "")
        for row in self.shown:
            yield f"  {'/'.join(filter(None, row[:2]))}: {row.result}{': ' if row.reason else ''}{row.reason}"
        told = sum(count for result, count in self.counts.items() if result not in SILENT)
        if told > len(self.shown):
            yield f"  and {told - len(self.shown)} more (--report FILE lists them all)"
