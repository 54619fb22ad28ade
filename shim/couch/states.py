"""In which state each study and the whole database is: numbers that all processes of a server share."""

from __future__ import annotations

import mmap
import time
import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

# The scope of what may change with any document; that of what is true of one revision, whatever follows it.
DATABASE, REVISION = "", "\0"
# How many numbers there are. Scopes that share one are forgotten together.
SLOTS = 1 << 16
_OWN = {DATABASE: SLOTS + 1, REVISION: SLOTS + 2}


class Token(NamedTuple):
    """The state of a scope at a time: that of everything, and its own."""

    everything: int
    scope: int


# The state of what has changed meanwhile: none that a scope is ever in.
CHANGED = Token(-1, -1)


class States:
    """When each scope last changed, by the monotonic clock (ns), in memory that is made before gunicorn forks.

    The clock is the same in all processes. A change is noted behind CouchDB's answer to it, so whoever reads from
    CouchDB later than the time that is noted reads what was written. No lock is needed: of two changes at a time either
    time is as good, both of them are behind both writes.
    """

    _EVERYTHING = SLOTS

    def __init__(self) -> None:
        self._slots = memoryview(mmap.mmap(-1, (SLOTS + 1 + len(_OWN)) * 8)).cast("Q")

    def token(self, scope: str) -> Token:
        """Return the state in which a scope is."""
        return Token(self._slots[self._EVERYTHING], self._slots[_place(scope)])

    def moment(self) -> Callable[[str], Token]:
        """Return what tells the state in which any scope is now, later: for who learns the scopes by reading."""
        now = time.monotonic_ns()

        def token(scope: str) -> Token:
            found = self.token(scope)
            return found if max(found) < now else CHANGED

        return token

    def changed(self, document_id: str) -> None:
        """Tell that a document was written: its study, and the database."""
        if document_id.startswith("_design/"):
            self.changed_all()  # every index and every list may say otherwise
            return
        self._change(_place(DATABASE))
        self._change(_place(document_id.partition(":")[0]))

    def changed_all(self) -> None:
        """Tell that anything may have been written."""
        self._change(self._EVERYTHING)

    def wrote(self, document_ids: Sequence[str] | None) -> None:
        """Tell that documents were written, or may have been; None: nobody knows which. See `Couch.wrote`."""
        if document_ids is None:
            self.changed_all()
        for each in document_ids or ():
            self.changed(each)

    def _change(self, place: int) -> None:
        self._slots[place] = time.monotonic_ns()


def _place(scope: str) -> int:
    return _OWN.get(scope) or zlib.crc32(scope.encode("utf-8", "surrogatepass")) % SLOTS
