"""Running a search: the pages that `rewrite` asks for, put together into the rows of a QIDO-RS answer (PS3.18 10.6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

from dicouch.read.search import ranges
from dicouch.read.search.reading import Reading
from dicouch.rewrite import plan, requests
from dicouch.rewrite.plan import Range
from dicouch.rewrite.query import AVAILABLE_SYNTAX, SERIES_UID, SOP_UID, STUDY_UID, TRANSFER_SYNTAX, Query
from dicouch.rewrite.requests import Paging
from dicouch.tables import BESIDE_TAGS

# How many studies a search below them walks through at a time: at first, and at most.
FEWEST, MOST = 25, 1000
# More rows than any study, or any list of UIDs in one request, has series.
ALL = 1_000_000


@dataclass
class Page:
    """Rows of an answer (DICOM JSON Model), and how many further ones the server's own limit cut off."""

    rows: list[dict] = field(default_factory=list)
    remaining: int = 0


@dataclass
class Entry:
    """One row, ``{"id", "dataset"}``, with those of its parents where the answer shows their attributes."""

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


def studies_of(query: Query, rows: list[dict]) -> list[str]:
    """Return the UIDs of the studies in which rows are, as far as the query wants them."""
    wanted = query.values(STUDY_UID)
    return [uid for uid in dict.fromkeys(map(uid_of, rows)) if not wanted or uid in wanted]


class Search(Reading):
    """Searches for studies and series on one database, for one request."""

    def studies(self, query: Query) -> Page:
        """Search for studies."""
        page = query.offset + query.limit if query.limit_given else 0
        chosen = ranges.choose(self, query, plan.study_candidates(query), page)
        uids = query.values(STUDY_UID) or [uid for one in chosen for uid in one.keys or ()]
        if uids and len(uids) <= FEWEST and query.limit:
            uncounted = self.uncounted([f"{uid}:study" for uid in uids])
            if uncounted:
                self.count_ahead(requests.counts(uncounted), chosen[0])

        def fetch(offset: int, limit: int) -> Found:
            paging = Paging(offset, limit, not query.limit_given)
            answer = ranges.studies(self, query, chosen, paging, fields=query.fields("study"))
            return Found([Entry(row) for row in answer["rows"]], answer["matched"])

        return self.page(query, self.complete(query, fetch))

    def study_chunks(self, query: Query, study: str | None, rows: int, first: int = FEWEST) -> Iterator[list[dict]]:
        """Yield the rows of the studies that match a query of the level below, some at a time, newest first.

        Parameters
        ----------
        study
            The one study of the path.
        rows
            How many rows the page needs; a study has one at least.
        first
            Most studies in the first chunk; each further one has twice as many.
        """
        fields = query.fields("study", study is not None)
        above = plan.narrowed_by_series(query)
        if study is not None:
            if not above.of_level("study") and not fields["include"]:
                yield [{"id": f"{study}:study", "dataset": {}}]
                return
            above.keys[STUDY_UID] = {"vr": "UI", "values": [study]}
        chosen = ranges.choose(self, above, plan.study_candidates(above))
        at_once = any(one.sort or one.keys or "key" in one.params for one in chosen)
        size = ALL if at_once else min(max(rows, 1), first)
        offset = 0
        while True:
            answer = ranges.studies(self, above, chosen, Paging(offset, size), fields=fields)
            if answer["rows"]:
                yield answer["rows"]
            if len(answer["rows"]) < size:
                return
            offset += size
            size = min(size * 2, MOST)

    def series(self, query: Query, study: str | None = None) -> Page:
        """Search for series, in one study or in all; rows of all carry their study's attributes (Table 10.6.3-4)."""
        if not query.keys and study is None and not query.limit_given:
            total = self.count(Range("series_by_uid"))
            page = self.series(replace(query, limit_given=True))
            return Page(page.rows, max(0, total - query.offset - query.limit))
        run = self._series_by_uid if query.values(SERIES_UID) and study is None else self._series_of
        return self.page(query, self.complete(query, partial(run, query, study)))

    def series_rows(self, query: Query, studies: list[str], paging: Paging, only: bool = False) -> dict:
        """Return the rows of the series of some studies, in order of the studies."""
        chosen = requests.series_range(studies)
        return self.list("series", query, chosen, paging, fields=query.fields("series", only))

    def _series_of(self, query: Query, study: str | None, offset: int, limit: int) -> Found:
        entries, seen, end = [], 0, offset + limit
        if study is not None and not query.limit_given and limit and not offset:
            self.count_ahead(requests.counts_of(study), requests.series_range([study]))
        for studies in self.study_chunks(query, study, end):
            uids = [uid_of(row) for row in studies]
            first = max(offset - seen, 0)
            paging = Paging(first, max(end - seen - first, 0), not query.limit_given, among=uids)
            answer = self.series_rows(query, uids, paging)
            above = {uid_of(row): row for row in studies}
            entries += [Entry(row, above[uid_of(row)]) for row in answer["rows"]]
            seen += answer["matched"]
            if seen >= end and query.limit_given:
                break
        return Found(entries, seen)

    def _series_by_uid(self, query: Query, _study: str | None, offset: int, limit: int) -> Found:
        chosen = Range("series_by_uid", keys=query.values(SERIES_UID), sort=True)
        rows = self.list("series", query, chosen, Paging(0, ALL), fields=query.fields("series"))["rows"]
        entries = self.under_studies(query, rows)
        return Found(entries[offset : offset + limit], len(entries))

    def newest_first(self, uids: list[str], fields: dict | None, keys: dict | None = None) -> list[dict]:
        """Return the rows of those of some studies that match, newest first."""
        above = Query(keys={**(keys or {}), STUDY_UID: {"vr": "UI", "values": uids}}, limit_given=True)
        chosen = Range("studies_by_uid", keys=uids, sort=True, covered=frozenset([STUDY_UID]))
        return self.list("study", above, chosen, Paging(0, ALL), fields=fields)["rows"]

    def under_studies(self, query: Query, rows: list[dict], only: bool = False) -> list[Entry]:
        """Return series or instances under those of their studies that match, in order of the studies."""
        if not rows:
            return []
        keys, fields = query.of_level("study"), query.fields("study", only)
        studies = self.newest_first(studies_of(query, rows), fields, keys)
        below: dict[str, list[dict]] = {}
        for row in rows:
            below.setdefault(uid_of(row), []).append(row)
        return [Entry(row, study) for study in studies for row in below[uid_of(study)]]

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
        rows = [row for entry in entries for row in (entry.row, entry.study, entry.series) if row is not None]
        shown = [row["id"] for row in rows if self._counts(row)]
        counted = self.counts(shown)
        return [entry for entry in entries if counted[entry.row["id"]][1]]

    @staticmethod
    def _counts(row: dict) -> bool:
        """Whether the row of a study or series shall say how much is below it."""
        return row["id"].count(":") == 1 and bool(row["dataset"])

    def page(self, query: Query, found: Found) -> Page:
        """Return the rows of the answer, each with what its parents and the server add to it."""
        remaining = 0 if query.limit_given else max(0, found.matched - query.offset - query.limit)
        rows = [self._finish(entry) for entry in found.entries]
        if query.include != "all" and TRANSFER_SYNTAX in query.include:
            rows = [{TRANSFER_SYNTAX: row[AVAILABLE_SYNTAX], **row} if AVAILABLE_SYNTAX in row else row for row in rows]
        return Page(rows, remaining)

    def _finish(self, entry: Entry) -> dict:
        dataset: dict = {}
        for row in (entry.study, entry.series, entry.row):
            if row is not None:
                for tag in BESIDE_TAGS:
                    dataset.pop(tag, None)  # a parent's is some other instance's
                dataset.update(row["dataset"])
                self._add_counts(dataset, row)
        uids = entry.row["id"].removesuffix(":study").split(":")
        # Also those that the path names: a row says what it is of wherever a client keeps it.
        for tag, uid in zip((STUDY_UID, SERIES_UID, SOP_UID), uids, strict=False):
            dataset[tag] = {"vr": "UI", "Value": [uid]}
        path = "".join(f"/{name}/{uid}" for name, uid in zip(("studies", "series", "instances"), uids, strict=False))
        dataset["00080056"] = {"vr": "CS", "Value": ["UNAVAILABLE" if self._is_nowhere(entry, dataset) else "ONLINE"]}
        dataset["00081190"] = {"vr": "UR", "Value": [self.base + path]}
        return dict(sorted(dataset.items()))

    def _is_nowhere(self, entry: Entry, dataset: dict) -> bool:
        """Return whether only metadata are here of an instance, or of all of a study or series (PS3.3 C.4.23.1.1)."""
        counted = self._counted.get(entry.row["id"])
        if counted:
            return counted[1] > 0 and not counted[2]
        if dataset.get(AVAILABLE_SYNTAX) != {"vr": "UI", "Value": [""]}:
            return False
        del dataset[AVAILABLE_SYNTAX]  # nobody knows
        return True

    def _add_counts(self, dataset: dict, row: dict) -> None:
        counted = self._counted.get(row["id"])
        if not counted or "00080005" not in row["dataset"]:
            return  # only what was asked for by name is shown of this parent
        series, instances = counted[:2]
        if row["id"].endswith(":study"):
            dataset["00201206"] = {"vr": "IS", "Value": [series]}
            dataset["00201208"] = {"vr": "IS", "Value": [instances]}
        elif row["id"].count(":") == 1:
            dataset["00201209"] = {"vr": "IS", "Value": [instances]}
