"""Searching for instances: in a series, in a study, by their UIDs, and everywhere (PS3.18 10.6)."""

from __future__ import annotations

from dataclasses import replace

from shim import rewrite
from shim.plan import Range
from shim.query import SERIES_UID, SOP_UID, STUDY_UID, Query
from shim.rewrite import Paging
from shim.search import ALL, Entry, Found, Page, Search, uid_of

# Studies whose series are read at first: a study has many instances.
FEW = 4


class InstanceSearch:
    """Searches for instances.

    Parameters
    ----------
    search : Search
        Reads studies and series.
    """

    def __init__(self, search: Search):
        self.search = search

    def run(self, query: Query, study: str | None = None, series: str | None = None) -> Page:
        """Search for instances, in a series, a study or everywhere."""
        if not query.keys and study is None and not query.limit_given:
            total = self.search.count(Range("instances_by_uid"))
            page = self.run(replace(query, limit_given=True))
            return Page(page.rows, max(0, total - query.offset - query.limit))
        if query.values(SOP_UID):
            found = self._by_uid(query, study, series)
        elif study and series and not self._parents(query):
            found = self._of_series(query, study, series, Paging(query.offset, query.limit, not query.limit_given))
        elif study is None and set(query.keys) == set(query.of_level("instance")) and not self._everything(query):
            found = self._scan(query)
        else:
            found = self._walk(query, study, series)
        self.search.counts(
            [row["id"] for entry in found.entries for row in (entry.study, entry.series) if row and row["dataset"]]
        )
        return self.search.page(query, found)

    @staticmethod
    def _parents(query: Query) -> bool:
        """Whether attributes of the study or series decide, or are shown."""
        levels = ("study", "series")
        return any(query.of_level(level) or query.fields(level, True)["include"] for level in levels)

    @staticmethod
    def _fields(query: Query, base: str) -> dict:
        return {**query.fields("instance"), "base": base}

    def _of_series(self, query: Query, study: str, series: str, paging: Paging) -> Found:
        chosen = rewrite.instance_range(study, series, query)
        answer = self.search.list("instance", query, chosen, paging, fields=self._fields(query, self.search.base))
        matched = answer["matched"]
        if rewrite.decides(query, chosen, "instance"):
            # The list saw no more than the page.
            full = paging.rest and matched == paging.limit
            matched = self.search.count(chosen) if full else paging.offset + matched
        return Found([Entry(row) for row in answer["rows"]], matched)

    def _walk(self, query: Query, study: str | None, series: str | None) -> Found:
        """Go through the series of the studies that match, newest first, until the page is full."""
        everything = self._everything(query)
        entries, seen, end = [], 0, query.offset + query.limit
        above = replace(query, keys=dict(query.keys))
        if series is not None:
            above.keys[SERIES_UID] = {"vr": "UI", "values": [series]}
        for studies in self.search.study_chunks(above, study, end, FEW):
            parents = {uid_of(row): row for row in studies}
            among = list(parents)
            paging = Paging(0, ALL, among=among)
            found = self.search.series_rows(above, among, paging, series is not None)["rows"]
            shown = [row["id"] for row in found] + [row["id"] for row in studies if row["dataset"]]
            counted = self.search.counts(shown) if everything else {}
            for row in found:
                held = counted[row["id"]][1] if everything else 0
                if everything and (seen + held <= query.offset or seen >= end):
                    seen += held
                    continue
                if seen >= end and query.limit_given:
                    break
                first = max(query.offset - seen, 0)
                paging = Paging(first, max(end - seen - first, 0), not (everything or query.limit_given))
                some = self._of_series(query, uid_of(row), uid_of(row, 1), paging)
                entries += [Entry(entry.row, parents[uid_of(row)], row) for entry in some.entries]
                seen += held if everything else some.matched
            if seen >= end and query.limit_given:
                break
        return Found(entries, seen)

    @staticmethod
    def _everything(query: Query) -> bool:
        """Whether all instances of a series match."""
        keys = query.of_level("instance").items()
        return all("values" in key and not key.get("empty") and not query.values(tag) for tag, key in keys)

    def _by_uid(self, query: Query, study: str | None, series: str | None) -> Found:
        """Instances by their UIDs, and those of them whose parents match."""
        documents = rewrite.needs_document(query)
        chosen = Range("instances_by_uid", keys=query.values(SOP_UID), documents=documents, sort=True)
        fields = self._fields(query, self.search.base)
        rows = self.search.list("instance", query, chosen, Paging(0, ALL), fields=fields)["rows"]
        place = ":".join(part for part in (study, series) if part)
        rows = [row for row in rows if not place or row["id"].startswith(place + ":")]
        entries = self._under_parents(query, rows, study, series)
        return Found(entries[query.offset : query.offset + query.limit], len(entries))

    def _scan(self, query: Query) -> Found:
        """Instances everywhere by attributes that no index orders: every index row is read."""
        chosen = Range("instances_by_uid", documents=rewrite.needs_document(query))
        hits = self.search.list("instance", query, chosen, Paging(0, ALL), fields=None)["rows"]
        studies = list(dict.fromkeys(uid_of(row) for row in hits))
        above = Query(keys={STUDY_UID: {"vr": "UI", "values": studies}}, limit_given=True)
        newest = Range("studies_by_uid", keys=studies, sort=True, covered=frozenset([STUDY_UID]))
        ordered = self.search.list("study", above, newest, Paging(0, ALL), fields=None)["rows"] if studies else []
        place = {uid_of(row): position for position, row in enumerate(ordered)}
        hits = sorted((row for row in hits if uid_of(row) in place), key=lambda row: (place[uid_of(row)], row["id"]))
        page = hits[query.offset : query.offset + query.limit]
        chosen = Range("instances_by_uid", keys=[uid_of(row, 2) for row in page], documents=chosen.documents, sort=True)
        found = {}
        if page:
            fields = self._fields(query, self.search.base)
            answer = self.search.list("instance", query, chosen, Paging(0, ALL), fields=fields)
            found = {row["id"]: row for row in answer["rows"]}
        rows = [found[row["id"]] for row in page if row["id"] in found]
        return Found(self._under_parents(query, rows, None, None), len(hits))

    def _under_parents(self, query: Query, rows: list[dict], study: str | None, series: str | None) -> list[Entry]:
        """Return instances under those of their series and studies that match."""
        if not rows:
            return []
        if study and series and not self._parents(query):
            return [Entry(row) for row in rows]
        ids = list(dict.fromkeys(row["id"].rpartition(":")[0] for row in rows))
        chosen = Range("_all_docs", keys=ids, documents=True, sort=True)
        fields = query.fields("series", series is not None)
        answer = self.search.list("series", query, chosen, Paging(0, ALL), fields=fields)
        above = {row["id"]: row for row in answer["rows"]}
        rows = [row for row in rows if row["id"].rpartition(":")[0] in above]
        if study and not query.of_level("study") and not query.fields("study", True)["include"]:
            entries = [Entry(row) for row in rows]
        else:
            entries = self.search.under_studies(query, rows, study is not None)
        for entry in entries:
            entry.series = above[entry.row["id"].rpartition(":")[0]]
        return entries
