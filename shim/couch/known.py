"""What a process knows of instances it answered with, so that the next answer takes one request less, or none.

An instance whose bytes are an attachment: an entry tells where a frame lies; the ranged GET of the attachment itself
then checks the client's rights, and its entity tag (the digest of the attachment's bytes) that they are those the
entry was made of. With another tag, or any refusal, the entry is dropped and the request goes the long way, by the
document. Where a frame lies follows from the bytes alone, so this is exact.

A whole instance whose bytes are an attachment is checked the same way. Whether people corrected it the tag cannot tell:
that is known as long as it is of an instance in a folder.

An instance whose bytes are in a folder: no request is left. What holds:

- A file has a name of its own, and is removed behind the write that replaces or deletes its document and before that
  is answered. So a file that can be opened is what is stored, once such an answer was seen, whoever gave it.
- A correction made through any worker shows at once: entries are of a `generation` that all processes share, and a
  correction makes a new one behind its write and before its answer. Entries for whole instances are of those without
  any correction, and an instance stored meanwhile brings none.
- What was read of the index around an instance (`dicouch.read.neighbours`) is as good as what its document said.
- An entry is for the very ``Authorization`` that the database let read it, and lives for `Config.remember` seconds.
  For that long remain unseen: a right that was taken back, and what is written to the database past the shim
  (a document deleted or a header corrected in Fauxton, replication), or by a shim on another machine (corrections).
"""

from __future__ import annotations

import mmap
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field

import orjson

# Made before the workers fork, and shared by them.
_GENERATION = mmap.mmap(-1, 16)


def generation() -> str:
    """Return what is another after each correction. Ask before reading what an entry is made of."""
    return _GENERATION[:16].hex()


def corrected() -> None:
    """Make every entry of a whole instance in a folder old, in all processes of this server."""
    _GENERATION[:16] = os.urandom(16)


class Changed(Exception):
    """The bytes are others than those that were expected."""


@dataclass(frozen=True)
class Known:
    """An instance, as far as its frames need it.

    Attributes
    ----------
    document : dict
        The instance document without its data set.
    tag : str
        Entity tag of the attachment with its bytes, or `generation`.
    forms : dict
        What the client accepts → the media type in which frames go.
    until : float
        When it ends (`time.monotonic`).
    """

    document: dict
    tag: str
    forms: dict[Hashable, object] = field(default_factory=dict)
    until: float = float("inf")


class Register:
    """The instances that were asked for last, of one process.

    Parameters
    ----------
    life : float
        Seconds that an entry lives of which nothing in the database is looked at.
    limit : int
        Bytes of all entries together, as JSON; one of more than an eighth of them is not kept.
    """

    FORMS = 16

    def __init__(self, life: float = 0, limit: int = 16 << 20):
        self.life = life
        self.limit = limit
        self._kept: OrderedDict[Hashable, tuple[Known, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Known | None:
        """Return what is known of an instance."""
        with self._lock:
            found, size = self._kept.get(key, (None, 0))
            if found is None:
                return None
            if found.until < time.monotonic():
                self._bytes -= size
                del self._kept[key]
                return None
            self._kept.move_to_end(key)
            return found

    def put(
        self,
        key: Hashable,
        document_id: str,
        file: dict,
        tag: str,
        accepted: Hashable = None,
        form: object = None,
        read: float | None = None,
    ) -> None:
        """Keep an instance, and in which form its frames go to who accepts `accepted`.

        Parameters
        ----------
        key : hashable
        document_id : str
        file : dict
            Of the instance document.
        tag : str
            See `Known`.
        accepted, form : optional
        read : float, optional
            When the database was asked (`time.monotonic`), for an entry whose life ends.
        """
        known = self.get(key)
        if known is not None and known.tag == tag and read is None:
            with self._lock:
                if len(known.forms) < self.FORMS:
                    known.forms[accepted] = form
            return
        # Other bytes may be in another transfer syntax, so what was chosen for the former does not hold for them.
        same = known is not None and known.tag == tag and known.document["file"] == file
        forms = {**known.forms, accepted: form} if same and len(known.forms) < self.FORMS else {accepted: form}
        until = float("inf") if read is None else read + self.life
        size = len(orjson.dumps(file)) + 1000
        self.drop(key)
        if size > self.limit // 8:
            return
        with self._lock:
            self._bytes += size - self._kept.pop(key, (None, 0))[1]
            self._kept[key] = Known({"_id": document_id, "file": file, "dataset": {}}, tag, forms, until), size
            while self._bytes > self.limit:
                self._bytes -= self._kept.popitem(last=False)[1][1]

    def drop(self, key: Hashable) -> None:
        """Forget an instance."""
        with self._lock:
            self._bytes -= self._kept.pop(key, (None, 0))[1]
