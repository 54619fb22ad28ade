"""What one search reads from CouchDB: pages of an index, and counts; it remembers what it asked."""

from __future__ import annotations

import time

from shim import rewrite
from shim.couch import Couch
from shim.rewrite import CouchRequest, Paging
from shim.search import columns
from shim.search.counts import CountCache
from shim.search.plan import Range
from shim.search.query import Query


class Asked:
    """A request of a search on its way; `answer` may be called more than once."""

    def __init__(self, reading: Reading, request: CouchRequest):
        self._reading = reading
        self._request = request
        self._started = time.perf_counter()
        self._answer: dict | None = None
        self._pending = reading.couch.start_json(
            request.method, request.path, params=request.params, body=request.body, authorization=reading.authorization
        )

    def answer(self) -> dict:
        """Wait for the answer and return it decoded."""
        if self._answer is None:
            self._answer = self._pending.json()
            self._reading.steps.append(self._told())
        return self._answer

    def _told(self) -> dict:
        request, answer = self._request, self._answer
        step = {"method": request.method, "path": request.path, "params": request.params, "body": request.body}
        step["milliseconds"] = round((time.perf_counter() - self._started) * 1000, 2)
        read = {"scanned": answer.get("scanned"), "matched": answer.get("matched")}
        if "rows" in answer:
            read["rows"] = len(answer["rows"])
        return {**step, **{name: number for name, number in read.items() if number is not None}}


class Reading:
    """What the searches of one request read from one database.

    Parameters
    ----------
    couch : Couch
    base : str
        Absolute URL of the DICOMweb root, for RetrieveURL.
    authorization : str or None
        The client's own credentials.
    cache : CountCache, optional
        Counts that the process knows; none are kept without.

    Attributes
    ----------
    steps : list of dict
        What CouchDB was asked.
    notes : list of str
        What the client shall be told in a ``Warning``.
    """

    def __init__(self, couch: Couch, base: str, authorization: str | None = None, cache: CountCache | None = None):
        self.couch = couch
        self.base = base
        self.authorization = authorization
        self.cache = cache
        # The database's sequence, asked for while it runs the first list.
        self._sequence: Asked | None = None
        self.steps: list[dict] = []
        self.notes: list[str] = []
        self._counted: dict[str, list[int]] = {}
        # Counts that were asked for while the first rows are.
        self._ahead: Asked | None = None

    def ask(self, request: CouchRequest) -> dict:
        """Send a request and return the decoded answer; `steps` remembers both for ``?explain``."""
        return self.start(request).answer()

    def start(self, request: CouchRequest) -> Asked:
        """Send a request whose answer is awaited later."""
        return Asked(self, request)

    def list(self, level: str, query: Query, chosen: Range, paging: Paging, *, fields: dict | None) -> dict:
        """Return a page of what matches in a range of an index.

        Parameters
        ----------
        level : str
        query : Query
        chosen : Range
        paging : Paging
        fields : dict or None
            What the rows have, as ``lib/fields.js`` reads it; None for ids alone.

        Returns
        -------
        dict
            ``rows``, each ``{"id", "dataset"}``, and ``matched``: how many there are before the end of the page, or in
            all where `paging` asks for the rest or the range does not give them in order.
        """
        if not rewrite.decides(query, chosen, level):
            return self._first(level, rewrite.search(level, query, chosen, paging, fields=fields))
        if paging.limit == 0:
            return {"rows": [], "matched": self.count(chosen) if paging.rest else 0}
        if chosen.documents:
            rows = self._first(level, rewrite.search(level, query, chosen, paging, fields=fields))["rows"]
        else:
            # The list function would have nothing to decide, and it takes as long again as the view.
            found = self._first(level, rewrite.rows(chosen, paging.limit, paging.offset))["rows"]
            select = columns.selector(level, fields) if fields is not None else None
            rows = [
                {"id": row["id"], "dataset": select(row["value"]["dataset"])} if select else {"id": row["id"]}
                for row in found
            ]
        full = paging.rest and len(rows) == paging.limit
        return {"rows": rows, "matched": self.count(chosen) if full else paging.offset + len(rows)}

    def _first(self, level: str, request: CouchRequest) -> dict:
        """Send a request for rows; with the first one for studies that for the sequence that their counts hold at."""
        asked = self.start(request)
        if level == "study" and self.cache is not None and self._sequence is None and self._ahead is None:
            self._sequence = self.start(rewrite.information())
        return asked.answer()

    def count(self, chosen: Range) -> int:
        """Return how many rows a range of an index has."""
        rows = self.ask(rewrite.count(chosen))["rows"]
        return rows[0]["value"] if rows else 0

    def count_ahead(self, request: CouchRequest) -> None:
        """Ask for counts that `counts` will give, of what is known before it is found."""
        self._ahead = self.start(request)

    def counts(self, ids: list[str]) -> dict[str, list[int]]:
        """Return ``[series, instances]`` of studies and series by document id; each is asked for once a request."""
        if self._ahead is not None:
            self._counted.update({row["key"]: row["value"] for row in self._ahead.answer()["rows"]})
            self._ahead = None
        missing = [one for one in dict.fromkeys(ids) if one not in self._counted]
        version = None
        if missing and self.cache is not None and self._sequence is not None:
            self.cache.reach(self.couch, self._sequence.answer()["update_seq"], self.authorization)
            known, version = self.cache.find(missing)
            self._counted.update(known)
            missing = [one for one in missing if one not in known]
        if missing:
            counted: dict[str, list[int]] = {one: [0, 0] for one in missing}
            counted.update({row["key"]: row["value"] for row in self.ask(rewrite.counts(missing))["rows"]})
            self._counted.update(counted)
            if version is not None:
                self.cache.keep(counted, version)
        return self._counted
