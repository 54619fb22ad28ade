"""Bytes that lie on another server: fetched by WADO-RS when they are first asked for, and kept.

A document that came by replication names a file in a folder of the server that stored it.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator, Sequence
from time import monotonic

import requests

from dicouch.config import basic_auth, split_url
from dicouch.couch.response import CHUNK
from dicouch.errors import NoBytes
from dicouch.store.folder import FolderStore

STORED = "Dicouch-Stored"
"""Header of a request for the bytes of an instance as they are stored there, without corrections."""
# Seconds to connect, and without a byte.
TIMEOUT = (5, 60)
# Seconds for which a server that did not answer is not asked again, and after which a client may ask.
DEAD = 5.0
LATER = {"Retry-After": "5"}


class Peers:
    """Servers that are asked for bytes that are not here, one after the other.

    Parameters
    ----------
    roots : sequence of str
        DICOMweb roots, possibly with ``user:password@``.
    least : int
        Bytes that stay free on the disk on which files are kept.
    """

    def __init__(self, roots: Sequence[str] = (), least: int = 0) -> None:
        self.roots = tuple(roots)
        self._least = least
        # Of servers that did not answer: until when they are not asked again, and why.
        self._dead: dict[str, tuple[float, str]] = {}
        # Of the instances that are being fetched: viewers ask for many frames of one at a time.
        self._fetching: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def fetch(self, document_id: str, file: dict, folder: FolderStore, name: str) -> None:
        """Bring the bytes of an instance into a folder, under a name; another thread may just be doing that.

        Raises
        ------
        NoBytes
            502 when what comes is something else, 503 when nobody has them or answers.
        """
        if not folder.is_inside(name):
            raise NoBytes(503, f"{document_id}: the name of its file leads out of the folder of this site")
        with self._lock:
            fetching = self._fetching.setdefault(file["sha256"], threading.Lock())
        try:
            with fetching:
                if folder.find(name) is None:
                    self._fetch(document_id, file, folder, name)
        finally:
            with self._lock:
                self._fetching.pop(file["sha256"], None)

    def _fetch(self, document_id: str, file: dict, folder: FolderStore, name: str) -> None:
        if not folder.has_room(file["size"] + self._least):
            raise NoBytes(
                503, f"{document_id}: the disk of this server has no room for its bytes", {"Retry-After": "600"}
            )
        problem = NoBytes(503, f"{document_id}: its bytes are on no other server", LATER)
        for root in self.roots:
            until, told = self._dead.get(root, (0.0, ""))
            try:
                if monotonic() >= until:
                    folder.receive(name, self._pieces(root, document_id, file))
                    return
            except requests.RequestException as failed:
                told = type(failed).__name__
                if isinstance(failed, requests.ConnectionError | requests.Timeout):
                    self._dead[root] = monotonic() + DEAD, told
            except NoBytes as failed:
                problem = failed
                continue
            problem = NoBytes(503, f"{document_id}: {split_url(root)[0]} does not give its bytes: {told}", LATER)
        raise problem

    @staticmethod
    def _pieces(root: str, document_id: str, file: dict) -> Iterator[bytes]:
        """Yield what a server says are the bytes, `checked`."""
        url, credentials = split_url(root)
        study, series, instance = document_id.split(":")
        headers = {"Accept": "application/dicom; transfer-syntax=*", "Accept-Encoding": "identity", STORED: "yes"}
        with requests.Session() as session:
            session.trust_env = False
            if credentials:
                headers["Authorization"] = basic_auth(*credentials)
            path = f"{url}/studies/{study}/series/{series}/instances/{instance}"
            with session.get(path, headers=headers, timeout=TIMEOUT, stream=True) as answer:
                if answer.status_code != 200:
                    raise NoBytes(503, f"{document_id}: {url} answers {answer.status_code} for its bytes", LATER)
                yield from checked(answer.iter_content(CHUNK), file, f"{document_id}: what {url} sends are")


def checked(pieces: Iterable[bytes], file: dict, told: str) -> Iterator[bytes]:
    """Yield the bytes of an instance; raise (502) at the end of others, so that they are not kept."""
    digest, left = hashlib.sha256(), file["size"]
    for piece in pieces:
        digest.update(piece)
        left -= len(piece)
        if left < 0:
            break
        yield piece
    if left or digest.hexdigest() != file["sha256"]:
        raise NoBytes(502, f"{told} other bytes (the digest differs)")
