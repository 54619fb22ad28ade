"""Digests of what metadata are made of: exact validators, kept while nothing is written to the database."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from dicouch.couch.ring import Ring
from dicouch.read.retrieve import Retriever
from dicouch.rewrite import requests

Uids = tuple[str | None, ...]
# Under this is kept when the sequence was seen last, and what it was.
SEQUENCE = "sequence"
# Seconds for which nobody looks whether it is still the same while documents are read.
FRESH = 0.25


class Read(Protocol):
    """What was read of a resource, with its digest."""

    fingerprint: str


Some = TypeVar("Some", bound=Read)


class Fingerprints:
    """Digests of ids and revisions of the documents of resources, shared by the processes of a server.

    The revisions of a series of 1,000 instances take CouchDB 80 ms. That nothing was written since they were read shows
    in the database's sequence, which each request asks for, with the client's own credentials.

    Parameters
    ----------
    cache : Ring
        Where they are kept.
    """

    def __init__(self, cache: Ring):
        self._cache = cache

    def of(self, reader: Retriever, study: str, series: str | None = None, instance: str | None = None) -> str:
        """Return a digest of ids and revisions of every document that the metadata of a resource are made of.

        Parameters
        ----------
        reader : Retriever
        study, series, instance : str
            UIDs; None for all.
        """
        # Before the revisions are read: a write in between makes this one too old, never what is kept with it.
        sequence = self._saw(reader.start(requests.information()).json())
        uids = (study, series, instance)
        known, digest = self._known(uids)
        if known == sequence:
            return digest
        digest = digest_of(revisions(reader, *uids))
        self._keep(uids, sequence, digest)
        return digest

    def is_known(self, *uids: str | None) -> bool:
        """Return whether a resource was asked for before, so that `of` can be had for less than all its documents."""
        return self._cache.get(_key(uids)) is not None

    def learn(self, reader: Retriever, uids: Uids, read: Callable[[], Some]) -> Some:
        """Read a resource, and keep its digest.

        Parameters
        ----------
        reader : Retriever
        uids : tuple of str or None
            Of study, series and instance.
        read : callable
            Returns what has the digest.
        """
        # Any sequence seen before the documents are read is good enough: is it still the same, nothing was written.
        told = (self._cache.get(SEQUENCE) or b"").decode()
        if not told:
            self._saw(reader.start(requests.information()).json())
            told = (self._cache.get(SEQUENCE) or b"0 ").decode()
        seen, _, sequence = told.partition(" ")
        beside = reader.start(requests.information()) if time.monotonic() - float(seen) > FRESH else None
        try:
            found = read()
        except BaseException:
            if beside:
                beside.close()
            raise
        if beside and self._saw(beside.json()) != sequence:
            sequence = ""
        self._keep(uids, sequence, found.fingerprint)
        return found

    def _saw(self, information: dict) -> str:
        sequence = "@".join(requests.state_of(information))
        self._cache.put(SEQUENCE, f"{time.monotonic()} {sequence}".encode())
        return sequence

    def _known(self, uids: Uids) -> tuple[str, str]:
        sequence, _, digest = (self._cache.get(_key(uids)) or b"").decode().partition(" ")
        return sequence, digest

    def _keep(self, uids: Uids, sequence: str, digest: str) -> None:
        self._cache.put(_key(uids), f"{sequence} {digest}".encode())


def _key(uids: Uids) -> str:
    return "fingerprint " + ":".join(uid or "" for uid in uids)


def revision(row: dict) -> str:
    """Return what of a row of ``_all_docs`` goes into a digest."""
    return f"{row.get('id')} {(row.get('value') or {}).get('rev')}\n"


def revisions(reader: Retriever, study: str, series: str | None, instance: str | None) -> list[str]:
    """Read id and revision of every document that the metadata of a resource are made of."""
    rows = reader.ask(requests.made_of(study, series, instance, documents=False)).rows()
    return [revision(row) for row in rows]


def digest_of(lines: Iterable[str]) -> str:
    """Return the digest of revisions."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode())
    return digest.hexdigest()[:40]
