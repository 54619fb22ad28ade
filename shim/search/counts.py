"""How many series and instances are below studies and series: kept in memory, exact at a sequence of the database.

CouchDB counts with a view's ``_sum``, which costs about a millisecond a key; that nothing was written since they were
counted costs one small request, sent while CouchDB runs the list of the search. What was written names the studies
whose counts are asked for again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable

from shim import rewrite
from shim.couch import Couch

# Studies whose counts are kept, and changes behind which all are forgotten rather than looked at one by one.
STUDIES = 50_000
CHANGES = 1000


class CountCache:
    """Counts of one database, shared by the requests of a process.

    Whoever reads them has asked for the database's sequence first, with the client's own credentials. The counts hold
    at one sequence: those of studies that changed on the way to a later one are dropped when it is reached.

    Parameters
    ----------
    size : int
        Studies that are remembered.
    """

    def __init__(self, size: int = STUDIES):
        self._size = size
        self._studies: OrderedDict[str, dict[str, list[int]]] = OrderedDict()
        # The database's own names of the sequence at which the counts hold.
        self._names: set[str] = set()
        self._since: str | None = None
        # Which database that is: one that was made anew under its name may repeat its sequence.
        self._start = ""
        self._lock = threading.Lock()
        self.version = 0

    def reach(self, couch: Couch, state: tuple[str, str], authorization: str | None) -> None:
        """Make the counts hold at a state of the database (`rewrite.state_of`) that was read a moment ago, or later."""
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
                for study in changed or ():
                    self._studies.pop(study, None)
                self._start, self._since = start, last
                # Whoever reads `sequence` from now on knows that nothing was written behind it, so both name one state.
                self._names = {sequence, last}
                self.version += 1
                return

    @staticmethod
    def _changes(couch: Couch, since: str, authorization: str | None) -> tuple[set[str] | None, str]:
        """Return the studies that changed since a sequence (None: too many) and the sequence now."""
        request = rewrite.changes(since, CHANGES)
        answer = couch.json(request.method, request.path, params=request.params, authorization=authorization)
        rows = answer["results"]
        if len(rows) < CHANGES:
            return {row["id"].partition(":")[0] for row in rows}, str(answer["last_seq"])
        request = rewrite.information()
        return None, rewrite.state_of(couch.json(request.method, request.path, authorization=authorization))[1]

    def find(self, ids: Iterable[str]) -> tuple[dict[str, list[int]], int]:
        """Return what is known of studies and series by document id, and the version for `keep`."""
        with self._lock:
            known = {one: self._studies.get(one.partition(":")[0], {}).get(one) for one in ids}
            return {one: counted for one, counted in known.items() if counted is not None}, self.version

    def keep(self, counted: dict[str, list[int]], version: int) -> None:
        """Remember counts that were asked for after `find`; not when a later sequence was reached meanwhile."""
        with self._lock:
            if version != self.version:
                return
            for one, numbers in counted.items():
                study = one.partition(":")[0]
                self._studies.setdefault(study, {})[one] = numbers
                self._studies.move_to_end(study)
            while len(self._studies) > self._size:
                self._studies.popitem(last=False)
