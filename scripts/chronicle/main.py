"""Bring in the database of a SlicerChronicle or of dcmjs' dicomweb-server, from the files attached to its documents.

    dicouch import-chronicle FROM=http://admin:secret@127.0.0.1:5984/chronicle
    dicouch import-chronicle http://127.0.0.1:5984/chronicle --report left.csv --metadata-only
    CHRONICLE_URL=http://admin:secret@old.example:5984/chronicle dicouch import-chronicle --follow

The files go to a running server, as those of `dicouch load`. A run that was stopped goes on where it was, within a day.
--metadata-only and --thumbnails write to the database itself: the one that `dicouch run` uses, or COUCHDB_URL names.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from dicouch.config import Config
from dicouch.couch.response import CouchError
from dicouch.errors import DicomWebError
from dicouch.scripts import cli
from dicouch.scripts.chronicle.bring import Bringer, Wanted
from dicouch.scripts.chronicle.keep import Keeper
from dicouch.scripts.chronicle.report import Report
from dicouch.scripts.chronicle.source import Source
from dicouch.scripts.commands import add_from_start, couch_of_server
from dicouch.scripts.connection import CommandError, redact
from dicouch.scripts.load import DEFAULT_URL, DEFAULT_WORKERS, check_server, workers_of
from dicouch.scripts.progress import Bar, Checkpoint


def bring(source: Source, wanted: Wanted, path: Path | None, from_start: bool) -> Report:
    """Bring in a source, from where the run before this one was stopped; see `Wanted`.

    Raises
    ------
    CommandError
        When source or server refuse the login, or do not answer.
    """
    check_server(wanted.url)
    total = source.count()
    about = source.place, redact(wanted.url), *wanted.kinds
    with (
        Checkpoint("import-chronicle", source.couch, *about, from_start=from_start) as place,
        Report(path, place.kept) as report,
        Bar(desc="bringing in", unit=" documents", total=None if wanted.follow else total) as bar,
    ):
        Bringer(source, wanted, place, report, bar).run()
    return report


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns
    -------
    int
        0 when everything is stored, 1 when something is not, 2 when nothing could be done.
    """
    parser = cli.parser_of("import-chronicle", __doc__)
    parser.add_argument(
        "source", metavar="FROM", nargs="?", default=os.environ.get("CHRONICLE_URL"), help="URL of the database"
    )
    parser.add_argument("--url", default=os.environ.get("DICOMWEB_URL") or DEFAULT_URL, help="DICOMweb root")
    parser.add_argument("--workers", type=workers_of, default=DEFAULT_WORKERS, help="requests at a time (1 to 64)")
    parser.add_argument("--follow", action="store_true", help="go on with what is stored there later, until stopped")
    parser.add_argument("--metadata-only", action="store_true", help="keep the metadata of documents without a file")
    parser.add_argument("--thumbnails", action="store_true", help="attach image32.png to image512.png to what comes")
    parser.add_argument("--report", type=Path, help="write what is not stored and why to this CSV file")
    add_from_start(parser)
    options = cli.parse(parser, arguments)
    if not options.source:
        parser.error("name the database: FROM=http://user:password@host:5984/chronicle, or CHRONICLE_URL")
    # The server says what is wrong with a file.
    warnings.filterwarnings("ignore", module="pydicom")
    try:
        source = Source(options.source.removeprefix("FROM="))
        check_server(options.url)
        with ExitStack() as stack:
            needs = options.metadata_only or options.thumbnails
            couch = stack.enter_context(couch_of_server()) if needs else None
            keeper = Keeper(couch, Config.from_environment()) if couch and options.metadata_only else None
            pictured = couch if options.thumbnails else None
            wanted = Wanted(options.url, options.workers, options.follow, keeper, pictured)
            report = bring(source, wanted, options.report, options.from_start)
    except (CommandError, ValueError, CouchError, DicomWebError) as error:
        print(f"import-chronicle: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"import-chronicle: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    for line in report.lines():
        print(line)
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
