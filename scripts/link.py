"""Linking files in place: their documents are stored, the files stay where they are and are only ever read.

This runs on the server's machine and writes to the database itself, with the server's own modules: no client of the
server can make it read a path. The folders that may be linked are those that the server's LINK_ROOTS names.
"""

import hashlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path

from dicouch.config import Config
from dicouch.couch.client import Couch
from dicouch.couch.memory import Memory
from dicouch.couch.response import CouchError
from dicouch.errors import DicomWebError
from dicouch.scripts import stow
from dicouch.scripts.commands import byte_folders
from dicouch.scripts.connection import CommandError
from dicouch.store.folder import LinkStore
from dicouch.store.places import Bytes
from dicouch.write.ingest import Ingest
from dicouch.write.outcome import Outcome


class Linker:
    """Stores the documents of files; `store` may be called from several threads.

    Parameters
    ----------
    couch : Couch
    settings : Config
        Those of the server.
    pool : Executor
        Runs what can be done beside the rest.
    sent : callable
        Called with the size of each file that was read.

    Raises
    ------
    CommandError
        When LINK_ROOTS names no folder.
    """

    def __init__(self, couch: Couch, settings: Config, pool: Executor, sent: Callable[[int], object]) -> None:
        if not settings.link_roots:
            raise CommandError("LINK_ROOTS names no folder: set it to those that may be linked, for the server too")
        self._couch = couch
        self._overwrite = settings.duplicates == "overwrite"
        self._links = LinkStore(settings.link_roots)
        # A file in one of the site's own folders is removed when a linked one replaces it.
        self._store = Bytes(couch, "attachment", byte_folders(settings), self._links, shared=settings.bytes_shared)
        # What is new is linked instead of copied.
        self._store.folder = self._links
        self._memory = Memory.of(couch, settings.remember)
        self._pool = pool
        self._sent = sent
        self._lock = threading.Lock()

    def store(self, batch: Sequence[tuple[Path, int]]) -> list[stow.Outcome]:
        """Link some files.

        Parameters
        ----------
        batch : list of tuple of (pathlib.Path, int)
            Paths and sizes.

        Returns
        -------
        list of stow.Outcome
        """
        ingest = Ingest(self._couch, self._store, self._memory, replace=self._overwrite)
        outcomes = [self._one(ingest, path, number) for number, (path, _size) in enumerate(batch)]
        stored = [outcome for _path, outcome in outcomes if not isinstance(outcome, str)]
        try:
            ingest.settle(stored, self._pool)
        except (CouchError, DicomWebError) as problem:
            why = f"its headers could not be written: {problem}"
            return [stow.Outcome(path, stow.REFUSED, why) for path, _outcome in outcomes]
        return [_told(path, outcome) for path, outcome in outcomes]

    def _one(self, ingest: Ingest, path: Path, number: int) -> tuple[Path, Outcome | str]:
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                size = file.tell()
                outcome = ingest.store(ingest.read(file, size, digest, number))
        except OSError as problem:
            return path, problem.strerror or str(problem)
        except DicomWebError as problem:
            return path, problem.reason
        with self._lock:
            self._sent(size)
        return path, outcome


def _told(path: Path, outcome: Outcome | str) -> stow.Outcome:
    if isinstance(outcome, str):
        return stow.Outcome(path, stow.REFUSED, outcome)
    if outcome.failure:
        return stow.Outcome(path, stow.REFUSED, outcome.comment or "refused")
    already = outcome.comment.startswith("already stored")
    return stow.Outcome(path, stow.ALREADY if already else stow.STORED, "" if already else outcome.comment)
