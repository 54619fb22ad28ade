"""In which state each study and the whole database is: numbers that all processes of a server share."""

from __future__ import annotations

import mmap
import os
import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from dicouch.couch.index import Index

# The scope of what may change with any document; that of what is true of one revision, whatever follows it.
DATABASE, REVISION = "", "\0"
# That of what workitems and their subscribers say: a busy worklist has searches for studies go on being remembered.
WORKLIST, OF_WORKLIST = "\1", ("workitem-", "subscriber-")
# What is queued to be forwarded or reported: written several times for each instance, while others search.
QUEUED = ("forward-", "commitment-")
# How many numbers there are. Scopes that share one are forgotten together.
SLOTS = 1 << 16
_OWN = {DATABASE: SLOTS + 1, REVISION: SLOTS + 2, WORKLIST: SLOTS + 3}


class Token(NamedTuple):
    """The state of a scope at a time: that of everything, and its own."""

    everything: int
    scope: int


class States:
    """In which state each scope is: random numbers in memory that is made before gunicorn forks.

    A change writes a new number. No lock is needed: two changes at a time leave one number or the other, both of them
    new, and none ever comes again.
    """

    _EVERYTHING = SLOTS

    def __init__(self) -> None:
        self._slots = memoryview(mmap.mmap(-1, (SLOTS + 1 + len(_OWN)) * 8)).cast("Q")
        # Told the id of each document that changes, as far as this process hears of it; "" where it may be any.
        self.observe: Callable[[str], None] = lambda document_id: None
        self.index = Index(lambda: self._slots[self._EVERYTHING])
        # The state of the database, and of all scopes then: half a megabyte, not copied by each search.
        self._copied: tuple[Token, memoryview] = (Token(-1, -1), self._slots)

    def token(self, scope: str) -> Token:
        """Return the state in which a scope is."""
        return Token(self._slots[self._EVERYTHING], self._slots[_place(scope)])

    def moment(self) -> Callable[[str], Token]:
        """Return what tells the state in which any scope is now, later: for who learns the scopes by reading."""
        # In this order: a change is of the database first, and what has an older state than now is never recalled.
        now = self.token(DATABASE)
        known, taken = self._copied
        if known != now:
            taken = memoryview(self._slots.tobytes()).cast("Q")
            self._copied = now, taken
        return lambda scope: Token(taken[self._EVERYTHING], taken[_place(scope)])

    def changed(self, document_id: str) -> None:
        """Tell that a document was written: its study, and the database; or the worklist, which is no part of that."""
        if document_id.startswith("changes-"):
            return  # the log of changes: nothing that is remembered is made of it
        self.observe(document_id)
        if not is_searched(document_id):
            return  # nor of what waits to be sent to others
        if document_id.startswith("_design/"):
            self.changed_all()  # every index and every list may say otherwise
            return
        if document_id.startswith(OF_WORKLIST) and ":" not in document_id:
            self._change(_place(WORKLIST))
            return
        self._change(_place(DATABASE))
        self._change(_place(document_id.partition(":")[0]))

    def changed_all(self) -> None:
        """Tell that anything may have been written."""
        self._change(self._EVERYTHING)
        self.observe("")

    def wrote(self, document_ids: Sequence[str] | None) -> None:
        """Tell that documents were written, or may have been; None: nobody knows which. See `Couch.wrote`."""
        if document_ids is None:
            self.changed_all()
        for each in document_ids or ():
            self.changed(each)

    def _change(self, place: int) -> None:
        self._slots[place] = int.from_bytes(os.urandom(8), "little")


def is_searched(document_id: str) -> bool:
    """Return whether a search may find anything by a document."""
    return not (document_id.startswith(("changes-", *QUEUED)) and ":" not in document_id)


def _place(scope: str) -> int:
    return _OWN.get(scope) or zlib.crc32(scope.encode("utf-8", "surrogatepass")) % SLOTS
