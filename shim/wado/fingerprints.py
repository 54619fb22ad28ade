"""Digests of what metadata are made of: exact validators, kept while nothing is written to the database."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict

from shim import rewrite
from shim.wado.retrieve import Retriever

Uids = tuple[str | None, ...]


class Fingerprints:
    """Digests of ids and revisions of the documents of resources, shared by the requests of a process.

    The revisions of a series of 1,000 instances take CouchDB 80 ms. That nothing was written since they were read shows
    in the database's sequence, which each request asks for first, with the client's own credentials.

    Parameters
    ----------
    size : int
        Resources that are remembered.
    """

    def __init__(self, size: int = 4096):
        self._size = size
        self._kept: OrderedDict[Uids, tuple[tuple[str, str], str]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, reader: Retriever, study: str, series: str | None = None, instance: str | None = None) -> str:
        """Return a digest of ids and revisions of every document that the metadata of a resource are made of.

        Parameters
        ----------
        reader : Retriever
        study, series, instance : str
            UIDs; None for all.
        """
        # Before the revisions are read: a write in between makes this one too old, never what is kept with it.
        state = rewrite.state_of(reader.start(rewrite.information()).json())
        uids = (study, series, instance)
        with self._lock:
            known, digest = self._kept.get(uids, (None, ""))
            if known == state:
                self._kept.move_to_end(uids)
                return digest
        digest = _digest(reader, *uids)
        with self._lock:
            self._kept[uids] = state, digest
            self._kept.move_to_end(uids)
            if len(self._kept) > self._size:
                self._kept.popitem(last=False)
        return digest


def _digest(reader: Retriever, study: str, series: str | None, instance: str | None) -> str:
    digest = hashlib.sha256()
    for pending in [reader.start(request) for request in rewrite.revisions(study, series, instance)]:
        for row in pending.json()["rows"]:
            digest.update(f"{row.get('id')} {(row.get('value') or {}).get('rev')}\n".encode())
    return digest.hexdigest()[:40]
