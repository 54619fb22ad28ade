"""Searching for instances: in a series, in a study, by their UIDs, and everywhere (PS3.18 10.6)."""

from __future__ import annotations

from dataclasses import replace

from dicouch.read.search.studies import ALL, Entry, Found, Page, Search, studies_of, uid_of
from dicouch.rewrite import requests
from dicouch.rewrite.plan import Range
from dicouch.rewrite.query import SERIES_UID, SOP_UID, STUDY_UID, Query, named
from dicouch.rewrite.requests import Paging
from dicouch.tables import BESIDE_TAGS

# Studies whose series are read at first: a study has many instances.
FEW = 4
# Up to so many instances of one study are sorted for a page rather than asked for series by series, and up to so many
# with given UIDs are read before the page is cut out.
TOGETHER = 500


class InstanceSearch:
    """Searches for instances; `search` reads studies and series."""

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
            found = self._of_series(query, study, [series], Paging(query.offset, query.limit, not query.limit_given))
        elif study is None and set(query.keys) == set(query.of_level("instance")) and not self._everything(query):
            found = self._scan(query)
        else:
            found = self._walk(query, study, series) if study or self._found_studies(query) else Found([], 0)
        self.search.counts(
            [row["id"] for entry in found.entries for row in (entry.study, entry.series) if row and row["dataset"]]
        )
        if query.include == "all" or BESIDE_TAGS & query.include.keys():
            self._correct(query, found.entries)
        return self.search.page(query, found)

    def _found_studies(self, query: Query) -> bool:
        """Name the studies of the series that a search everywhere names; False when there are none of either."""
        series = list(dict.fromkeys(query.values(SERIES_UID)))
        if not series:
            return True
        named_ones = Query(keys={SERIES_UID: {"vr": "UI", "values": series}}, limit_given=True)
        chosen = Range("series_by_uid", keys=series, sort=True)
        rows = self.search.list("series", named_ones, chosen, Paging(0, ALL), fields=None)["rows"]
        studies = studies_of(query, rows)
        if studies:
            query.keys[STUDY_UID] = {"vr": "UI", "values": studies}
        return bool(studies)

    def _correct(self, query: Query, entries: list[Entry]) -> None:
        """Read data sets again with what people fixed in them, where rows show what is an instance's own."""
        corrected = {}
        for study in dict.fromkeys(uid_of(entry.row) for entry in entries):
            values = [row["value"] for row in self.search.ask(requests.corrections(study))["rows"]]
            if values:
                corrected[study] = values
        ids = [entry.row["id"] for entry in entries if uid_of(entry.row) in corrected]
        if ids:
            request = requests.corrected_rows(ids, self._fields(query), corrected)
            rows = {row["id"]: row for row in self.search.ask(request)["rows"]}
            for entry in entries:
                entry.row = rows.get(entry.row["id"], entry.row)

    @staticmethod
    def _parents(query: Query) -> bool:
        """Whether attributes of the study or series decide, or are shown."""
        levels = ("study", "series")
        return any(query.of_level(level) or query.fields(level, True)["include"] for level in levels)

    def _fields(self, query: Query) -> dict:
        return {**query.fields("instance"), "base": self.search.base}

    def _of_series(self, query: Query, study: str, series: list[str], paging: Paging) -> Found:
        """Instances of some series of one study, in order of the series."""
        alone = series[0] if len(series) == 1 else None
        chosen = requests.instance_range(study, alone, query)
        paging = paging if alone else replace(paging, among=series)
        answer = self.search.list("instance", query, chosen, paging, fields=self._fields(query))
        return Found([Entry(row) for row in answer["rows"]], answer["matched"])

    def _walk(self, query: Query, study: str | None, series: str | None) -> Found:
        """Go through the series of the studies that match, newest first, until the page is full."""
        everything = self._everything(query)
        entries, seen, end = [], 0, query.offset + query.limit
        above = replace(query, keys=dict(query.keys))
        if series is not None:
            above.keys[SERIES_UID] = {"vr": "UI", "values": [series]}
        for studies in self.search.study_chunks(above, study, end, FEW):
            parents = {uid_of(row): row for row in studies}
            paging = Paging(0, ALL, among=list(parents))
            found = self.search.series_rows(above, list(parents), paging, series is not None)["rows"]
            shown = [row["id"] for row in found] + [row["id"] for row in studies if row["dataset"]]
            counted = self.search.counts(shown)
            for below in self._groups(found, counted):
                held = sum(counted[row["id"]][1] for row in below)
                if everything and (seen + held <= query.offset or seen >= end):
                    seen += held
                    continue
                if seen >= end and query.limit_given:
                    break
                first = max(query.offset - seen, 0)
                paging = Paging(first, max(end - seen - first, 0), not (everything or query.limit_given))
                rows = {uid_of(row, 1): row for row in below}
                study_uid = uid_of(below[0])
                some = self._of_series(query, study_uid, list(rows), paging)
                entries += [Entry(one.row, parents[study_uid], rows[uid_of(one.row, 1)]) for one in some.entries]
                seen += held if everything else some.matched
            if seen >= end and query.limit_given:
                break
        return Found(entries, seen)

    @staticmethod
    def _groups(found: list[dict], counted: dict[str, list[int]]) -> list[list[dict]]:
        """Put the series of each study together that one request may read as a whole."""
        studies: dict[str, list[dict]] = {}
        for row in found:
            studies.setdefault(uid_of(row), []).append(row)
        groups: list[list[dict]] = []
        for below in studies.values():
            together = sum(counted[row["id"]][1] for row in below) <= TOGETHER
            groups += [below] if together else [[row] for row in below]
        return groups

    @staticmethod
    def _everything(query: Query) -> bool:
        """Whether all instances of a series match."""
        keys = query.of_level("instance").items()
        return all("values" in key and not key.get("empty") and not query.values(tag) for tag, key in keys)

    def _by_uid(self, query: Query, study: str | None, series: str | None) -> Found:
        """Instances by their UIDs, and those of them whose parents match."""
        uids = query.values(SOP_UID)
        many = len(uids) > TOGETHER
        documents = requests.matches_document(query) if many else requests.needs_document(query)
        if many and query.located is not None and set(query.of_level("instance")) == {SOP_UID}:
            rows = [{"id": one} for one in query.located]
        else:
            rows = self._listed(query, Range("instances_by_uid", keys=uids, documents=documents, sort=True), many)
        place = ":".join(part for part in (study, series) if part)
        rows = [row for row in rows if not place or row["id"].startswith(place + ":")]
        entries = self._under_parents(query, rows, study, series)
        page = entries[query.offset : query.offset + query.limit]
        if many:
            found = self._rows(query, [entry.row for entry in page])
            page = [replace(entry, row=found[entry.row["id"]]) for entry in page if entry.row["id"] in found]
        return Found(page, len(entries))

    def _listed(self, query: Query, chosen: Range, only_ids: bool) -> list[dict]:
        fields = None if only_ids else self._fields(query)
        return self.search.list("instance", query, chosen, Paging(0, ALL), fields=fields)["rows"]

    def _rows(self, query: Query, page: list[dict]) -> dict[str, dict]:
        """Return the rows of the instances on a page by their document ids."""
        if not page:
            return {}
        uids = [uid_of(row, 2) for row in page]
        chosen = Range("instances_by_uid", keys=uids, documents=requests.needs_document(query), sort=True)
        return {row["id"]: row for row in self._listed(query, chosen, False)}

    def _scan(self, query: Query) -> Found:
        """Instances everywhere by attributes that no index orders: every index row is read."""
        names = named(query.names.get(tag, tag) for tag in query.keys)
        self.search.notes.append(f"{names} has no index that serves this search: all instances were read")
        hits = self._listed(query, Range("instances_by_uid", documents=requests.matches_document(query)), True)
        studies = list(dict.fromkeys(uid_of(row) for row in hits))
        ordered = self.search.newest_first(studies, None) if studies else []
        place = {uid_of(row): position for position, row in enumerate(ordered)}
        hits = sorted((row for row in hits if uid_of(row) in place), key=lambda row: (place[uid_of(row)], row["id"]))
        page = hits[query.offset : query.offset + query.limit]
        found = self._rows(query, page)
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
