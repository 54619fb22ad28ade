"""Running a search: the pages that `rewrite` asks for, put together into the rows of a QIDO-RS answer (PS3.18 10.6)."""

from __future__ import annotations

from dataclasses import dataclass, field

from shim import rewrite
from shim.couch import Couch
from shim.query import Query, keys_of_level
from shim.rewrite import CouchRequest

# How many studies or series a search below them walks through at a time.
STEP = 50


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


class Search:
    """Searches on one database.

    Parameters
    ----------
    couch : Couch
    base : str
        Absolute URL of the DICOMweb root, for RetrieveURL.
    authorization : str or None
        The client's own credentials.
    """

    def __init__(self, couch: Couch, base: str, authorization: str | None = None):
        self.couch = couch
        self.base = base
        self.authorization = authorization

    def ask(self, request: CouchRequest) -> dict:
        """Send a request and return the decoded answer."""
        return self.couch.json(
            request.method, request.path, params=request.params, body=request.body, authorization=self.authorization
        )

    def studies(self, query: Query) -> Page:
        """Search for studies."""
        answer = self.ask(rewrite.study_search(query, query.offset, query.limit))
        rows = self._finish_studies(answer["rows"])
        return Page(rows, _cut(query, answer["matched"]))

    def series(self, query: Query, study: str | None = None) -> Page:
        """Search for series, in one study or in all; rows of all carry their study's attributes (Table 10.6.3-4)."""
        if study and not self._needs_parents(query, "study"):
            answer = self.ask(rewrite.series_search([study], query, query.offset, query.limit))
            return Page(self._finish_series(answer["rows"]), _cut(query, answer["matched"]))
        return self._below_studies(query, study, self._series_of)

    def instances(self, query: Query, study: str | None = None, series: str | None = None) -> Page:
        """Search for instances, in a series, a study or everywhere."""
        if study and series and not self._needs_parents(query, "study") and not self._needs_parents(query, "series"):
            answer = self.ask(rewrite.instance_search(study, series, query, query.offset, query.limit))
            return Page(self._finish_instances(answer["rows"]), _cut(query, answer["matched"]))
        return self._below_studies(query, study, lambda *step: self._instances_of(*step, series))

    @staticmethod
    def _needs_parents(query: Query, level: str) -> bool:
        return bool(keys_of_level(query.keys, level))

    def _below_studies(self, query: Query, study: str | None, rows_of) -> Page:
        """Walk through the studies that match, newest first, until the page is full."""
        above = Query(keys=dict(query.keys), include=query.include, fuzzy=query.fuzzy, limit_given=True)
        if study:
            above.keys["0020000D"] = {"vr": "UI", "values": [study]}
        page = Page()
        seen = 0
        offset = 0
        while True:
            answer = self.ask(rewrite.study_search(above, offset, STEP))
            for parent in self._finish_studies(answer["rows"]):
                missing = query.offset + query.limit - seen
                if missing <= 0 and query.limit_given:
                    return page
                rows, matched = rows_of(query, parent, max(query.offset - seen, 0), max(missing, 0))
                page.rows += rows
                seen += matched
            offset += STEP
            if len(answer["rows"]) < STEP:
                break
        page.remaining = _cut(query, seen)
        return page

    def _series_of(self, query: Query, parent: dict, offset: int, end: int) -> tuple[list[dict], int]:
        """Series of one study: its rows from `offset` on up to `end`, and how many there are."""
        uid = parent["0020000D"]["Value"][0]
        answer = self.ask(rewrite.series_search([uid], query, 0, max(end, 1)))
        rows = self._finish_series(answer["rows"][offset:end])
        return [_under(parent, row) for row in rows], answer["matched"]

    def _instances_of(self, query: Query, parent: dict, offset: int, end: int, series: str | None):
        """Instances of one study, series by series."""
        uid = parent["0020000D"]["Value"][0]
        above = Query(keys=dict(query.keys), include=query.include, fuzzy=query.fuzzy, limit_given=False)
        if series:
            above.keys["0020000E"] = {"vr": "UI", "values": [series]}
        found, seen = [], 0
        for middle in self._finish_series(self.ask(rewrite.series_search([uid], above, 0, 1_000_000))["rows"]):
            answer = self.ask(
                rewrite.instance_search(uid, middle["0020000E"]["Value"][0], query, 0, max(end - seen, 1))
            )
            rows = answer["rows"][max(offset - seen, 0) : max(end - seen, 0)]
            found += [_under(parent, _under(middle, row)) for row in self._finish_instances(rows)]
            seen += answer["matched"]
            if seen > end and query.limit_given:
                break
        return found, seen

    def _counts(self, ids: list[str]) -> dict[str, list[int]]:
        if not ids:
            return {}
        return {row["key"]: row["value"] for row in self.ask(rewrite.counts(ids))["rows"]}

    def _finish_studies(self, rows: list[dict]) -> list[dict]:
        counted = self._counts([row["id"] for row in rows])
        finished = []
        for row in rows:
            series, instances = counted.get(row["id"], (0, 0))
            if not instances:
                continue  # a header whose first instance has not arrived yet
            study = row["id"].partition(":")[0]
            dataset = self._add(row["dataset"], f"/studies/{study}")
            dataset["00201206"] = {"vr": "IS", "Value": [series]}
            dataset["00201208"] = {"vr": "IS", "Value": [instances]}
            finished.append(dataset)
        return finished

    def _finish_series(self, rows: list[dict]) -> list[dict]:
        counted = self._counts([row["id"] for row in rows])
        finished = []
        for row in rows:
            _, instances = counted.get(row["id"], (0, 0))
            if not instances:
                continue
            study, series = row["id"].split(":")
            dataset = self._add(row["dataset"], f"/studies/{study}/series/{series}")
            dataset["00201209"] = {"vr": "IS", "Value": [instances]}
            finished.append(dataset)
        return finished

    def _finish_instances(self, rows: list[dict]) -> list[dict]:
        finished = []
        for row in rows:
            study, series, instance = row["id"].split(":")
            finished.append(self._add(row["dataset"], f"/studies/{study}/series/{series}/instances/{instance}"))
        return finished

    def _add(self, dataset: dict, path: str) -> dict:
        dataset["00080056"] = {"vr": "CS", "Value": ["ONLINE"]}
        dataset["00081190"] = {"vr": "UR", "Value": [self.base + path]}
        return dataset


def _cut(query: Query, matched: int) -> int:
    """Return how many rows the server's own limit kept back (PS3.18 8.3.4.4.1)."""
    return 0 if query.limit_given else max(0, matched - query.offset - query.limit)


def _under(parent: dict, row: dict) -> dict:
    """Return a row with its parent's attributes, its own first where both have one."""
    return {**parent, **row}
