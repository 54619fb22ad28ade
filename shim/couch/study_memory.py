"""What a process remembers of studies: their rows, their series' rows, and how many series and instances they have.

It is exact at a sequence of the database. A view costs CouchDB some milliseconds, and counting one more a key; that
nothing was written since costs one small request. What was written names the studies that are asked for again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable

from dicouch.couch.client import Couch
from dicouch.rewrite import requests

# Studies whose counts are kept, those whose rows are, too, and how long rows of one study are for that, in bytes.
STUDIES, WITH_ROWS, LONGEST = 50_000, 2000, 16_384
# Changes behind which all are forgotten rather than looked at one by one.
CHANGES = 1000


class Memory:
    """What is remembered of one database, shared by the requests of a process.

    Whoever uses it has asked for the database's sequence first, with the client's own credentials. All of it holds at
    one sequence: what is known of studies that changed on the way to a later one is dropped when that is reached.

    Parameters
    ----------
    size, with_rows : int
        Studies whose counts are remembered, and whose rows are.
    """

    def __init__(self, size: int = STUDIES, with_rows: int = WITH_ROWS):
        self._size = size
        self._with_rows = with_rows
        self._studies: OrderedDict[str, dict[str, list[int]]] = OrderedDict()
        self._rows: OrderedDict[str, dict[str, bytes]] = OrderedDict()
        # The database's own names of the sequence at which the counts hold.
        self._names: set[str] = set()
        self._since: str | None = None
        # Which database that is: one that was made anew under its name may repeat its sequence.
        self._start = ""
        self._lock = threading.Lock()
        # 0: nothing is remembered until a sequence was reached.
        self.version = 0

    def reach(self, couch: Couch, state: tuple[str, str], authorization: str | None) -> None:
        """Make all hold at a state of the database (`requests.state_of`) that was read a moment ago, or later."""
        start, sequence = state
        while True:
            with self._lock:
                if self._start == start and sequence in self._names:
                    return
                since, version = self._since if self._start == start else None, self.version
            changed, last = self._changes(couch, since, authorization) if since is not None else (None, sequence)
            with self._lock:
                if version != self.version:
                    continue  # another thread came first, perhaps not as far
                if changed is None:
                    self._studies.clear()
                    self._rows.clear()
                for study in changed or ():
                    self._studies.pop(study, None)
                    self._rows.pop(study, None)
                self._start, self._since = start, last
                # Whoever reads `sequence` from now on knows that nothing was written behind it, so both name one state.
                self._names = {sequence, last}
                self.version += 1
                return

    @staticmethod
    def _changes(couch: Couch, since: str, authorization: str | None) -> tuple[set[str] | None, str]:
        """Return the studies that changed since a sequence (None: too many) and the sequence now."""
        request = requests.changes(since, CHANGES)
        answer = couch.json(request.method, request.path, params=request.params, authorization=authorization)
        rows = answer["results"]
        if len(rows) < CHANGES:
            return {row["id"].partition(":")[0] for row in rows}, str(answer["last_seq"])
        request = requests.information()
        return None, requests.state_of(couch.json(request.method, request.path, authorization=authorization))[1]

    def find(self, ids: Iterable[str]) -> dict[str, list[int]]:
        """Return the counts that are known of studies and series by document id."""
        with self._lock:
            known = {one: self._studies.get(one.partition(":")[0], {}).get(one) for one in ids}
            return {one: counted for one, counted in known.items() if counted is not None}

    def keep(self, counted: dict[str, list[int]], version: int) -> None:
        """Remember counts that were asked for after `version` was read; not when a later one was reached meanwhile."""
        with self._lock:
            if version != self.version or not version:
                return
            for one, numbers in counted.items():
                study = one.partition(":")[0]
                self._studies.setdefault(study, {})[one] = numbers
                self._studies.move_to_end(study)
            while len(self._studies) > self._size:
                self._studies.popitem(last=False)

    def find_rows(self, study: str, view: str) -> bytes | None:
        """Return the rows of a view that belong to a study, as JSON."""
        with self._lock:
            return self._rows.get(study, {}).get(view)

    def keep_rows(self, study: str, view: str, rows: bytes, version: int) -> None:
        """Remember rows as `keep` does counts, when they are not long."""
        with self._lock:
            if version != self.version or not version or len(rows) > LONGEST:
                return
            self._rows.setdefault(study, {})[view] = rows
            self._rows.move_to_end(study)
            while len(self._rows) > self._with_rows:
                self._rows.popitem(last=False)
