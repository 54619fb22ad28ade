"""Make the headers of studies and series anew from their instances, while the server serves.

    dicouch rebuild-headers
    dicouch rebuild-headers --study 1.2.3 --study 1.2.4

What people fixed is kept as long as the header is there. Studies without a header, which no search finds, get one.
A run that was stopped goes on where it was, within a day and with the same design document; --from-start begins anew.
"""

import sys
from collections.abc import Sequence

from dicouch.couch.client import Couch
from dicouch.couch.memory import Memory
from dicouch.couch.response import CouchError
from dicouch.errors import DicomWebError
from dicouch.rewrite.requests import DESIGN
from dicouch.scripts import cli
from dicouch.scripts.commands import add_from_start, couch_of_server, print_failed, study_parser
from dicouch.scripts.connection import CommandError
from dicouch.scripts.progress import Bar, Checkpoint, count_studies
from dicouch.scripts.walk_documents import in_order, studies_of
from dicouch.write.headers import Headers


def rebuild_all(
    couch: Couch, studies: Sequence[str] = (), *, quiet: bool = False, from_start: bool = False
) -> tuple[int, int, list[tuple[str, str]]]:
    """Rebuild the headers of studies.

    Parameters
    ----------
    couch : Couch
    studies : sequence of str
        Study Instance UIDs; all studies when there are none.
    quiet : bool
        Show no progress bar.
    from_start : bool
        Do not go on where an earlier run was stopped.

    Returns
    -------
    tuple of (int, int, list of (str, str))
        Studies looked at, headers written or removed, and the studies that failed with the reasons.
    """
    headers = Headers(couch, Memory.of(couch, 0))
    failed = []
    chosen = in_order(studies)
    total = len(chosen) or (None if quiet else count_studies(couch))
    # The functions of the design document make the headers: those of another version did other work.
    version = couch.json("GET", DESIGN).get("version", "")
    with Checkpoint("rebuild-headers", couch, version, *chosen, from_start=from_start) as place:
        looked, written = place.kept.get("counts", (0, 0))
        left = [study for study in chosen if f"{study};" > place.after] if chosen else studies_of(couch, place.after)
        with Bar(desc="rebuilding", unit=" studies", total=total, initial=looked, disable=quiet) as bar:
            for study in left:
                looked += 1
                done = False
                try:
                    written += headers.rebuild(study)
                    done = True
                except (CouchError, DicomWebError) as problem:
                    failed.append((study, str(problem)))
                place.kept["counts"] = (looked, written)
                place.reach(f"{study};", done)
                bar.update()
    return looked, written, failed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns
    -------
    int
        0 when all headers agree with their instances, 1 when some could not be rebuilt, 2 when nothing could be done.
    """
    parser = study_parser("rebuild-headers", __doc__)
    add_from_start(parser)
    options = cli.parse(parser, arguments)
    try:
        with couch_of_server() as couch:
            looked, written, failed = rebuild_all(couch, options.study, from_start=options.from_start)
    except (CommandError, CouchError, DicomWebError) as error:
        print(f"rebuild-headers: {error}", file=sys.stderr)
        return 2
    print(f"studies         {looked:>8}")
    print(f"headers changed {written:>8}")
    print_failed(failed)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
