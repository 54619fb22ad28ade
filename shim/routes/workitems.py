"""UPS-RS: the worklist service (PS3.18 11): HTTP only. `dicouch.routes.search` searches."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec
from urllib.parse import quote

from flask import Response, request
from pydicom.uid import generate_uid

from dicouch.dicom.media.dicom_xml import MalformedNativeDicom, dataset_to_xml, xml_to_dataset
from dicouch.dicom.media.negotiate import parse_media_type
from dicouch.errors import DicomWebError
from dicouch.read.search import workitems as reading
from dicouch.rewrite import query, workitems
from dicouch.rewrite.query import Query
from dicouch.routes import answers, current, problems
from dicouch.routes.search import OFFERED as ROWS
from dicouch.routes.search import XML as XML_PARTS
from dicouch.server.request_body import RequestBody, decoded
from dicouch.services import services
from dicouch.write.worklist import Refused, Worklist, checked, read_dataset, state_of

XML = parse_media_type("application/dicom+xml")
OFFERED = [*ROWS, XML]
LARGEST = 8 << 20
P = ParamSpec("P")


def warned(transaction: Callable[P, Response]) -> Callable[P, Response]:
    """Have what is refused told in a ``Warning`` as well (PS3.18 11.6.3.2, 11.7.3.2, 11.8.3.2)."""

    @wraps(transaction)
    def run(*arguments: P.args, **options: P.kwargs) -> Response:
        try:
            return transaction(*arguments, **options)
        except Refused as problem:
            response = problems.answer(problem)
            answers.warn(response, problem.reason)
            return response

    return run


@warned
def create() -> Response:
    """Create a workitem (PS3.18 11.4); its UID is in the query, or in the data set, or made here."""
    dataset = received()
    named = dataset.get(workitems.SOP_UID, {}).get("Value") or [""]
    uid = given("workitem", "affectedsopinstanceuid") or str(named[0]).strip(" \0") or generate_uid()
    current.check_uid("workitem", uid)
    if uid in workitems.KINDS:
        raise DicomWebError(400, f"{uid} is no workitem but a subscription to the worklist")
    answer = told(worklist().create(uid, dataset), 201)
    answer.headers["Location"] = answer.headers["Content-Location"] = location(uid)
    return answer


def retrieve(workitem: str) -> Response:
    """Retrieve a workitem (PS3.18 11.5)."""
    chosen = current.negotiated(OFFERED)
    dataset = reading.retrieve(services().couch, workitem, current.authorization())
    if chosen is XML_PARTS:
        text = dataset_to_xml(dataset)
        part = ({"Content-Type": XML.essence}, len(text), lambda: (text,))
        answer = answers.multipart_answer(XML.essence, [part])
    elif chosen is XML:
        answer = Response(dataset_to_xml(dataset), content_type=XML.essence)
    else:
        answer = answers.json_answer(dataset, media_type=str(chosen))
    answer.headers["Content-Location"] = location(workitem)
    # It may change at any time, and who works by it has to know (PS3.18 11.5.1: no-cache).
    return answers.not_stored(answer)


@warned
def update(workitem: str) -> Response:
    """Change attributes of a workitem (PS3.18 11.6)."""
    dataset = received()
    transaction = given("transaction-uid", "transactionuid", "transaction") or state_of(dataset)[1]
    answer = told(worklist().update(workitem, dataset, transaction))
    answer.headers["Content-Location"] = location(workitem)
    return answer


@warned
def change_state(workitem: str, requester: str = "") -> Response:
    """Claim, complete or cancel a workitem (PS3.18 11.7)."""
    state, transaction = state_of(received())
    answer = told(worklist().change_state(workitem, state, transaction))
    answer.headers["Content-Location"] = location(workitem)
    return answer


@warned
def request_cancellation(workitem: str, requester: str = "") -> Response:
    """Ask that a workitem be canceled (PS3.18 11.8)."""
    title = requester or request.args.get("requester", "") or "UNKNOWN"
    dataset = received(empty=True)
    return told(worklist().request_cancellation(workitem, dataset, workitems.title_of(title)), 202)


@warned
def subscribe(workitem: str, aetitle: str) -> Response:
    """Subscribe to a workitem or to the worklist (PS3.18 11.10)."""
    title = workitems.title_of(aetitle)
    lock = request.args.get("deletionlock", "false").lower()
    if lock not in ("true", "false"):
        raise DicomWebError(400, f"deletionlock is true or false, not {lock[:40]!r}")
    worklist().subscribe(workitem, title, lock == "true", _filter() if workitem == workitems.FILTERED else None)
    answer = told([], 201)
    answer.headers["Content-Location"] = f"ws{current.base_url().removeprefix('http')}/subscribers/{quote(title)}"
    return answer


@warned
def unsubscribe(workitem: str, aetitle: str) -> Response:
    """End a subscription (PS3.18 11.11)."""
    worklist().unsubscribe(workitem, workitems.title_of(aetitle))
    return told([])


@warned
def suspend(workitem: str, aetitle: str) -> Response:
    """Subscribe no further to new workitems (PS3.18 11.12)."""
    if workitem not in workitems.KINDS:
        raise DicomWebError(400, "only a subscription to the worklist can be suspended")
    worklist().suspend(workitem, workitems.title_of(aetitle))
    return told([])


def worklist() -> Worklist:
    """Return what changes the worklist for this request."""
    answers.refuse_conditions()
    ours = services()
    return Worklist(ours.couch, current.authorization(), ours.channels.server)


def told(warnings: list[str], status: int = 200) -> Response:
    """Return an answer without a body that has the warnings of a transaction."""
    answer = Response(status=status)
    answer.headers.pop("Content-Type")  # of nothing
    for text in warnings:
        answers.warn(answer, text)
    return answer


def location(uid: str) -> str:
    """Return the URL of a workitem."""
    return f"{current.base_url()}/workitems/{uid}"


def given(*names: str) -> str:
    """Return a UID of the query: a parameter with one of these names, or, as one archive has it, a bare UID."""
    for name, value in request.args.items():
        if name.lower() in names:
            return value
    bare = [name for name, value in request.args.items() if not value and re.fullmatch(r"[0-9]+(\.[0-9]+)+", name)]
    return bare[0] if bare else ""


def received(*, empty: bool = False) -> dict[str, Any]:
    """Return the data set of the request's body; DicomWebError 400, 413 and 415."""
    kind = request.mimetype
    body = RequestBody(request.stream, LARGEST, request.content_length)
    text = b""
    coded = decoded(body, request.headers.get("Content-Encoding", ""), LARGEST)
    while piece := coded.read(LARGEST):
        text += piece
    if empty and not text:
        return {}
    if kind == XML.essence:
        try:
            return checked(xml_to_dataset(text))
        except MalformedNativeDicom as problem:
            raise DicomWebError(400, f"the body is no Native DICOM Model: {problem}") from problem
    if kind not in ("application/dicom+json", "application/json"):
        raise DicomWebError(415, "the body must be application/dicom+json, application/json or application/dicom+xml")
    return read_dataset(text)


def _filter() -> Query:
    """Return the matching keys of a filtered subscription; DicomWebError 400 where there are none, or others."""
    pairs = []
    for name, value in request.args.items(multi=True):
        if name.lower() == "filter":
            pairs += [(each.partition("=")[0].strip(), each.partition("=")[2]) for each in value.split(",")]
        elif name.lower() not in ("deletionlock", "accept", "charset"):
            pairs.append((name, value))
    found = query.parse(pairs, 1)
    if found.unknown or not found.keys:
        wrong = query.named(found.unknown) or "there is none"
        raise DicomWebError(400, f"a filtered subscription needs attributes to match: {wrong}")
    return found
