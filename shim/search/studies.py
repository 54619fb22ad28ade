"""Running a search: the pages that `rewrite` asks for, put together into the rows of a QIDO-RS answer (PS3.18 10.6)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from shim import rewrite
from shim.couch import Couch
from shim.levels import BESIDE_TAGS
from shim.rewrite import CouchRequest, Paging
from shim.search import plan
from shim.search.counts import CountCache
from shim.search.plan import Range
from shim.search.query import SERIES_UID, STUDY_UID, Query

# How many studies a search below them walks through at a time: at first, and at most.
FEWEST, MOST = 25, 1000
# More rows than any study, or any list of UIDs in one request, has series.
ALL = 1_000_000


@dataclass
class Page:
    """Rows of an answer.

    Attributes
    ----------
    rows : list of dict
        DICOM JSON Model objects.
    remaining : int
        How many further rows the server's own limit cut off.
    """

    rows: list[dict] = field(default_factory=list)
    remaining: int = 0


@dataclass
class Entry:
    """One row of an answer with what its parents add to it.

    Attributes
    ----------
    row : dict
        ``{"id", "dataset"}`` as the list function gives it.
    study, series : dict or None
        The rows of its parents, where the answer shows their attributes.
    """

    row: dict
    study: dict | None = None
    series: dict | None = None


@dataclass
class Found:
    """What a search found: entries from `offset` on, and how many there are in all as far as it looked."""

    entries: list[Entry]
    matched: int


def uid_of(row: dict, place: int = 0) -> str:
    """Return the Study (0), Series (1) or SOP (2) Instance UID in a row's document id."""
    return row["id"].split(":")[place]


class Asked:
    """A request of a search on its way; `answer` may be called more than once."""

    def __init__(self, search: Search, request: CouchRequest):
        self._search = search
        self._request = request
        self._started = time.perf_counter()
        self._answer: dict | None = None
        self._pending = search.couch.start_json(
            request.method, request.path, params=request.params, body=request.body, authorization=search.authorization
        )

    def answer(self) -> dict:
        """Wait for the answer and return it decoded."""
        if self._answer is None:
            self._answer = self._pending.json()
            self._search.steps.append(self._told())
        return self._answer

    def _told(self) -> dict:
        request, answer = self._request, self._answer
        step = {"method": request.method, "path": request.path, "params": request.params, "body": request.body}
        step["milliseconds"] = round((time.perf_counter() - self._started) * 1000, 2)
        read = {"scanned": answer.get("scanned"), "matched": answer.get("matched")}
        if "rows" in answer:
            read["rows"] = len(answer["rows"])
        return {**step, **{name: number for name, number in read.items() if number is not None}}


class Search:
    """Searches on one database, for one request.

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

    def __init__(
        self, couch: Couch, base: str, authorization: str | None = None, cache: CountCache | None = None
    ):
        self.couch = couch
        self.base = base
        self.authorization = authorization
        self.cache = cache
        # The database's sequence, asked for while it runs the first list.
        self._sequence: Asked | None = None
        self.steps: list[dict] = []
        self.notes: list[str] = []
        self._counted: dict[str, list[int]] = {}

    def ask(self, request: CouchRequest) -> dict:
        """Send a request and return the decoded answer; `steps` remembers both for ``?explain``."""
        return self.start(request).answer()

    def start(self, request: CouchRequest) -> Asked:
        """Send a request whose answer is awaited later."""
        return Asked(self, request)

    def list(self, level: str, query: Query, chosen: Range, paging: Paging, *, fields: dict | None) -> dict:
        """Run the list of a level; see `rewrite.search`."""
        asked = self.start(rewrite.search(level, query, chosen, paging, fields=fields))
        if level == "study" and self.cache is not None and self._sequence is None:
            self._sequence = self.start(rewrite.information())
        return asked.answer()

    def count(self, chosen: Range) -> int:
        """Return how many rows a range of an index has."""
        rows = self.ask(rewrite.count(chosen))["rows"]
        return rows[0]["value"] if rows else 0

    def counts(self, ids: list[str]) -> dict[str, list[int]]:
        """Return ``[series, instances]`` of studies and series by document id; each is asked for once a request."""
        missing = [one for one in dict.fromkeys(ids) if one not in self._counted]
        version = None
        if missing and self.cache is not None and self._sequence is not None:
            self.cache.reach(self.couch, rewrite.state_of(self._sequence.answer()), self.authorization)
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

    # -- studies ------------------------------------------------------------------------------------------------------

    def studies(self, query: Query) -> Page:
        """Search for studies."""
        chosen = plan.study_range(query)
        found = self.complete(query, lambda offset, limit: self._study_entries(query, chosen, offset, limit))
        return self.page(query, found)

    def _study_entries(self, query: Query, chosen: Range, offset: int, limit: int) -> Found:
        rest = not query.limit_given
        if rest and limit == 0 and rewrite.decides(query, chosen, "study"):
            return Found([], self.count(chosen))
        paging = Paging(offset, limit, rest)
        answer = self.list("study", query, chosen, paging, fields=query.fields("study"))
        matched = answer["matched"]
        if rewrite.decides(query, chosen, "study"):
            # The list saw no more than the page.
            matched = self.count(chosen) if rest and matched == limit else offset + matched
        return Found([Entry(row) for row in answer["rows"]], matched)

    def study_chunks(self, query: Query, study: str | None, rows: int, first: int = FEWEST) -> Iterator[list[dict]]:
        """Yield the rows of the studies that match, some at a time, newest first.

        Parameters
        ----------
        query : Query
            Of the level below.
        study : str or None
            The one study of the path.
        rows : int
            How many rows the page needs; a study has one at least.
        first : int
            Most studies in the first chunk; each further one has twice as many.
        """
        fields = query.fields("study", study is not None)
        above = plan.narrowed_by_series(query)
        if study is not None:
            if not above.of_level("study") and not fields["include"]:
                yield [{"id": f"{study}:study", "dataset": {}}]
                return
            above.keys[STUDY_UID] = {"vr": "UI", "values": [study]}
        chosen = plan.study_range(above)
        size = ALL if chosen.sort or chosen.keys else min(max(rows, 1), first)
        offset = 0
        while True:
            answer = self.list("study", above, chosen, Paging(offset, size), fields=fields)
            if answer["rows"]:
                yield answer["rows"]
            if len(answer["rows"]) < size:
                return
            offset += size
            size = min(size * 2, MOST)

    # -- series -------------------------------------------------------------------------------------------------------

    def series(self, query: Query, study: str | None = None) -> Page:
        """Search for series, in one study or in all; rows of all carry their study's attributes (Table 10.6.3-4)."""
        if not query.keys and study is None and not query.limit_given:
            total = self.count(Range("series_by_uid"))
            known = Query(include=query.include, limit=query.limit, offset=query.offset, limit_given=True)
            page = self.series(known)
            return Page(page.rows, max(0, total - query.offset - query.limit))
        run = self._series_by_uid if query.values(SERIES_UID) and study is None else self._series_entries
        return self.page(query, self.complete(query, lambda offset, limit: run(query, study, offset, limit)))

    def series_rows(self, query: Query, studies: list[str], paging: Paging, only: bool = False) -> dict:
        """Return the rows of the series of some studies, in order of the studies."""
        chosen = rewrite.series_range(studies)
        return self.list("series", query, chosen, paging, fields=query.fields("series", only))

    def _series_entries(self, query: Query, study: str | None, offset: int, limit: int) -> Found:
        entries, seen, end = [], 0, offset + limit
        # All series of one study are counted while they are listed.
        below = self.start(rewrite.counts_of(study)) if study is not None and not query.limit_given else None
        for studies in self.study_chunks(query, study, end):
            uids = [uid_of(row) for row in studies]
            first = max(offset - seen, 0)
            paging = Paging(first, max(end - seen - first, 0), among=uids)
            answer = self.series_rows(query, uids, paging)
            if below is not None:
                self._counted.update({row["key"]: row["value"] for row in below.answer()["rows"]})
            above = {uid_of(row): row for row in studies}
            entries += [Entry(row, above[uid_of(row)]) for row in answer["rows"]]
            seen += answer["matched"]
            if seen >= end and query.limit_given:
                break
        return Found(entries, seen)

    def _series_by_uid(self, query: Query, _study: None, offset: int, limit: int) -> Found:
        chosen = Range("series_by_uid", keys=query.values(SERIES_UID), sort=True)
        rows = self.list("series", query, chosen, Paging(0, ALL), fields=query.fields("series"))["rows"]
        entries = self.under_studies(query, rows)
        return Found(entries[offset : offset + limit], len(entries))

    def under_studies(self, query: Query, rows: list[dict], only: bool = False) -> list[Entry]:
        """Return series or instances under those of their studies that match, in order of the studies."""
        if not rows:
            return []
        above = Query(keys=dict(query.of_level("study")), include=query.include, limit_given=True)
        wanted = above.values(STUDY_UID)
        uids = [uid for uid in dict.fromkeys(map(uid_of, rows)) if not wanted or uid in wanted]
        above.keys[STUDY_UID] = {"vr": "UI", "values": uids}
        chosen = Range("studies_by_uid", keys=uids, sort=True, covered=frozenset([STUDY_UID]))
        studies = self.list("study", above, chosen, Paging(0, ALL), fields=query.fields("study", only))["rows"]
        below: dict[str, list[dict]] = {}
        for row in rows:
            below.setdefault(uid_of(row), []).append(row)
        return [Entry(row, study) for study in studies for row in below[uid_of(study)]]

    # -- what all levels share ----------------------------------------------------------------------------------------

    def complete(self, query: Query, fetch: Callable[[int, int], Found]) -> Found:
        """Fetch a page without studies and series that have no instance (yet), filled up with the next ones."""
        found = fetch(query.offset, query.limit)
        kept = self._stored(found.entries)
        last, size = found, query.limit
        while len(kept) < query.limit and len(last.entries) == size and size:
            size = query.limit - len(kept)
            last = fetch(query.offset + len(found.entries), size)
            found = Found(found.entries + last.entries, last.matched)
            kept += self._stored(last.entries)
        return Found(kept, found.matched)

    def _stored(self, entries: list[Entry]) -> list[Entry]:
        shown = [row["id"] for entry in entries for row in (entry.row, entry.study, entry.series) if self._counts(row)]
        counted = self.counts(shown)
        return [entry for entry in entries if counted[entry.row["id"]][1]]

    @staticmethod
    def _counts(row: dict | None) -> bool:
        """Whether the row of a study or series shall say how much is below it."""
        return row is not None and row["id"].count(":") == 1 and bool(row["dataset"])

    def page(self, query: Query, found: Found) -> Page:
        """Return the rows of the answer, each with what its parents and the server add to it."""
        remaining = 0 if query.limit_given else max(0, found.matched - query.offset - query.limit)
        return Page([self._finish(entry) for entry in found.entries], remaining)

    def _finish(self, entry: Entry) -> dict:
        dataset: dict = {}
        for row in (entry.study, entry.series, entry.row):
            if row is not None:
                for tag in BESIDE_TAGS:
                    dataset.pop(tag, None)  # a parent's is some other instance's
                dataset.update(row["dataset"])
                self._add_counts(dataset, row)
        names = ("studies", "series", "instances")
        path = "".join(f"/{name}/{uid}" for name, uid in zip(names, own_uids(entry.row), strict=False))
        dataset["00080056"] = {"vr": "CS", "Value": ["ONLINE"]}
        dataset["00081190"] = {"vr": "UR", "Value": [self.base + path]}
        return dict(sorted(dataset.items()))

    def _add_counts(self, dataset: dict, row: dict) -> None:
        counted = self._counted.get(row["id"])
        if not counted or "00080005" not in row["dataset"]:
            return  # only what was asked for by name is shown of this parent
        series, instances = counted
        if row["id"].endswith(":study"):
            dataset["00201206"] = {"vr": "IS", "Value": [series]}
            dataset["00201208"] = {"vr": "IS", "Value": [instances]}
        elif row["id"].count(":") == 1:
            dataset["00201209"] = {"vr": "IS", "Value": [instances]}


def own_uids(row: dict) -> list[str]:
    """Return the UIDs in a row's document id, from the study down."""
    return row["id"].removesuffix(":study").split(":")
