"""The log of changes: what CouchDB's ``_changes`` tell of instances, numbered once and for good.

CouchDB's sequences are opaque, of another order each time on a cluster, and ``_changes`` has the last change of each
document only. So what they tell is written down in pages, documents of type `changes`, by whoever asks for the log:
entry n is the n-th change, and stays it. Changes that followed each other closely are read from the revisions of the
document. docs/decisions/0079-a-log-of-changes.md has the reasons.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

from dicouch.couch.client import Couch, segment
from dicouch.couch.response import CouchError
from dicouch.errors import DicomWebError

KIND = "changes"
BY_INSTANCE = "_design/dicom/_view/changes_by_instance"
# Entries of a page, and changes that are read at a time.
PAGE, ROWS = 100, 1000
# Earlier revisions of one document that are looked at, and attempts where others write the log as well.
ANCESTORS, ATTEMPTS = 20, 50
# Documents of which revisions are read at a time: their data sets may be large.
TOGETHER = 50
# Hexadecimal digits of a digest that tell the contents of one instance apart.
DIGEST = 16
# Seconds for which one request writes a log that is far behind; the next one goes on.
LONGEST = 20.0
# Seconds after which the name of a new log is the one that counts; CouchDB takes each writer's local document.
SETTLE = 0.3
FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


class Change(NamedTuple):
    """One entry: the document id of an instance, and what was done when. Of a header, ``correct``."""

    id: str
    action: str
    at: str
    # Of the bytes, the beginning; entries of older logs have none.
    digest: str = ""


@dataclass(frozen=True)
class State:
    """What a revision of an instance's document was; of one that was written past this server, no time may be known."""

    live: bool
    at: str
    digest: str = field(default="", compare=False)

    @classmethod
    def behind(cls, change: Change) -> State:
        """Return what an instance is since a change."""
        return cls(change.action != "delete", change.at, change.digest)

    def is_same(self, other: State | None) -> bool:
        """Return whether nothing was done to the instance in between."""
        if other is None or self.live != other.live:
            return False
        # The same bytes may have been stored twice, such as by two sites that replicate each other.
        return self.at in ("", other.at) or (self.digest != "" and self.digest == other.digest)


def now() -> str:
    """Return the time of now as documents have it."""
    return datetime.now(UTC).strftime(FORMAT)


def moment(text: object) -> str:
    """Return a time of a document with microseconds, so that times can be compared; nothing where it is none."""
    try:
        return datetime.fromisoformat(str(text)).astimezone(UTC).strftime(FORMAT)
    except ValueError:
        return ""


def page_id(log: str, number: int) -> str:
    """Return the document id of a page (from 0)."""
    return f"{KIND}-{log}-{number:010}"


def changes_of(document_id: str, last: Change | None, states: Iterable[State]) -> Iterator[Change]:
    """Yield what happened to an instance since the last entry that is known of it.

    Parameters
    ----------
    document_id : str
    last : Change or None
    states : iterable of State
        Of the revisions that can be read, the oldest first.
    """
    chain = list(states)
    known = State.behind(last) if last else None
    if known in chain:
        chain = chain[len(chain) - chain[::-1].index(known) :]
    elif known is not None:
        # Another branch of the revisions counts now, or those before are gone.
        chain = [state for state in chain[:-1] if state.at > known.at] + chain[-1:]
    for state in chain:
        if state.is_same(known):
            continue  # a write that left the instance what it was, such as one that moved its bytes
        was = known is not None and known.live
        if state.live or known is None or was:
            action = ("update" if was else "create") if state.live else "delete"
            yield Change(document_id, action, state.at or now(), state.digest)
        known = state


class ChangeLog:
    """The log of one database, for one process."""

    def __init__(self, couch: Couch) -> None:
        self._couch = couch
        self._lock = threading.Lock()
        self._name = ""
        # A sequence behind which nothing was to be logged when it was looked at, and the page that says where that is.
        self._seen: tuple[str, object] = ("", None)

    def name(self, authorization: str | None) -> str:
        """Return the name of the log, which a database that was replicated or made anew does not share."""
        if not self._name:
            path = f"_local/{KIND}"
            told = self._read(path, authorization)
            if told is None:
                made = {"log": secrets.token_hex(8)}
                try:
                    self._couch.json("PUT", path, body=made, authorization=authorization, writes=())
                except CouchError as problem:
                    if problem.status != 409:
                        raise
                time.sleep(SETTLE)
                told = self._read(path, authorization) or made
            self._name = str(told["log"])
        return self._name

    def catch_up(self, authorization: str | None) -> None:
        """Write down what has changed, with the server's own account where there is one.

        Raises
        ------
        CouchError
            The account may not write.
        DicomWebError
            503: the database does not answer, others write all the time, or the log is far behind.
        """
        account = None if self._couch.credentials else authorization
        deadline = time.monotonic() + LONGEST
        if not self._lock.acquire(timeout=LONGEST):
            raise DicomWebError(503, "the log of changes is being written: ask again", {"Retry-After": "5"})
        try:
            for _attempt in range(ATTEMPTS):
                try:
                    return self._write_down(account, deadline)
                except CouchError as problem:
                    if problem.status != 409:
                        raise
        finally:
            self._lock.release()
        raise DicomWebError(503, "the log of changes is written by others all the time", {"Retry-After": "5"})

    def _write_down(self, account: str | None, deadline: float) -> None:
        page = self._last(account)
        while (further := self._extend(page, account)) is not None:
            page = further
            if time.monotonic() > deadline:
                known = page["first"] - 1 + len(page["entries"])
                reason = f"the log of changes is being written, {known} are in it: ask again"
                raise DicomWebError(503, reason, {"Retry-After": "1"})

    def last_page(self, authorization: str | None) -> dict[str, Any] | None:
        """Return the last page, None while there is none."""
        name = self.name(authorization)
        keys = {"startkey": f"{KIND}-{name}-~", "endkey": f"{KIND}-{name}-"}
        params = {**keys, "descending": "true", "limit": 1, "include_docs": "true"}
        params |= {name: orjson.dumps(key).decode() for name, key in keys.items()}
        rows = self._couch.json("GET", "_all_docs", params=params, authorization=authorization)["rows"]
        page: dict[str, Any] | None = rows[0]["doc"] if rows else None
        return page

    def _last(self, authorization: str | None) -> dict[str, Any]:
        page = self.last_page(authorization)
        if page is None:
            self._name = ""  # perhaps the database was made anew meanwhile, and has another log
            page = self.last_page(authorization)
        return page or self._new(self.name(authorization), 0, 0)

    @staticmethod
    def _new(log: str, number: int, since: object) -> dict[str, Any]:
        first = number * PAGE + 1
        told = {"_id": page_id(log, number), "type": KIND, "summary": f"changes from {first} on", "log": log}
        return {**told, "first": first, "since": since, "entries": [], "corrections": []}

    def _extend(self, page: dict[str, Any], authorization: str | None) -> dict[str, Any] | None:
        """Write down the next changes; return the page that is now the last, None when there are no more."""
        place = f"{page['_id']} {page.get('_rev')}"
        since = self._seen[1] if self._seen[0] == place else page["since"]
        rows, last = self._changes(since, authorization)
        new = list(self._new_of(rows, authorization))
        if not new:
            self._seen = place, last
            return page if len(rows) == ROWS else None
        while True:
            entries, corrections = page["entries"], page["corrections"]
            while new and (len(entries) < PAGE or new[0].action == "correct"):
                change = new.pop(0)
                if change.action == "correct":
                    after = page["first"] + len(entries) - 1
                    corrections.append({"header": change.id, "after": after, "at": change.at})
                else:
                    digest = {"sha256": change.digest} if change.digest else {}
                    entries.append({"instance": change.id, "action": change.action, "at": change.at, **digest})
            # A page that is full before the last says no more than before: who reads on from there finds again what
            # follows, and what is logged already is not logged twice.
            page["since"] = page["since"] if new else last
            page["_rev"] = self._put(page, authorization)
            if not new:
                return page if len(rows) == ROWS else None
            page = self._new(page["log"], page["first"] // PAGE + 1, page["since"])

    def _put(self, page: dict[str, Any], authorization: str | None) -> str:
        path = segment(page["_id"])
        told = self._couch.json("PUT", path, body=page, authorization=authorization, writes=())
        return str(told["rev"])

    def _changes(self, since: object, authorization: str | None) -> tuple[list[dict[str, Any]], object]:
        """Return the next changes of instances and headers, and the sequence behind them; no data sets are kept."""
        params = {"since": since, "limit": ROWS, "include_docs": "true"}
        rows: list[dict[str, Any]] = []
        last = since
        with self._couch.request("GET", "_changes", params=params, authorization=authorization) as answer:
            for line in answer.lines():
                if line.startswith(b'{"') and not line.startswith(b'{"results"'):
                    row = orjson.loads(line.rstrip(b",\r\n"))
                    document = row.pop("doc", None) or {}
                    row["gone"] = bool(row.get("deleted"))
                    row |= {name: document.get(name) for name in ("type", "stored", "deleted", "history")}
                    row["file"] = {"sha256": digest_of(document)}
                    rows.append(row)
                elif line.startswith(b'"last_seq"'):
                    last = orjson.loads(b"{" + line)["last_seq"]
        return rows, last

    def _new_of(self, rows: list[dict[str, Any]], authorization: str | None) -> Iterator[Change]:
        """Yield what of changes is not in the log yet."""
        instances = [row for row in rows if is_instance(row["id"])]
        corrected = [row for row in rows if row["type"] in ("study", "series") and row["history"]]
        known = self.known([row["id"] for row in instances + corrected], authorization)
        chains = self._chains([row for row in instances if _is_open(row, known.get(row["id"]))], authorization)
        for row in rows:
            last = known.get(row["id"])
            if is_instance(row["id"]) and (row["gone"] or row["type"] == "instance"):
                states = chains.get(row["id"]) or [state_of(row, row["gone"])]
                yield from changes_of(row["id"], last[1] if last else None, states)
            elif row["type"] in ("study", "series") and row["history"]:
                at = moment(row["history"][-1].get("at")) or now()
                if last is None or last[1].at < at:
                    yield Change(row["id"], "correct", at)

    def known(self, ids: list[str], authorization: str | None) -> dict[str, tuple[int, Change]]:
        """Return number and entry of the last change of each document that the log knows."""
        log = self.name(authorization)
        body = {"keys": [[log, one] for one in ids]}
        found: dict[str, tuple[int, Change]] = {}
        if not ids:
            return found
        params = {"reduce": "false"}
        told = self._couch.json("POST", BY_INSTANCE, params=params, body=body, authorization=authorization)
        for row in told["rows"]:
            name, (number, action, at, *digest) = row["key"][1], row["value"]
            if name not in found or (found[name][0], found[name][1].at) < (number, at):
                found[name] = number, Change(name, action, at, *digest)
        return found

    def _chains(self, rows: list[dict[str, Any]], authorization: str | None) -> dict[str, list[State]]:
        """Return the states of documents with earlier revisions, the oldest first, as far as CouchDB still has them."""
        leaves = [{"id": row["id"], "rev": row["changes"][0]["rev"]} for row in rows]
        wanted, chains = [], {}
        for found in self._revisions(leaves, authorization):
            told = found["_revisions"]
            number, hashes = told["start"], told["ids"][: ANCESTORS + 1]
            chains[found["_id"]] = [f"{number - place}-{digest}" for place, digest in enumerate(hashes)]
            wanted += [{"id": found["_id"], "rev": revision} for revision in chains[found["_id"]]]
        states = {
            (one["_id"], one["_rev"]): state_of(one, bool(one.get("_deleted")))
            for one in self._revisions(wanted, authorization)
        }
        return {
            name: [states[name, revision] for revision in reversed(chain) if (name, revision) in states]
            for name, chain in chains.items()
        }

    def _revisions(self, wanted: list[dict[str, str]], authorization: str | None) -> Iterator[dict[str, Any]]:
        for start in range(0, len(wanted), TOGETHER):
            body, params = {"docs": wanted[start : start + TOGETHER]}, {"revs": "true"}
            told = self._couch.json(
                "POST", "_bulk_get", params=params, body=body, authorization=authorization, writes=()
            )
            for result in told["results"]:
                yield from (one["ok"] for one in result["docs"] if "ok" in one)

    def _read(self, path: str, authorization: str | None) -> dict[str, Any] | None:
        try:
            told: dict[str, Any] = self._couch.json("GET", path, authorization=authorization)
            return told
        except CouchError as problem:
            if problem.status == 404 and problem.reason != "no_db_file":
                return None
            raise


def is_instance(document_id: str) -> bool:
    """Return whether an id has three UIDs."""
    return document_id.count(":") == 2


def state_of(document: dict[str, Any], gone: bool) -> State:
    """Return what a revision of an instance says."""
    if gone:
        return State(False, moment(document.get("deleted")))
    return State(True, moment(document.get("stored")), digest_of(document))


def digest_of(document: dict[str, Any]) -> str:
    """Return the beginning of the digest of an instance's bytes; nothing where there are none."""
    file = document.get("file")
    return str(file.get("sha256") or "")[:DIGEST] if isinstance(file, dict) else ""


def _is_open(row: dict[str, Any], last: tuple[int, Change] | None) -> bool:
    """Return whether earlier revisions may tell more than the last one."""
    if row["changes"][0]["rev"].startswith("1-"):
        return False
    # The same bytes at another time: they may have been deleted or replaced in between.
    return last is None or not state_of(row, row["gone"]).is_same(State.behind(last[1]._replace(digest="")))
