"""The database that is brought in: its changes, its documents, and the files that are attached to them."""

from __future__ import annotations

import base64
import hashlib
import http.client
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import orjson

from dicouch.couch.client import Couch, segment
from dicouch.couch.response import CouchError
from dicouch.errors import DicomWebError
from dicouch.scripts.connection import CommandError, redact, split_credentials, with_credentials

# Changes of one answer, and seconds between two signs of life while none comes.
PAGE, HEARTBEAT = 100, 10.0
TIMEOUT = 60.0
# How often what may be temporary is tried again, and seconds before that: twice as many each time.
ATTEMPTS, PAUSE, LONGEST = 5, 1.0, 60.0

Made = TypeVar("Made")


class Unavailable(Exception):
    """The source did not give something, and may do so later."""


class Broken(Exception):
    """What the source has is not whole."""


@dataclass(frozen=True)
class Change:
    """A document that changed last at a sequence of the source, which is JSON of any kind."""

    id: str
    sequence: Any
    deleted: bool


@dataclass(frozen=True)
class Attached:
    """A file that is attached to a document; `md5` of its bytes, empty where the source does not tell that."""

    name: str
    size: int
    md5: str


class Source:
    """A database of SlicerChronicle or of dicomweb-server.

    Parameters
    ----------
    url : str
        ``http[s]://[user:password@]host[:port][/prefix]/database``.
    """

    def __init__(self, url: str) -> None:
        plain, credentials = split_credentials(url)
        root, _, name = plain.rpartition("/")
        if not urlsplit(root).netloc or not name:
            raise CommandError(f"{redact(url)} names no database: write http://host:5984/chronicle")
        self.place = plain
        self.couch = Couch(with_credentials(root, credentials), unquote(name), TIMEOUT)

    def count(self) -> int:
        """Return the number of its documents.

        Raises
        ------
        CommandError
            When there is no such database, or it refuses the login.
        """
        try:
            told = patiently(lambda: self.couch.json("GET", ""))
        except Unavailable as problem:
            raise CommandError(f"{self.place}: {problem}") from problem
        except CouchError as problem:
            raise self.refusal(problem) from problem
        if not isinstance(told, dict) or "doc_count" not in told:
            raise CommandError(f"{self.place} is no database of a CouchDB")
        count: int = told["doc_count"]
        return count

    def is_there(self) -> bool:
        """Return whether it answers at all."""
        try:
            self.couch.json("GET", "")
        except (CouchError, DicomWebError, OSError, http.client.HTTPException):
            return False
        return True

    def refusal(self, problem: CouchError) -> CommandError:
        """Return what a person is told who can do nothing but call the command in another way."""
        if problem.status in (401, 403):
            hint = "write user:password@ before the host, in CHRONICLE_URL where others must not read it"
            return CommandError(f"{self.place} refuses the login ({problem.status} {problem.reason}): {hint}")
        return CommandError(f"{self.place}: {problem}")

    def changes(self, since: object, wait: bool) -> tuple[list[Change], object]:
        """Return the first changes behind a sequence, and the sequence behind them; `wait` until there is one."""
        params = {"since": since, "limit": PAGE}
        if wait:
            params |= {"feed": "longpoll", "heartbeat": round(HEARTBEAT * 1000)}
        # Read line by line: signs of life are lines, and what is silent for longer than `TIMEOUT` raises.
        with self.couch.request("GET", "_changes", params=params) as answer:
            told = orjson.loads(b"".join(answer.lines()))
        found = [Change(row["id"], row.get("seq"), bool(row.get("deleted"))) for row in told["results"]]
        return found, told["last_seq"]

    def document(self, document_id: str) -> dict | None:
        """Return a document, None when it is gone."""
        return patiently(lambda: self.couch.get(document_id, params={"att_encoding_info": "true"}))

    def fetch(self, document_id: str, attached: Attached, path: Path) -> None:
        """Write an attachment to a file, a piece of it in memory at a time.

        Raises
        ------
        CouchError
            404 when it is gone.
        Broken
            When there are fewer bytes than the document says, or other ones, each time.
        Unavailable
            When they break off each time.
        """
        return patiently(lambda: self._fetch(document_id, attached, path))

    def _fetch(self, document_id: str, attached: Attached, path: Path) -> None:
        digest, size = hashlib.md5(usedforsecurity=False), 0
        name = segment(attached.name)
        headers = {"Accept": "*/*"}
        with (
            self.couch.request("GET", f"{segment(document_id)}/{name}", headers=headers) as answer,
            path.open("wb") as file,
        ):
            for piece in answer.chunks():
                size += len(piece)
                digest.update(piece)
                file.write(piece)
        if size != attached.size:
            raise Broken(f"it has {size} bytes, and the document says {attached.size}")
        if attached.md5 and base64.b64encode(digest.digest()).decode() != attached.md5:
            raise Broken("its bytes are not those of which the document has the digest")


def attached_to(document: dict) -> list[Attached]:
    """Return the attachments of a document that are DICOM files by their names or types, `object.dcm` first."""
    found = []
    for name, told in sorted((document.get("_attachments") or {}).items(), key=lambda one: one[0] != "object.dcm"):
        kind = str(told.get("content_type", ""))
        if name.lower().endswith(".dcm") or kind.startswith("application/dicom"):
            # The digest of what is kept compressed is that of the compressed bytes.
            digest = "" if told.get("encoding") else str(told.get("digest", ""))
            md5 = digest.removeprefix("md5-") if digest.startswith("md5-") else ""
            found.append(Attached(name, int(told.get("length", 0)), md5))
    return found


def patiently(job: Callable[[], Made]) -> Made:
    """Do what may fail for a while, several times with longer and longer pauses.

    Raises
    ------
    Unavailable
        When it goes on failing.
    Broken, CouchError
        What is not for a while: of CouchDB any status below 500 but 408 and 429.
    """
    pause = PAUSE
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return job()
        except CouchError as problem:
            if problem.status < 500 and problem.status not in (408, 429):
                raise
            last: Exception = problem
        except Broken as problem:
            if attempt == ATTEMPTS:
                raise
            last = problem
        except (DicomWebError, OSError, http.client.HTTPException, orjson.JSONDecodeError) as problem:
            last = problem
        if attempt < ATTEMPTS:
            time.sleep(pause)
            pause = min(2 * pause, LONGEST)
    raise Unavailable(str(last) or type(last).__name__) from last
