"""Walking through a source in the order of its changes, and storing what it has, some files a request."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from dicouch.couch.client import Couch
from dicouch.couch.response import CouchError
from dicouch.errors import DicomWebError
from dicouch.scripts import stow
from dicouch.scripts.chronicle import source as sources
from dicouch.scripts.chronicle.keep import Keeper
from dicouch.scripts.chronicle.pictures import Pictures
from dicouch.scripts.chronicle.report import (
    ALREADY,
    BROKEN,
    DELETED,
    FAILED,
    NO_ATTACHMENT,
    NO_DICOM,
    NO_PICTURES,
    REFUSED,
    STORED,
    Report,
    Row,
)
from dicouch.scripts.chronicle.source import Attached, Broken, Change, Source, Unavailable, attached_to
from dicouch.scripts.connection import CommandError
from dicouch.scripts.dicomfiles import is_instance
from dicouch.scripts.load import BATCH_BYTES, BATCH_FILES
from dicouch.scripts.progress import Bar, Checkpoint

Made = TypeVar("Made")
BATCH_DOCUMENTS = 500
# Where the documents of both generations say which file they were made of.
PATHS = ("filePath", "fileNamePath")


@dataclass(frozen=True)
class Wanted:
    """What a run is to do.

    Attributes
    ----------
    url : str
        The DICOMweb root that stores.
    workers : int
        Requests at a time.
    follow : bool
        Go on with what changes later.
    keeper : Keeper, optional
        Keeps the metadata of documents without a file.
    pictured : Couch, optional
        The database in which instances get pictures.
    """

    url: str
    workers: int
    follow: bool = False
    keeper: Keeper | None = None
    pictured: Couch | None = None

    @property
    def kinds(self) -> list[str]:
        """What makes of this other work, for a checkpoint."""
        return [name for name, wanted in (("metadata", self.keeper), ("pictures", self.pictured)) if wanted]


@dataclass
class Batch:
    """Documents that follow each other in the source, up to a sequence: files, documents without one, and rows."""

    sequence: Any
    documents: int = 0
    size: int = 0
    files: list[stow.File] = field(default_factory=list)
    names: dict[Path, tuple[str, str]] = field(default_factory=dict)
    bare: list[dict] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    @property
    def is_full(self) -> bool:
        return len(self.files) >= BATCH_FILES or self.size >= BATCH_BYTES or self.documents >= BATCH_DOCUMENTS


Running = deque[tuple[Batch, Future[list[Row]]]]


class Bringer:
    """Brings in one source; what it has done is in `place` and `report`."""

    def __init__(self, source: Source, wanted: Wanted, place: Checkpoint, report: Report, bar: Bar) -> None:
        self.source = source
        self.wanted = wanted
        self.place = place
        self.report = report
        self.bar = bar
        self.done = place.kept.get("documents", 0)
        self._local = threading.local()
        self._stop = threading.Event()
        self._files = 0

    def run(self) -> None:
        """Bring in everything, in order: no more batches than workers are on the disk."""
        running: Running = deque()
        with TemporaryDirectory(prefix="import-chronicle-") as folder, ThreadPoolExecutor(self.wanted.workers) as pool:
            try:
                for batch in self._batches(Path(folder)):
                    if batch is not None:
                        running.append((batch, pool.submit(self._store, batch)))
                    while running and (batch is None or len(running) >= self.wanted.workers):
                        self._settle(running)
                while running:
                    self._settle(running)
            except BaseException:  # that of Ctrl-C, too
                self._stop.set()
                for _batch, stored in running:
                    stored.cancel()
                # What is under way is done, up to the first one of which that cannot be said.
                with suppress(CancelledError, CommandError):
                    while running:
                        self._settle(running)
                raise

    def _settle(self, running: Running) -> None:
        """Wait for the first batch, and note what became of it."""
        batch, stored = running[0]
        rows = stored.result()
        running.popleft()
        self.report.add(rows)
        self.done += batch.documents
        self.place.kept |= {"since": batch.sequence, "documents": self.done}
        self.place.reach(f"document {self.done:012d}", all(row.result != FAILED for row in rows))

    def _batches(self, folder: Path) -> Iterator[Batch | None]:
        """Yield what to store, and None where nothing follows for the moment."""
        since = self.place.kept.get("since", 0)
        while True:
            changes, last = self._changes(since)
            batch = Batch(since)
            for change in changes:
                self._take(change, batch, folder)
                if change.sequence is not None and batch.is_full:
                    batch.sequence = change.sequence
                    yield batch
                    batch = Batch(change.sequence)
            batch.sequence = since = last
            if batch.documents:
                yield batch
            if len(changes) < sources.PAGE:
                yield None
                if not self.wanted.follow:
                    return

    def _changes(self, since: object) -> tuple[list[Change], object]:
        """Ask for the next changes; who follows waits for the source as long as it takes."""
        while True:
            try:
                return sources.patiently(lambda: self.source.changes(since, self.wanted.follow))
            except CouchError as problem:
                raise self.source.refusal(problem) from problem
            except Unavailable as problem:
                self._wait_for_source(str(problem))

    def _wait_for_source(self, why: str) -> None:
        if not self.wanted.follow:
            raise CommandError(f"{self.source.place}: {why}; running it again goes on here")
        self.bar.say(f"import-chronicle: {self.source.place}: {why}; trying again")
        self._stop.wait(sources.PAUSE)

    def _take(self, change: Change, batch: Batch, folder: Path) -> None:
        """Add to a batch what a document has."""
        batch.documents += 1
        self.bar.update()
        if change.deleted or change.id.startswith("_design/"):
            return
        try:
            document = self._ask(lambda: self.source.document(change.id))
            found = attached_to(document) if document is not None else []
            whole = [self._fetch(change.id, attached, batch, folder) for attached in found]
        except CouchError as problem:
            if problem.status in (401, 403):
                raise self.source.refusal(problem) from problem
            batch.rows.append(Row(change.id, "", FAILED, str(problem)))
            return
        except Unavailable as problem:
            batch.rows.append(Row(change.id, "", FAILED, str(problem)))
            return
        if document is None:
            batch.rows.append(Row(change.id, "", DELETED))
        elif not any(whole):
            self._take_bare(document, bool(found), batch)

    def _ask(self, job: Callable[[], Made]) -> Made:
        """Ask the source until it answers; raise `Unavailable` when it does, but not to this."""
        while True:
            try:
                return job()
            except Unavailable as problem:
                if self.source.is_there():
                    raise
                self._wait_for_source(str(problem))

    def _fetch(self, document_id: str, attached: Attached, batch: Batch, folder: Path) -> bool:
        """Read an attachment into a file; return whether that is all there is to say of its document."""
        self._files += 1
        path = folder / f"{self._files}.dcm"
        row = None
        try:
            self._ask(lambda: self.source.fetch(document_id, attached, path))
            if not is_instance(path):
                row = Row(document_id, attached.name, NO_DICOM, f"{attached.size} bytes that are no DICOM instance")
        except CouchError as problem:
            if problem.status != 404:
                raise
            gone = self._ask(lambda: self.source.document(document_id)) is None
            row = Row(document_id, attached.name, DELETED if gone else BROKEN, "" if gone else "it cannot be found")
        except Broken as problem:
            row = Row(document_id, attached.name, BROKEN, str(problem))
        except Unavailable as problem:
            row = Row(document_id, attached.name, FAILED, str(problem))
        if row is None:
            batch.files.append((path, attached.size))
            batch.names[path] = (document_id, attached.name)
            batch.size += attached.size
            return True
        batch.rows.append(row)
        path.unlink(missing_ok=True)
        return row.result in (DELETED, FAILED)

    def _take_bare(self, document: dict, told: bool, batch: Batch) -> None:
        """Take note of a document without a file; `told` says that the report names it already."""
        if self.wanted.keeper is not None:
            batch.bare.append(document)
        elif not told:
            batch.rows.append(Row(document["_id"], "", NO_ATTACHMENT, _where(document)))

    def _store(self, batch: Batch) -> list[Row]:
        """Store a batch; return what became of its documents."""
        rows = list(batch.rows)
        for outcome in self._sent(batch.files):
            name = batch.names[outcome.path]
            if outcome.result == stow.REFUSED:
                rows.append(Row(*name, FAILED if outcome.again else REFUSED, outcome.reason))
            else:
                rows.append(Row(*name, STORED if outcome.result == stow.STORED else ALREADY))
                if problem := self._pictured(outcome.path):
                    rows.append(Row(*name, NO_PICTURES, problem))
            outcome.path.unlink(missing_ok=True)
        return rows + self._kept(batch.bare)

    def _sent(self, files: list[stow.File]) -> list[stow.Outcome]:
        """Send files until the server has said of each what became of it; who follows waits as long as it takes."""
        if not hasattr(self._local, "client"):
            self._local.client = stow.Client(self.wanted.url)
        sizes, outcomes, attempt, pause = dict(files), [], 1, sources.PAUSE
        while files:
            told = self._local.client.store(files)
            last = self._stop.is_set() or (attempt >= sources.ATTEMPTS and not self.wanted.follow)
            outcomes += [one for one in told if last or not one.again]
            files = [] if last else [(one.path, sizes[one.path]) for one in told if one.again]
            if files:
                self._stop.wait(pause)
                attempt, pause = attempt + 1, min(2 * pause, sources.LONGEST)
        return outcomes

    def _pictured(self, path: Path) -> str:
        if self.wanted.pictured is None:
            return ""
        if not hasattr(self._local, "pictures"):
            self._local.pictures = Pictures(self.wanted.pictured, self.wanted.url)
        return self._local.pictures.attach(path)

    def _kept(self, documents: list[dict]) -> list[Row]:
        if not documents or self.wanted.keeper is None:
            return []
        keeper = self.wanted.keeper
        try:
            told = sources.patiently(lambda: keeper.keep(documents))
        except (Unavailable, CouchError, DicomWebError) as problem:
            return [Row(document["_id"], "", FAILED, str(problem)) for document in documents]
        pairs = zip(documents, told, strict=True)
        return [Row(document["_id"], "", result, why or _where(document)) for document, (result, why) in pairs]


def _where(document: dict) -> str:
    """Return why a document has no file, as far as it says that."""
    linked = next((document[name] for name in PATHS if isinstance(document.get(name), str)), "")
    return "no DICOM file is attached" + (f"; it was made of {linked}" if linked else "")
