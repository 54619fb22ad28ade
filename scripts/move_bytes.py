"""Move the Part 10 bytes of stored instances to another place while the server serves.

    dicouch move-bytes --to folder:/srv/bytes
    dicouch move-bytes --to attachment --study 1.2.3

New instances go where `BYTES` says: set that first, and name the old folder in BYTES_ROOTS until everything has moved.
Of each instance the bytes are copied and their digest compared, then the document is switched with its revision, then
the old bytes are removed. Stopped at any moment, it goes on from there when it is run again; what a stopped run had
copied and not yet named in a document is a file that `dicouch check` lists. Of an instance in conflict the bytes that
are read are moved, the others stay and count as failed.
"""

import hashlib
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, cast

import orjson

from dicouch.config import Config
from dicouch.couch.client import Couch, segment
from dicouch.couch.response import CouchError
from dicouch.dicom.media.multipart_writer import couch_multipart
from dicouch.errors import DicomWebError
from dicouch.scripts import cli
from dicouch.scripts.commands import byte_folders, couch_of_server, print_failed, study_parser
from dicouch.scripts.connection import CommandError
from dicouch.scripts.progress import Bar, count_instances
from dicouch.scripts.walk_documents import documents, others
from dicouch.store import ATTACHED, ATTACHMENT, FOLDER, NOWHERE
from dicouch.store.places import Bytes

SPOOL = 32 << 20
ATTEMPTS = 20
STAYS = "another server stored other content: the bytes of revision {} stay where they are, until one is chosen"


@dataclass
class Summary:
    """What was done.

    Attributes
    ----------
    moved, there, size : int
        Instances that were moved, that were in their place already, and bytes moved.
    failed : list of (str, str)
        Document ids of those that stay where they are, and why.
    """

    moved: int = 0
    there: int = 0
    size: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)


class Mover:
    """Moves bytes to one place.

    Parameters
    ----------
    couch : Couch
    target : Bytes
        Its place for new instances is where the bytes go; it also reads those that there are.
    """

    def __init__(self, couch: Couch, target: Bytes) -> None:
        self.couch = couch
        self.bytes = target

    def in_place(self, file: dict) -> bool:
        """Return whether the bytes of an instance are where they shall be."""
        if file["store"] == NOWHERE:
            return True
        if self.bytes.folder is None:
            return file["store"] == ATTACHED
        return file["store"].startswith(FOLDER) and self.bytes.folder.locate(file) is not None

    def is_left(self, document: dict) -> bool:
        """Return whether a revision in conflict has its bytes here, and not where they shall be."""
        return not self.in_place(document["file"]) and self.bytes.is_here(document["file"])

    def move(self, document: dict) -> bool:
        """Move the bytes of an instance.

        Returns
        -------
        bool
            False when there was nothing to do: it is in its place, or was deleted.

        Raises
        ------
        CouchError, DicomWebError, OSError
            When it cannot be; its bytes are then where they were.
        """
        current: dict | None = document
        for _attempt in range(ATTEMPTS):
            if current is None or current.get("type") != "instance" or self.in_place(current["file"]):
                return False
            if self._switch(current):
                return True
            current = self.couch.get(document["_id"])  # someone wrote it meanwhile
        raise CouchError(409, "conflict", "others write this document all the time")

    def _switch(self, document: dict) -> bool:
        file = document["file"]
        with SpooledTemporaryFile(SPOOL) as spooled:
            copy = cast(BinaryIO, spooled)
            digest = hashlib.sha256()
            for piece in self.bytes.open(document["_id"], file):
                digest.update(piece)
                copy.write(piece)
            if digest.hexdigest() != file["sha256"]:
                current = self.couch.get(document["_id"])
                if current is None or current["_rev"] != document["_rev"]:
                    return False  # replaced while it was read
                raise DicomWebError(500, "its bytes are not those that were stored (the digest differs)")
            store = self.bytes.keep(copy, file["sha256"])
            try:
                self._write({**document, "file": {**file, "store": store}}, copy)
            except CouchError as problem:
                # After any other error the document may be written: the copy stays, used or not.
                if problem.status == 409 and store != ATTACHED:
                    self.bytes.discard({"store": store})
                if problem.status == 409:
                    return False
                raise
        self.bytes.discard(file)
        return True

    def _write(self, document: dict, copy: BinaryIO) -> None:
        size = document["file"]["size"]
        kept = {name: stub for name, stub in document.pop("_attachments", {}).items() if name != ATTACHMENT}
        if document["file"]["store"] == ATTACHED:
            described = {"follows": True, "content_type": "application/dicom", "length": size}
            text = orjson.dumps({**document, "_attachments": {**kept, ATTACHMENT: described}})
            headers, pieces = couch_multipart(text, [(copy, size)])
            self.couch.request("PUT", segment(document["_id"]), body=pieces, headers=headers).read()
        else:
            body = orjson.dumps({**document, "_attachments": kept} if kept else document)
            headers = {"Content-Type": "application/json"}
            self.couch.request("PUT", segment(document["_id"]), body=body, headers=headers).read()


def move_all(couch: Couch, target: Bytes, studies: Sequence[str] = (), *, quiet: bool = False) -> Summary:
    """Move the bytes of all instances, or of those of some studies.

    Parameters
    ----------
    couch : Couch
    target : Bytes
    studies : sequence of str
        Study Instance UIDs; all studies when there are none.
    quiet : bool
        Show no progress bar.

    Returns
    -------
    Summary
    """
    mover, summary = Mover(couch, target), Summary()
    total = None if quiet else count_instances(couch, studies)
    # No checkpoint: a run to another place in between would make it wrong, and what is in its place costs only a look.
    with Bar(desc="moving", unit=" instances", total=total, disable=quiet) as bar:
        for document in documents(couch, studies, conflicts=True):
            try:
                beside = list(others(couch, document))
                moved = mover.move(document)
            except (CouchError, DicomWebError, OSError) as problem:
                summary.failed.append((document["_id"], str(problem)))
            else:
                summary.moved += moved
                summary.there += not moved
                summary.size += document["file"]["size"] if moved else 0
                summary.failed += [(document["_id"], STAYS.format(one["_rev"])) for one in beside if mover.is_left(one)]
            bar.update()
    return summary


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns
    -------
    int
        0 when all bytes are in their place, 1 when some are not, 2 when nothing could be done.
    """
    parser = study_parser("move-bytes", __doc__)
    parser.add_argument("--to", required=True, help="attachment, or folder:/path; what BYTES says from now on")
    options = cli.parse(parser, arguments)
    warnings.filterwarnings("ignore", module="pydicom")
    try:
        settings = Config.from_environment()
        Config.from_environment({"BYTES": options.to})
        with couch_of_server() as couch:
            settings = replace(settings, bytes=options.to, bytes_roots=tuple(byte_folders(settings)))
            target = Bytes.from_config(settings, couch)
            summary = move_all(couch, target, options.study)
    except (ValueError, CommandError, CouchError, DicomWebError) as error:
        print(f"move-bytes: {error}", file=sys.stderr)
        return 2
    print(f"moved           {summary.moved:>8}   ({summary.size / 1e6:.1f} MB)")
    print(f"already there   {summary.there:>8}")
    print_failed(summary.failed)
    return 1 if summary.failed else 0


if __name__ == "__main__":
    sys.exit(main())
