"""The change feed: entries of the log of changes, what became of their instances, and these instances' metadata."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any, NamedTuple

import orjson

from dicouch.couch.changelog import KIND, PAGE, ChangeLog, page_id
from dicouch.couch.client import Couch
from dicouch.read import metadata
from dicouch.read.retrieve import Retriever
from dicouch.rewrite import requests
from dicouch.rewrite.changefeed import Asked
from dicouch.rewrite.requests import CouchRequest
from dicouch.tables import HIGH

# Instances whose documents are read at a time: data sets are sent as they come.
AT_ONCE = 20
# Rows of an index that are passed over one by one.
WALKED = 500


class Entry(NamedTuple):
    """An entry of the log."""

    sequence: int
    instance: str
    action: str
    at: str


class ChangeFeed:
    """Reads the log for one request, with the client's own credentials."""

    def __init__(self, reader: Retriever, log: ChangeLog) -> None:
        self._reader = reader
        self._log = log

    def entries(self, asked: Asked) -> list[Entry]:
        """Return the entries of a page of the feed."""
        return self._between(asked) if asked.in_window else self.behind(asked.offset, asked.limit)

    def behind(self, sequence: int, most: int) -> list[Entry]:
        """Return the entries that follow the one of a sequence."""
        return [entry for page in self.pages(sequence, most) for entry in entries_of(page, sequence, most)]

    def pages(self, sequence: int, most: int) -> list[dict[str, Any]]:
        """Return the pages of the log that hold the entries behind a sequence."""
        first, last = sequence // PAGE, (sequence + most - 1) // PAGE
        log = self._log.name(self._reader.authorization)
        return read_pages(self._reader.couch, log, first, last - first + 1, self._reader.authorization)

    def latest(self) -> Entry | None:
        """Return the last entry."""
        page = self._log.last_page(self._reader.authorization)
        if page is None:
            return None
        # One without entries is the first of all, and has corrections only.
        return next(reversed(entries_of(page, page["first"] - 1, PAGE)), None)

    def _between(self, asked: Asked) -> list[Entry]:
        """Return entries by time. What the offset passes over is counted by the index, not walked through."""
        log, offset = self._log.name(self._reader.authorization), asked.offset
        start = requests.logged_at(log, asked.start)
        last = end = requests.logged_at(log, asked.end) if asked.end else [log, HIGH]
        for level in (2, 3, 4) if offset > WALKED else ():
            for row in self._reader.rows(requests.count_logged(start, last, level)):
                if offset < row["value"]:
                    start, last = max(start, row["key"]), min(end, [*row["key"], HIGH])
                    break
                offset -= row["value"]
            else:
                return []
        rows = self._reader.rows(requests.logged_between(start, end, offset, asked.limit))
        return [
            Entry(row["key"][-1], row["value"]["instance"], row["value"]["action"], row["value"]["at"]) for row in rows
        ]

    def told(self, entries: Iterable[Entry], base: str, *, with_metadata: bool) -> Iterator[bytes]:
        """Yield each entry as JSON, as Microsoft's server has it.

        Parameters
        ----------
        entries : iterable of Entry
        base : str
            Absolute URL of the DICOMweb root, for BulkDataURIs.
        with_metadata : bool
        """
        listed = list(entries)
        last = self._log.known(list({entry.instance for entry in listed}), self._reader.authorization)
        for start in range(0, len(listed), AT_ONCE):
            turn = listed[start : start + AT_ONCE]
            live = [entry.instance for entry in turn if last[entry.instance][1].action != "delete"]
            found = self._metadata(sorted(set(live)), base) if with_metadata and live else {}
            for entry in turn:
                number, change = last[entry.instance]
                state = "current" if number == entry.sequence else "replaced"
                yield _written(entry, "deleted" if change.action == "delete" else state, found.get(entry.instance))

    def _metadata(self, ids: list[str], base: str) -> dict[str, bytes]:
        """Return the metadata of instances as WADO-RS answers them now, by document id; of those that are there."""
        studies = sorted({one.partition(":")[0] for one in ids})
        rows = self._reader.rows(requests.corrections_of(studies))
        corrected = {(row["key"], row["value"]["series"]) for row in rows}
        found: dict[str, bytes] = {}
        asked = CouchRequest("POST", "_all_docs", {"include_docs": "true"}, {"keys": ids})
        with closing(self._reader.ask(asked).rows()) as documents:
            for row in documents:
                document = row.get("doc") or {}
                study, series, _instance = str(row.get("id") or row["key"]).split(":")
                if document.get("type") == "instance" and not {(study, None), (study, series)} & corrected:
                    found[document["_id"]] = metadata.text_of(self._reader, document, base)
        for one in ids:
            study, series, instance = one.split(":")
            if {(study, None), (study, series)} & corrected:
                text = b"".join(metadata.render(self._reader, study, series, instance, base)).strip()
                if text != b"[]":
                    found[one] = text[1:-1]
        return found


def read_pages(
    couch: Couch, log: str, first: int, count: int, authorization: str | None = None
) -> list[dict[str, Any]]:
    """Return some pages of the log, of those that there are."""
    if first >= 10**10:
        return []  # so many changes nobody has, and no id has so many digits
    keys = {"startkey": page_id(log, first), "endkey": page_id(log, min(first + count, 10**10) - 1)}
    params = {name: requests.as_json(key) for name, key in keys.items()}
    rows = couch.json("GET", "_all_docs", params={**params, "include_docs": "true"}, authorization=authorization)[
        "rows"
    ]
    return [row["doc"] for row in rows if (row.get("doc") or {}).get("type") == KIND]


def entries_of(page: dict[str, Any], sequence: int, most: int) -> list[Entry]:
    """Return the entries of a page of the log that follow a sequence, of `most` there."""
    numbered = enumerate(page["entries"], page["first"])
    return [
        Entry(number, entry["instance"], entry["action"], entry["at"])
        for number, entry in numbered
        if sequence < number <= sequence + most
    ]


def _written(entry: Entry, state: str, dataset: bytes | None) -> bytes:
    study, series, instance = entry.instance.split(":")
    text = orjson.dumps(
        {
            "sequence": entry.sequence,
            "studyInstanceUid": study,
            "seriesInstanceUid": series,
            "sopInstanceUid": instance,
            "action": entry.action,
            "timestamp": entry.at,
            "state": state,
        }
    )
    return text if dataset is None else text[:-1] + b',"metadata":' + dataset + b"}"
