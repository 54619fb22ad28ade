"""Look whether the bytes of every instance are there, and what files no document names.

    dicouch check
    dicouch check --digests --study 1.2.3 --study 1.2.4
    dicouch check --remove-orphans

Reads the settings of the server (BYTES, BYTES_ROOTS, BYTES_SHARED, LINK_ROOTS). A file that no document names is left
by a move or a store that was stopped; those younger than an hour may belong to an upload that is under way and are
never removed. A run that was stopped goes on where it was, within a day, and looks again at what was wrong;
--from-start begins anew. Where the database is replicated, such files are removed below BYTES alone; below BYTES_SHARED
nothing is looked for.
"""

import hashlib
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from dicouch.config import Config
from dicouch.couch.client import Couch
from dicouch.couch.response import CouchError
from dicouch.errors import DicomWebError, NoBytes
from dicouch.scripts import cli
from dicouch.scripts.commands import add_from_start, byte_folders, couch_of_server, study_parser
from dicouch.scripts.connection import CommandError
from dicouch.scripts.progress import Bar, Checkpoint, count_instances
from dicouch.scripts.walk_documents import documents, in_order, others
from dicouch.store import ATTACHED, ATTACHMENT, FOLDER, LINK, NOWHERE
from dicouch.store.places import Bytes
from dicouch.write.reconcile import Reconciler

YOUNG = 3600.0
MAY_BE_OF_ANOTHER = "the database is replicated, and below BYTES_ROOTS may be files of another server (BYTES_SHARED)"


def problem_of(store: Bytes, document: dict, digests: bool) -> str:
    """Return what is wrong with the bytes of an instance, empty if nothing is.

    Parameters
    ----------
    store : Bytes
    document : dict
    digests : bool
        Whether to read the bytes and compare their digest.
    """
    file = document["file"]
    if file["store"] == NOWHERE:
        return ""  # only its metadata came
    try:
        if file["store"] == ATTACHED:
            stub = document.get("_attachments", {}).get(ATTACHMENT)
            size = stub["length"] if stub else None
        else:
            path = store.locate(file)
            size = path.stat().st_size if path else None
            if size is None and store.can_fetch(file):
                size = file["size"]  # another server has them; `--digests` fetches them
        if size is None:
            return f"its bytes are missing ({file['store']})"
        if size != file["size"]:
            return f"it has {size} bytes, not {file['size']}"
        if digests:
            digest = hashlib.sha256()
            for piece in store.open(document["_id"], file):
                digest.update(piece)
            if digest.hexdigest() != file["sha256"]:
                return "its bytes are not those that were stored (the digest differs)"
    except (CouchError, DicomWebError, OSError) as problem:
        return str(problem)
    return ""


def named_by(store: Bytes, file: dict) -> set[str]:
    """Return the path of the file that a revision names and that is here; empty if there is none."""
    try:
        path = None if file["store"] == ATTACHED else store.locate(file, compare=False)
    except NoBytes:  # a linked file that is not what it was is nobody's orphan
        path = Path(file["store"].removeprefix(LINK)).resolve()
    return {str(path)} if path else set()


def orphans(roots: Iterable[str], named: set[str], now: float | None = None) -> list[Path]:
    """Return the files below some folders that no document names.

    Parameters
    ----------
    roots : sequence of str
    named : set of str
        Absolute paths.
    now : float, optional
        Seconds since the epoch.

    Returns
    -------
    list of pathlib.Path
        Those that are older than an hour.
    """
    now = time.time() if now is None else now
    files = (path for root in roots for path in sorted(Path(root).rglob("*")) if path.is_file())
    return [path for path in files if str(path.resolve()) not in named and now - path.stat().st_mtime > YOUNG]


def check_all(
    couch: Couch, store: Bytes, studies: Sequence[str], digests: bool, from_start: bool = False
) -> tuple[int, int, set[str]]:
    """Look at the bytes of all instances, or of those of some studies, and print what is wrong.

    It also prints of how many it has not looked at the bytes, since an earlier run, which was stopped, has done so.

    Returns
    -------
    tuple of (int, int, set of str)
        Instances, those with a problem, and the paths of the files that documents name.
    """
    looked, passed, named = 0, 0, set()
    about = ("digests" if digests else "sizes", *in_order(studies))
    total = count_instances(couch, studies)
    with (
        Checkpoint("check", couch, *about, from_start=from_start) as place,
        Bar(desc="checking", unit=" instances", total=total) as bar,
    ):
        before, wrong = place.after, place.kept.setdefault("wrong", {})
        # All documents are read, for the names of their files; the bytes only of those that were not looked at yet.
        for document in documents(couch, studies, conflicts=True):
            name = document["_id"]
            looked += 1
            # Again those with which something was wrong: the list of problems is whole, and true now.
            if name <= before and name not in wrong:
                passed += 1
            elif problem := problem_of(store, document, digests):
                bar.say(f"{name}: {problem}")
                wrong[name] = problem
            else:
                wrong.pop(name, None)
            # Revisions in conflict have their bytes as well: which of them stays is for a person to say.
            for one in (document, *others(couch, document)):
                named |= named_by(store, one["file"])
            place.reach(name)
            bar.update()
    if passed:
        print(f"{passed} instances up to {before}: in order in an earlier run, not read again (--from-start does)")
    return looked, len(wrong), named


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns
    -------
    int
        0 when nothing is wrong, 1 when something is, 2 when nothing could be done.
    """
    parser = study_parser("check", __doc__)
    parser.add_argument("--digests", action="store_true", help="read all bytes and compare their digests")
    parser.add_argument("--remove-orphans", action="store_true", help="remove files that no document names")
    add_from_start(parser)
    options = cli.parse(parser, arguments)
    if options.remove_orphans and options.study:
        parser.error("--remove-orphans needs all studies")
    try:
        settings = Config.from_environment()
        with couch_of_server() as couch:
            store = Bytes.from_config(settings, couch)
            looked, wrong, named = check_all(couch, store, options.study, options.digests, options.from_start)
            # Before there was BYTES_SHARED, folders of other servers were named in BYTES_ROOTS.
            own = [settings.bytes.removeprefix(FOLDER)] if Reconciler(couch).is_replicated() else byte_folders(settings)
    except (ValueError, CommandError, CouchError, DicomWebError) as error:
        print(f"check: {error}", file=sys.stderr)
        return 2
    left = [] if options.study else orphans(byte_folders(settings), named)
    stay = 0
    for path in left:
        is_own = any(path.is_relative_to(folder) for folder in own)
        stay += not is_own
        told = ", removed" if is_own else f"; it stays: {MAY_BE_OF_ANOTHER}"
        print(f"{path}: no document names it{told if options.remove_orphans else ''}")
        if options.remove_orphans and is_own:
            path.unlink()
    print(f"{looked} instances, {wrong} with a problem, {len(left)} files that no document names")
    return 1 if wrong or stay or (left and not options.remove_orphans) else 0


if __name__ == "__main__":
    sys.exit(main())
