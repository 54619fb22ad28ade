"""The instances of one store request on their way into the database."""

from __future__ import annotations

import errno
import logging
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import BinaryIO, cast

from dicouch.couch.patience import handed
from dicouch.dicom.media.multipart import MalformedMultipart, ReceivedPart, TooManyParts
from dicouch.errors import DicomWebError
from dicouch.write.ingest import Ingest, Received
from dicouch.write.outcome import OUT_OF_RESOURCES, PROCESSING_FAILURE, Outcome
from dicouch.write.pace import LONGEST, Pace

LOG = logging.getLogger(__name__)

# Writes of one request that go to CouchDB at the same time; small instances in one write, and bytes of their files.
IN_FLIGHT = 4
BATCH = 32
BATCH_BYTES = 2 << 20  # what waits is in memory, and many clients may store at once
# A body with no more bytes than these around an instance mostly holds no other.
ALONE = 1024
POOL = ThreadPoolExecutor(16, thread_name_prefix="store")


class Upload:
    """Stores the instances of one request, several at a time; what became of them is told in their order.

    `length` is that of the request's body in bytes, where it says so; `pace` makes uploads wait for the index.
    """

    def __init__(self, ingest: Ingest, pace: Pace, length: int | None) -> None:
        self.ingest = ingest
        self._pace = pace
        self._length = length
        self.outcomes: list[Outcome] = []
        self._running: deque[Future] = deque()
        self._small: list[ReceivedPart] = []
        # Seconds for which it waits for the index, in all.
        self._patience = LONGEST

    def add(self, part: ReceivedPart | Outcome) -> None:
        """Take a part, or what became of one; wait while too many are on their way to the database."""
        if isinstance(part, Outcome):
            self._submit(lambda: [part])
        elif part.too_large:
            self.add(_too_large(f"the instance of {part.size} bytes is larger than this server takes", part.number))
        elif self._length is not None and self._length - part.size < ALONE:
            self._take(self._store([part], alone=True))  # another thread would only cost time
        elif self.ingest.is_small(part.size):
            self._small.append(part)
            if len(self._small) >= BATCH or sum(small.size for small in self._small) >= BATCH_BYTES:
                self._flush()
        else:
            self._submit(self._store, [part])

    def finish(self) -> list[Outcome]:
        """Wait for all; return what became of each instance."""
        self._flush()
        while self._running:
            self._take(self._running.popleft().result())
        return self.outcomes

    def _take(self, outcomes: list[Outcome]) -> None:
        """Take what became of a batch; wait for the index here, since the threads that store are for all requests."""
        self.outcomes += outcomes
        if stored := sum(not outcome.failure for outcome in outcomes):
            self._patience -= self._pace.stored(stored, self.ingest.authorization, self._patience)

    def _flush(self) -> None:
        if self._small:
            parts, self._small = self._small, []
            self._submit(self._store, parts)

    def _submit(self, job: Callable[..., list[Outcome]], *arguments: object) -> None:
        while len(self._running) >= IN_FLIGHT:
            self._take(self._running.popleft().result())
        self._running.append(POOL.submit(handed(job), *arguments))

    def _store(self, parts: list[ReceivedPart], alone: bool = False) -> list[Outcome]:
        received: list[Received] = []
        try:
            received = [
                self.ingest.read(cast(BinaryIO, part.file), part.size, part.sha256 or "", part.number) for part in parts
            ]
            for each in received:
                each.outcome.number = each.number
            if len(parts) > 1 or (alone and not self.ingest.is_small(parts[0].size)):
                self.ingest.search(received, POOL)
            return self.ingest.store_batch(received, alone)
        except Exception:  # noqa: BLE001 - an error of ours must not take the request's other instances with it
            LOG.exception("storing %d instances", len(parts))
            comment = "not stored: an error of the server; its log says more"
            known = [each.outcome for each in received] or [Outcome(number=part.number) for part in parts]
            return [
                outcome if outcome.failure else replace(outcome, failure=PROCESSING_FAILURE, comment=comment)
                for outcome in known
            ]
        finally:
            for part in parts:
                part.close()


def receive(parts: Iterable[ReceivedPart | Outcome], upload: Upload) -> tuple[list[Outcome], str]:
    """Store the instances of a request.

    Parameters
    ----------
    parts : iterable of ReceivedPart or Outcome
        From `dicouch.write.body.instances`.

    Returns
    -------
    outcomes : list of Outcome
        In the order of the parts.
    complaint : str
        What broke the body off; empty if it was whole.

    Raises
    ------
    DicomWebError
        When the body broke off before any instance of it.
    """
    complaint = ""
    limited = False  # instances that the site's limits cut off are failures, which a client looks for in the answer
    try:
        for part in parts:
            upload.add(part)
    except MalformedMultipart as problem:
        complaint, limited = problem.reason, isinstance(problem, TooManyParts)
    except DicomWebError as problem:
        if not upload.finish():
            raise
        complaint, limited = problem.reason, problem.status == 413
    except OSError as problem:
        if problem.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        complaint = "the disk of this server is full"
        if not upload.finish():
            raise DicomWebError(503, complaint, {"Retry-After": "600"}) from problem
    outcomes = upload.finish()
    if limited:
        outcomes.append(_too_large(f"further instances were not read: {complaint}"))
    upload.ingest.settle(outcomes, POOL)
    return outcomes, complaint


def _too_large(comment: str, number: int = 0) -> Outcome:
    return Outcome(failure=OUT_OF_RESOURCES, comment=comment, too_large=True, number=number)


def check_space(folder: str | None, least: int, length: int) -> None:
    """Refuse (503) a request of `length` bytes if less than `least` would be left where parts are spooled."""
    free = shutil.disk_usage(folder or tempfile.gettempdir()).free
    if free < least + length:
        raise DicomWebError(503, f"only {free} bytes are free on the disk of this server", {"Retry-After": "600"})
