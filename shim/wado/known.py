"""What a process knows of instances it answered with, so that the next frame of one costs a request less.

Nothing is answered from here alone. An entry of an instance whose bytes are an attachment tells where a frame lies;
the ranged GET of the attachment itself then checks the client's rights, and its entity tag (the digest of the
attachment's bytes) that they are those the entry was made of. With another tag, or any refusal, the entry is dropped
and the request goes the long way, by the document. Where a frame lies follows from the bytes alone.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field

import orjson


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
        Entity tag of the attachment with its bytes.
    forms : dict
        What the client accepts → the media type in which frames go.
    """

    document: dict
    tag: str
    forms: dict[Hashable, object] = field(default_factory=dict)


class Register:
    """The instances that were asked for last, of one process.

    Parameters
    ----------
    limit : int
        Bytes of all entries together, as JSON; one of more than an eighth of them is not kept.
    """

    FORMS = 16

    def __init__(self, limit: int = 16 << 20):
        self.limit = limit
        self._kept: OrderedDict[str, tuple[Known, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, document_id: str) -> Known | None:
        """Return what is known of an instance."""
        with self._lock:
            found = self._kept.get(document_id)
            if found is None:
                return None
            self._kept.move_to_end(document_id)
            return found[0]

    def put(self, document: dict, tag: str, accepted: Hashable, form: object) -> None:
        """Keep an instance, and in which form its frames go to who accepts `accepted`."""
        known = self.get(document["_id"])
        if known is not None and known.tag == tag:
            with self._lock:
                if len(known.forms) < self.FORMS:
                    known.forms[accepted] = form
            return
        slim = {name: document[name] for name in ("_id", "file")}
        size = len(orjson.dumps(slim)) + 1000
        self.drop(document["_id"])
        if size > self.limit // 8:
            return
        with self._lock:
            self._bytes += size - self._kept.pop(document["_id"], (None, 0))[1]
            self._kept[document["_id"]] = Known({**slim, "dataset": {}}, tag, {accepted: form}), size
            while self._bytes > self.limit:
                self._bytes -= self._kept.popitem(last=False)[1][1]

    def drop(self, document_id: str) -> None:
        """Forget an instance."""
        with self._lock:
            self._bytes -= self._kept.pop(document_id, (None, 0))[1]
