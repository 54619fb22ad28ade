"""Transactions of the worklist (PS3.18 11): the design document decides, here is what they need of the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson

from dicouch.couch.client import Couch, segment
from dicouch.couch.response import CouchError
from dicouch.errors import DicomWebError
from dicouch.rewrite import workitems
from dicouch.rewrite.query import Query
from dicouch.rewrite.requests import CouchRequest, Paging

# When others write a workitem at the same time, the change is made again on what they wrote.
ATTEMPTS = 64
NOT_FOUND = "C307"


class Refused(DicomWebError):
    """A transaction that the state machine refuses; the reason is the text of its ``Warning``, too."""


class Worklist:
    """Transactions of one request, with its client's credentials.

    Parameters
    ----------
    couch : Couch
    authorization : str or None
    server : dict
        Name of this ``server``, and what tells when it was ``started``.
    """

    def __init__(self, couch: Couch, authorization: str | None, server: dict[str, str]) -> None:
        self._couch = couch
        self._authorization = authorization
        self._server = server

    def create(self, uid: str, dataset: dict[str, Any]) -> list[str]:
        """Create a workitem; return the texts of warnings."""
        found = self._subscribers()
        warnings = self._change("create", uid, {"dataset": dataset, "subscribers": found})
        # Who subscribed meanwhile was not among them, and may have looked at what there is before this was; as may have
        # who ended that.
        now = self._subscribers()
        for title in sorted({one["ae"] for one in found} - {one["ae"] for one in now}):
            self._one(workitems.document_id(uid), {"ae": title, "off": True})
        for late in now:
            if late not in found:
                keys = {workitems.SOP_UID: {"vr": "UI", "values": [uid]}, **late.get("filter", {})}
                self._all(Query(keys), {"ae": late["ae"], "lock": late["lock"], "report": True})
        return warnings

    def _subscribers(self) -> list[dict[str, Any]]:
        """Return the subscriptions to the worklist that there are."""
        return [
            {"ae": row["doc"]["aeTitle"], **row["doc"][kind]}
            for row in self._ask(workitems.subscribers())["rows"]
            for kind in workitems.KINDS.values()
            if kind in row["doc"]
        ]

    def update(self, uid: str, dataset: dict[str, Any], transaction: str) -> list[str]:
        """Change attributes of a workitem."""
        return self._change("set", uid, {"dataset": dataset, "transaction": transaction})

    def change_state(self, uid: str, state: str, transaction: str) -> list[str]:
        """Claim, complete or cancel a workitem."""
        return self._change("state", uid, {"state": state, "transaction": transaction})

    def request_cancellation(self, uid: str, dataset: dict[str, Any], requester: str) -> list[str]:
        """Cancel a workitem that is scheduled, or tell who performs it that this is asked for."""
        return self._change("cancel", uid, {"dataset": dataset, "requester": requester})

    def subscribe(self, uid: str, title: str, lock: bool, query: Query | None = None) -> None:
        """Subscribe an AE title to a workitem, or to those there are and will be; `query` has a filter."""
        kind = workitems.KINDS.get(uid)
        if kind is None:
            self._change("subscribe", uid, {"ae": title, "lock": lock, "report": True})
            self._subscriber({"ae": title})
            return
        query = query or Query()
        asked = {"ae": title, "lock": lock}
        # Before those that are there, so that none is missed that is created meanwhile.
        self._subscriber({**asked, "kind": kind, **({"filter": query.keys} if query.keys else {})})
        self._all(query, {**asked, "report": True})

    def unsubscribe(self, uid: str, title: str) -> None:
        """End the subscription to a workitem, or to the worklist and all that is in it."""
        if uid not in workitems.KINDS:
            self._change("unsubscribe", uid, {"ae": title})
            return
        missing = None
        try:
            self.suspend(uid, title)  # first, so that none is added meanwhile
        except Refused as problem:  # suspended before, or a request to end it broke off
            missing = problem
            # Of who subscribed the other way, what there is belongs to that.
            if problem.status != 404 or any(one["ae"] == title for one in self._subscribers()):
                raise
        if not self._all(Query(), {"ae": title, "off": True}) and missing:
            raise missing

    def suspend(self, uid: str, title: str) -> None:
        """Subscribe no further to what will be created."""
        self._subscriber({"ae": title, "kind": workitems.KINDS[uid], "off": True})

    def opens(self, title: str) -> dict[str, bool]:
        """Note that an event channel opens; return whether the server was started since the last one did."""
        told: dict[str, bool] = self._subscriber({"ae": title, "open": True})
        return told

    def _subscriber(self, asked: dict[str, Any]) -> Any:
        """Change the document of an AE title; see ``lib/workitem/subscriber.js``."""
        body = {**asked, **self._server}
        return self._refusing(lambda: self._update("subscriber", workitems.subscriber_id(asked["ae"]), body))

    @staticmethod
    def _refusing(job: Callable[[], Any]) -> Any:
        try:
            return job()
        except CouchError as problem:
            if len(problem.error) == 4:  # a status of PS3.4 CC.2
                raise Refused(problem.status, problem.reason) from problem
            raise

    def _all(self, query: Query, asked: dict[str, Any]) -> bool:
        """Change the subscription of an AE title to all workitems that a query finds; return whether there was any."""
        changed = False
        for ids in self._found(query):
            documents = self._ask(workitems.subscribed(ids, asked))
            if not documents:
                continue
            changed = True
            options: dict[str, Any] = {"writes": [document["_id"] for document in documents]}
            body = {"docs": documents}
            for row in self._couch.json("POST", "_bulk_docs", body=body, authorization=self._authorization, **options):
                # Somebody else was faster, or the workitem is gone.
                if row.get("error") == "conflict":
                    self._one(row["id"], asked)
                elif "error" in row:
                    raise CouchError.of_row(row)
        return changed

    def _one(self, document_id: str, asked: dict[str, Any]) -> None:
        try:
            self._update("unsubscribe" if asked.get("off") else "subscribe", document_id, asked)
        except CouchError as problem:
            if problem.error != NOT_FOUND:
                raise

    def _found(self, query: Query) -> Iterator[list[str]]:
        chosen, offset = workitems.choose(query), 0
        while True:
            page = Paging(offset, workitems.TOGETHER)
            ids = [row["id"] for row in self._ask(workitems.search(query, chosen, page, rows=False))["rows"]]
            yield ids
            offset += len(ids)
            if len(ids) < workitems.TOGETHER:
                return

    def _ask(self, request: CouchRequest) -> Any:
        return self._couch.json(
            request.method, request.path, params=request.params, body=request.body, authorization=self._authorization
        )

    def _change(self, name: str, uid: str, body: dict[str, Any]) -> list[str]:
        try:
            told = self._refusing(lambda: self._update(name, workitems.document_id(uid), body))
        except Refused as problem:
            if problem.status == 404 and self._is_gone(uid):
                raise Refused(410, f"The Target Workitem {uid} was deleted.") from problem
            raise
        warnings: list[str] = told["warnings"]
        return warnings

    def _is_gone(self, uid: str) -> bool:
        """Return whether a workitem was deleted (PS3.18: 410)."""
        try:
            self._couch.json("GET", segment(workitems.document_id(uid)), authorization=self._authorization)
        except CouchError as problem:
            return problem.reason == "deleted"
        return False

    def _update(self, name: str, document_id: str, body: dict[str, Any]) -> Any:
        path = f"{workitems.DESIGN}/_update/{name}/{segment(document_id)}"
        for attempt in range(ATTEMPTS):
            try:
                return self._couch.json("PUT", path, body=body, authorization=self._authorization)
            except CouchError as problem:
                if problem.error != "conflict" or attempt == ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable")


def state_of(dataset: dict[str, Any]) -> tuple[str, str]:
    """Return state and Transaction UID of a request to change the state (PS3.4 Table CC.2.1-1)."""
    return value_of(dataset, workitems.STATE), value_of(dataset, workitems.TRANSACTION)


def value_of(dataset: dict[str, Any], tag: str) -> str:
    """Return the first value of an attribute as text, nothing where there is none."""
    values = dataset.get(tag, {}).get("Value") or [""]
    return values[0].strip(" \0") if isinstance(values[0], str) else ""


def read_dataset(text: bytes) -> dict[str, Any]:
    """Read a data set in JSON, or a list of one, which some clients send; DicomWebError 400."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as problem:
        raise DicomWebError(400, f"the body is no JSON: {problem}") from problem
    if isinstance(found, list) and len(found) == 1:
        found = found[0]
    return checked(found)


def checked(dataset: object, depth: int = 0) -> dict[str, Any]:
    """Return a data set whose form is that of the DICOM JSON Model (PS3.18 F.2); DicomWebError 400 for another."""
    if not isinstance(dataset, dict) or depth > 32:
        raise DicomWebError(400, "the body must be one data set in the DICOM JSON Model")
    found = {}
    for tag, attribute in dataset.items():
        tag = tag.upper()
        if len(tag) != 8 or not set(tag) <= set("0123456789ABCDEF"):
            raise DicomWebError(400, f"{tag[:40]!r} is no tag of eight hexadecimal digits")
        vr = attribute.get("vr") if isinstance(attribute, dict) else None
        if not isinstance(vr, str) or len(vr) != 2 or not (vr.isascii() and vr.isalpha() and vr.isupper()):
            raise DicomWebError(400, f"{tag} has no vr")
        values = attribute.get("Value", [])
        if not isinstance(values, list):
            raise DicomWebError(400, f"the Value of {tag} must be an array")
        if vr == "SQ" and values:
            attribute = {**attribute, "Value": [checked(item, depth + 1) for item in values]}
        found[tag] = attribute
    return found
