"""What one search reads from CouchDB: pages of an index, and counts; it remembers what it asked."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import orjson

from dicouch.couch.client import Couch
from dicouch.couch.index import Mark
from dicouch.couch.memory import Memory, Token
from dicouch.rewrite import columns, requests
from dicouch.rewrite.plan import Range
from dicouch.rewrite.query import Query
from dicouch.rewrite.requests import CouchRequest, Paging

# Views whose rows all say the same of a study. Whoever lists some studies is likely to open one of them.
STUDY_VIEWS = frozenset(
    f"studies_by_{key}" for key in ("accession_number", "date", "modality", "patient_id", "patient_name", "uid")
)
SHORT_PAGE = 200
# Bytes of rows of one study that are remembered.
LONGEST = 16_384
# The time zone of a DT (lib/match/match.js).
TIMEZONE = "00080201"
# In the class below, `list` is its method.
Rows = list[dict]
Ids = list[str]
Flags = list[bool]
Counts = dict[str, list[int]]


class Asked:
    """A request of a search on its way; `answer` may be called more than once."""

    def __init__(self, reading: Reading, request: CouchRequest) -> None:
        self._reading = reading
        self._request = request
        self._started = time.perf_counter()
        self._answer: dict | None = None
        # Of what the index has when the answer has come: nothing is known where it is read as it is.
        self._mark: Mark | None = None
        if reading.memory is not None and requests.reads_index(request):
            self._mark = reading.memory.states.index.mark()
            if reading.memory.may_read_index(self._mark):
                request, self._mark, reading.settled = requests.as_it_is(request), None, False
        self._pending = reading.couch.start_json(
            request.method, request.path, params=request.params, body=request.body, authorization=reading.authorization
        )

    def answer(self) -> dict:
        """Wait for the answer and return it decoded."""
        if self._answer is None:
            self._answer = self._pending.json()
            if self._mark is not None and self._reading.memory is not None:
                self._reading.memory.states.index.covered(self._mark)
            self._reading.steps.append(self._told())
        return self._answer

    def close(self) -> None:
        """Give the answer up, unless it came."""
        if self._answer is None:
            self._pending.close()

    def _told(self) -> dict:
        request, answer = self._request, self._answer or {}
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
    memory : Memory, optional
        What is remembered; every search asks for all without.

    Attributes
    ----------
    steps : list of dict
        What CouchDB was asked.
    walked : list of str
        Tags of the keys for whose sake all studies are read.
    notes : list of str
        What the client shall be told in a ``Warning``.
    settled : bool
        Whether no index was read as it is, so that what was read may be remembered.
    """

    def __init__(self, couch: Couch, base: str, authorization: str | None = None, memory: Memory | None = None) -> None:
        self.couch = couch
        self.base = base
        self.authorization = authorization
        self.memory = memory
        # The state of every study before anything is read.
        self._moment = memory.moment() if memory is not None else lambda _study: Token(0, 0)
        self.steps: list[dict] = []
        self.notes: list[str] = []
        self.settled = True
        self.walked: Ids = []
        self._counted: Counts = {}
        # Counts that are asked for while the first rows are: to be sent behind these, and on their way.
        self._beside: CouchRequest | None = None
        self._ahead: Asked | None = None

    def ask(self, request: CouchRequest) -> dict:
        """Send a request and return the decoded answer; `steps` remembers both for ``?explain``."""
        asked = self.start(request)
        if self._beside is not None:
            beside, self._beside = self._beside, None
            try:
                self._ahead = self.start(beside)
            except BaseException:
                asked.close()
                raise
        return asked.answer()

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
            What the rows have, as ``lib/search/fields.js`` reads it; None for ids alone.

        Returns
        -------
        dict
            ``rows``, each ``{"id", "dataset"}``, and ``matched``: how many there are before the end of the page, or in
            all where `paging` asks for the rest or the range does not give them in order.
        """
        if not requests.decides(query, chosen, level):
            return self.ask(requests.search(level, query, chosen, paging, fields=fields))
        if paging.limit == 0:
            return {"rows": [], "matched": self.count(chosen) if paging.rest else 0}
        if chosen.documents and (paging.ordered or level != "study"):
            rows = self.ask(requests.search(level, query, chosen, paging, fields=fields))["rows"]
        else:
            # The list function would have nothing to decide, and it takes as long again as the view.
            select = columns.selector(level, fields) if fields is not None else None
            rows = [
                {"id": row["id"], "dataset": select(columns.dataset_of(row))} if select else {"id": row["id"]}
                for row in self._rows(chosen if select else replace(chosen, documents=False), paging)
                # The document may be deleted since.
                if row.get("doc", row) is not None
            ]
        full = paging.rest and len(rows) == paging.limit
        return {"rows": rows, "matched": self.count(chosen) if full else paging.offset + len(rows)}

    def _rows(self, chosen: Range, paging: Paging) -> Rows:
        """Return a page of rows of a view; those of one study are remembered, and each study of a short page."""
        request = requests.rows(chosen, paging.limit, paging.offset)
        if chosen.study is None:
            rows = self.ask(request)["rows"]
            for row in rows if chosen.view in STUDY_VIEWS and len(rows) <= SHORT_PAGE else ():
                self._remember_rows(row["id"].partition(":")[0], "studies_by_uid", [row])
            return rows
        known = self.recall(chosen.study, ("rows", chosen.view))
        if known is not None:
            return orjson.loads(known)[paging.offset : paging.offset + paging.limit]
        rows = self.ask(request)["rows"]
        if paging.offset == 0 and len(rows) < paging.limit:
            self._remember_rows(chosen.study, chosen.view, rows)
        return rows

    def rows_of(self, uids: Ids) -> Rows:
        """Return the index rows of some studies, in their order, as far as these are there; each is remembered."""
        known = {uid: self.recall(uid, ("rows", "studies_by_uid")) for uid in uids}
        found = {uid: orjson.loads(text) for uid, text in known.items() if text is not None}
        missing = [uid for uid in uids if uid not in found]
        for row in self.ask(requests.rows(Range("studies_by_uid", keys=missing)))["rows"] if missing else ():
            found[row["key"]] = [row]
            self._remember_rows(row["key"], "studies_by_uid", [row])
        return [row for uid in uids for row in found.get(uid, ())]

    def matches(self, match: dict, rows: Rows) -> Flags:
        """Return of each row of a study whether it matches keys, a tree as ``lib/match/match.js`` reads it."""
        if not match or not rows:
            return [True] * len(rows)
        tags = [*match, TIMEZONE]
        some = [{tag: dataset[tag] for tag in tags if tag in dataset} for dataset in map(columns.dataset_of, rows)]
        found: Flags = self.ask(requests.matching(match, some))["matches"]
        return found

    def recall(self, study: str, key: tuple[str, ...]) -> Any:
        """Return what is remembered of a study, or of all; see `Memory.recall`."""
        return None if self.memory is None else self.memory.recall(study, key, self.authorization)

    def remember(self, study: str, key: tuple[str, ...], value: object, size: int) -> None:
        """Remember what is true of a study, or of all, as it was before anything was read."""
        if self.memory is not None and self.settled:
            self.memory.remember(study, key, self.authorization, value, self._moment(study), size)

    def _remember_rows(self, study: str, view: str, rows: Rows) -> None:
        text = orjson.dumps(rows)  # who is given them may change them
        if len(text) <= LONGEST:
            self.remember(study, ("rows", view), text, len(text) + 500)

    def count(self, chosen: Range) -> int:
        """Return how many rows a range of an index has."""
        rows = self.ask(requests.count(chosen))["rows"]
        return rows[0]["value"] if rows else 0

    def uncounted(self, ids: Ids) -> Ids:
        """Return the studies and series of whose counts nothing is remembered; of the others they are taken."""
        for one in self._missing(ids):
            known = self.recall(one.partition(":")[0], ("counts", one))
            if known is not None:
                self._counted[one] = known
        return self._missing(ids)

    def count_ahead(self, request: CouchRequest, chosen: Range) -> None:
        """Ask for what `counts` will give behind the next rows, which take longer; not where those are remembered."""
        if chosen.study is None or self.recall(chosen.study, ("rows", chosen.view)) is None:
            self._beside = request

    def counts(self, ids: Ids) -> Counts:
        """Return ``[series, instances, bytes]`` of studies and series by document id, each asked for once a request."""
        self._beside = None
        if self._ahead is not None:
            self._count(self._ahead)
            self._ahead = None
        missing = self.uncounted(ids)
        if missing:
            self._count(self.start(requests.counts(missing)))
            self._counted.update((one, [0, 0, 0]) for one in missing if one not in self._counted)
        return self._counted

    def _missing(self, ids: Ids) -> Ids:
        return [one for one in dict.fromkeys(ids) if one not in self._counted]

    def _count(self, asked: Asked) -> None:
        """Take the counts that were asked for, and remember them."""
        for row in asked.answer()["rows"]:
            one = row["key"]
            self._counted[one] = row["value"]
            self.remember(one.partition(":")[0], ("counts", one), row["value"], 600)
