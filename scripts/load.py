"""Upload a folder of DICOM files through STOW-RS, or link its files where they are.

    dicouch load ~/images
    dicouch load ~/images --url http://user:password@pacs.example:5985/dicom-web --workers 8 --report failures.csv
    LINK_ROOTS=/archive dicouch load /archive/2026 --link

A run that was stopped goes on where it was; DATA_DIR has the journal of what it had stored.
"""

import csv
import os
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, as_completed, wait
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import requests

from dicouch.config import Config
from dicouch.couch.response import CouchError
from dicouch.errors import DicomWebError
from dicouch.rewrite.requests import indexed
from dicouch.scripts import choose, cli, dicomfiles, stow
from dicouch.scripts.commands import couch_of_server, place_of
from dicouch.scripts.connection import CommandError, client_of, reason, redact
from dicouch.scripts.journal import Journal
from dicouch.scripts.link import Linker
from dicouch.scripts.progress import Bar
from dicouch.write.indexed import LONGEST

DEFAULT_URL = "http://127.0.0.1:5985/dicom-web"
BATCH_FILES = 100
BATCH_BYTES = 64 << 20
DEFAULT_WORKERS = 4
SHOWN = 20


class Storing(Protocol):
    """What stores batches of files: a client of the server, or what links files where they are."""

    def store(self, batch: Sequence[stow.File], /) -> list[stow.Outcome]: ...


Maker = Callable[[Callable[[int], object]], Storing]
"""Makes one; takes what is called with the number of bytes of each piece that was sent."""


@dataclass
class Summary:
    """What an upload did.

    Attributes
    ----------
    folder : pathlib.Path
    outcomes : list of stow.Outcome
    skipped : int
        Files that are no DICOM instances.
    before : int
        Files that a run before this one, which was stopped, had stored.
    size : int
        Bytes sent.
    seconds : float
    """

    folder: Path
    outcomes: list[stow.Outcome] = field(default_factory=list)
    skipped: int = 0
    before: int = 0
    size: int = 0
    seconds: float = 0.0

    def count(self, result: str) -> int:
        """Number of files with this result."""
        return sum(outcome.result == result for outcome in self.outcomes)

    @property
    def refused(self) -> list[stow.Outcome]:
        """Outcomes of the files that are not stored."""
        return [outcome for outcome in self.outcomes if outcome.result == stow.REFUSED]

    def lines(self, shown: int = SHOWN) -> Iterator[str]:
        """The summary as lines of text, with at most `shown` refused files."""
        remarks = Counter(o.reason for o in self.outcomes if o.result == stow.STORED and o.reason)
        yield f"{'stored':<14}{self.count(stow.STORED):>8}"
        for text, count in remarks.most_common(5):
            yield f"  {count} with the remark: {text}"
        if self.before:
            yield f"{'stored before':<14}{self.before:>8}   (by the run that was stopped)"
        if self.count(stow.ALREADY):
            yield f"{'already there':<14}{self.count(stow.ALREADY):>8}"
        yield f"{'refused':<14}{len(self.refused):>8}"
        for outcome in self.refused[:shown]:
            yield f"  {os.path.relpath(outcome.path, self.folder)}: {outcome.reason}"
        if len(self.refused) > shown:
            yield f"  and {len(self.refused) - shown} more (--report FILE lists them all)"
        yield f"{'skipped':<14}{self.skipped:>8}   (not DICOM instances)"
        rate = self.size / self.seconds / 1e6 if self.seconds else 0.0
        yield f"{self.size / 1e6:.1f} MB in {self.seconds:.1f} s, {rate:.1f} MB/s"


def batches(
    files: Iterable[stow.File], most_files: int = BATCH_FILES, most_bytes: int = BATCH_BYTES
) -> Iterator[list[stow.File]]:
    """Group files into requests.

    Parameters
    ----------
    files : iterable of tuple of (pathlib.Path, int)
        Paths and sizes.
    most_files, most_bytes : int
        Limits of one request; a file that is larger travels alone.

    Yields
    ------
    list of tuple of (pathlib.Path, int)
    """
    batch: list[stow.File] = []
    size = 0
    for path, length in files:
        if batch and (len(batch) >= most_files or size + length > most_bytes):
            yield batch
            batch, size = [], 0
        batch.append((path, length))
        size += length
    if batch:
        yield batch


def check_server(url: str) -> None:
    """Make sure that a DICOMweb server answers.

    Raises
    ------
    CommandError
        When nothing does, or it refuses the login.
    """
    plain, session = client_of(url)
    try:
        answer = session.get(f"{plain}/studies", params={"limit": 1}, timeout=30)
    except requests.ConnectionError as error:
        raise CommandError(f"no DICOMweb server answers at {redact(url)}: start one with make run") from error
    except requests.RequestException as error:
        raise CommandError(f"no usable answer from {redact(url)}: {error}") from error
    if answer.status_code >= 400:
        raise CommandError(f"{redact(url)}/studies answers {answer.status_code}: {reason(answer)}")


def upload(
    folder: str | os.PathLike,
    url: str = DEFAULT_URL,
    *,
    workers: int = DEFAULT_WORKERS,
    quiet: bool = False,
    link: Maker | None = None,
) -> Summary:
    """Upload all DICOM files of a folder, or link them.

    Parameters
    ----------
    folder : pathlib.Path
        A folder of any depth, or one file.
    url : str
        DICOMweb root, may carry ``user:password@``.
    workers : int
        Requests at a time.
    quiet : bool
        Show no progress.
    link : callable, optional
        Makes what stores the batches, in place of a client of `url`.

    Returns
    -------
    Summary

    Raises
    ------
    CommandError
        When the folder does not exist or the server is out of reach.
    """
    folder = Path(folder)
    if not folder.exists():
        raise CommandError(f"{folder} does not exist")
    if link is None:
        check_server(url)
    with Bar(desc="looking for DICOM files", unit=" files", disable=quiet, leave=False) as bar:
        found = dicomfiles.find(folder, bar.update)
    summary = Summary(folder if folder.is_dir() else folder.parent, skipped=found.skipped)
    summary.outcomes += [stow.Outcome(path, stow.REFUSED, why) for path, why in found.unreadable]
    started = time.monotonic()
    with Journal(choose.data_dir(), folder, f"{'link' if link else 'send'} {redact(url)}") as journal:
        left = [(path, size) for path, size in found.files if not journal.has(path, size)]
        summary.before = len(found.files) - len(left)
        summary.size = sum(size for _path, size in left)
        with Bar(total=summary.size, desc="storing", unit="B", unit_scale=True, disable=quiet) as bar:
            make = link or (lambda sent: stow.Client(url, sent))
            # Closed here, so that what is under way when the run is stopped gets into the journal, too.
            with closing(_send(left, make, workers, bar.update, journal)) as sending:
                for outcomes in sending:
                    summary.outcomes += outcomes
        journal.done()
    summary.seconds = time.monotonic() - started
    return summary


def _send(
    files: Iterable[stow.File], make: Maker, workers: int, sent: Callable[[int], object], journal: Journal
) -> Generator[list[stow.Outcome], None, None]:
    """Yield the outcomes of each batch; `workers` are under way, and no more batches than that in memory."""
    local = threading.local()
    lock = threading.Lock()

    def count(number: int) -> None:
        with lock:
            sent(number)

    def store(batch: Sequence[stow.File]) -> list[stow.Outcome]:
        if not hasattr(local, "client"):
            local.client = make(count)
        outcomes = local.client.store(batch)
        with lock:
            journal.add(outcome.path for outcome in outcomes if outcome.result != stow.REFUSED)
        return outcomes

    running: set[Future[list[stow.Outcome]]] = set()
    with ThreadPoolExecutor(workers) as pool:
        for batch in batches(files):
            if len(running) >= workers:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
            running.add(pool.submit(store, batch))
        for future in as_completed(running):
            yield future.result()


def link(folder: Path, workers: int) -> Summary:
    """Link all DICOM files of a folder, in the database that the server uses; see `dicouch.scripts.link`."""
    settings = Config.from_environment()
    with couch_of_server() as couch, ThreadPoolExecutor(workers) as pool:
        summary = upload(
            folder, place_of(couch), workers=workers, link=lambda sent: Linker(couch, settings, pool, sent)
        )
        # Found by who searches then; without it, and of a large archive, that takes as long as the index takes.
        asked = indexed()
        with suppress(CouchError, DicomWebError):
            couch.with_timeout(LONGEST).json(asked.method, asked.path, params=asked.params)
    return summary


def write_report(path: Path, outcomes: Iterable[stow.Outcome]) -> None:
    """Write the refused files with their reasons as CSV."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "reason"])
        writer.writerows([str(outcome.path), outcome.reason] for outcome in outcomes)


def workers_of(text: str) -> int:
    """Read the number of requests at a time."""
    number = int(text)
    if not 1 <= number <= 64:
        raise ValueError(text)
    return number


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns
    -------
    int
        0 when every DICOM file is stored, 1 when one is not, 2 when nothing could be done.
    """
    parser = cli.parser_of("load", __doc__)
    parser.add_argument("folder", type=Path, help="a folder of any depth, or one file")
    parser.add_argument("--url", default=os.environ.get("DICOMWEB_URL") or DEFAULT_URL, help="DICOMweb root")
    parser.add_argument("--workers", type=workers_of, default=DEFAULT_WORKERS, help="requests at a time (1 to 64)")
    parser.add_argument("--report", type=Path, help="write the refused files and the reasons to this CSV file")
    parser.add_argument("--link", action="store_true", help="leave the files where they are (below LINK_ROOTS)")
    options = cli.parse(parser, arguments)
    # The server says what is wrong with a file.
    warnings.filterwarnings("ignore", module="pydicom")
    try:
        if options.link:
            summary = link(options.folder, options.workers)
        else:
            summary = upload(options.folder, options.url, workers=options.workers)
        if options.report:
            write_report(options.report, summary.refused)
    except (CommandError, ValueError) as error:
        print(f"load: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"load: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    for line in summary.lines():
        print(line)
    if not summary.outcomes:
        print(f"load: no DICOM file in {options.folder}", file=sys.stderr)
        return 2
    return 1 if summary.refused else 0


if __name__ == "__main__":
    sys.exit(main())
