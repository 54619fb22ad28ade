"""STOW-RS: store instances (PS3.18 10.5)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from flask import Blueprint, Response, request

from shim.dicom_xml import dataset_to_xml
from shim.errors import DicomWebError
from shim.ingest import Ingest, Outcome
from shim.multipart import MalformedMultipart, Part, iter_parts
from shim.negotiate import MalformedMediaType, choose, parse_media_type
from shim.routes import common

blueprint = Blueprint("stow", __name__)

JSON = parse_media_type("application/dicom+json")
PLAIN_JSON = parse_media_type("application/json")
XML = parse_media_type("application/dicom+xml")
OFFERED = [JSON, PLAIN_JSON, XML]

# Instances of one request on their way to CouchDB at a time.
IN_FLIGHT = 4
POOL = ThreadPoolExecutor(16, thread_name_prefix="store")


@blueprint.post("/studies")
def store_studies():
    """Store instances of any study (PS3.18 10.5.1)."""
    return store(None)


@blueprint.post("/studies/<study>")
def store_study(study):
    """Store instances of one study."""
    common.check_uids(study=study)
    return store(study)


def store(study: str | None) -> Response:
    """Store every part of the request that can be, and say what became of each."""
    chosen = choose(common.accepted(), OFFERED)
    if chosen is None:
        raise common.not_acceptable([str(offer) for offer in OFFERED])
    ingest = Ingest(common.couch(), common.store(), study, common.authorization())
    outcomes: list[Outcome] = []
    running: deque[Future] = deque()
    complaint = ""
    try:
        for part in parts():
            running.append(POOL.submit(store_part, ingest, part))
            if len(running) >= IN_FLIGHT:
                outcomes.append(running.popleft().result())
    except MalformedMultipart as problem:
        complaint = str(problem)
    outcomes += [future.result() for future in running]
    if not outcomes:
        raise DicomWebError(400, f"the request holds no instance: {complaint or 'it has no part'}")
    dataset = response_dataset(outcomes, study, common.base_url())
    response = Response(status=status_of(outcomes, complaint))
    if chosen is XML:
        response.data = dataset_to_xml(dataset)
        response.content_type = "application/dicom+xml"
    else:
        response = common.json_answer(dataset, response.status_code, str(chosen))
    for text in warnings(outcomes, complaint):
        response.headers.add("Warning", f'299 {request.host} "{text}"')
    return response


def parts() -> Iterator[Part]:
    """Yield the instances of the request body.

    Raises
    ------
    DicomWebError
        415 for a body that is not DICOM, 400 for a body that is none.
    """
    text = request.headers.get("Content-Type", "")
    try:
        media = parse_media_type(text)
    except MalformedMediaType as problem:
        raise DicomWebError(415, f"Content-Type: {problem}") from problem
    if media.essence != "multipart/related":
        raise DicomWebError(415, f"a request to store has the media type multipart/related, not {text[:80]!r}")
    inner = media.params.get("type", "application/dicom").lower()
    if inner != "application/dicom":
        raise DicomWebError(415, f"parts of type {inner[:80]!r} cannot be stored; application/dicom can")
    try:
        yield from iter_parts(request.stream, text, directory=common.config().spool_dir)
    except MalformedMultipart:
        raise


def store_part(ingest: Ingest, part: Part) -> Outcome:
    """Store one part and drop its spooled bytes."""
    with part:
        return ingest.store(part.file, part.size, part.sha256)


def status_of(outcomes: list[Outcome], complaint: str) -> int:
    """Return the status of the answer (PS3.18 Table 10.5.3-1)."""
    failed = sum(1 for outcome in outcomes if outcome.failure)
    if failed == len(outcomes):
        return 409
    return 202 if failed or complaint or any(outcome.warning for outcome in outcomes) else 200


def response_dataset(outcomes: list[Outcome], study: str | None, base: str) -> dict:
    """Return the Store Instances Response Module (PS3.18 Annex I) in the DICOM JSON Model."""
    stored = [outcome for outcome in outcomes if not outcome.failure]
    failed = [outcome for outcome in outcomes if outcome.failure and outcome.instance]
    unread = [outcome for outcome in outcomes if outcome.failure and not outcome.instance]
    dataset = {}
    studies = {outcome.study for outcome in stored} | ({study} if study and stored else set())
    if len(studies) == 1:
        dataset["00081190"] = {"vr": "UR", "Value": [f"{base}/studies/{studies.pop()}"]}
    if failed:
        dataset["00081198"] = {"vr": "SQ", "Value": [_item(outcome) for outcome in failed]}
    if stored:
        dataset["00081199"] = {"vr": "SQ", "Value": [_item(outcome, base) for outcome in stored]}
    if unread:
        dataset["0008119A"] = {"vr": "SQ", "Value": [_item(outcome) for outcome in unread]}
    return dataset


def _item(outcome: Outcome, base: str = "") -> dict:
    item = {}
    if outcome.comment:
        item["00000902"] = {"vr": "LO", "Value": [outcome.comment[:64]]}
    if outcome.instance:
        if outcome.sop_class:
            item["00081150"] = {"vr": "UI", "Value": [outcome.sop_class]}
        item["00081155"] = {"vr": "UI", "Value": [outcome.instance]}
    if outcome.failure:
        item["00081197"] = {"vr": "US", "Value": [outcome.failure]}
        return item
    url = f"{base}/studies/{outcome.study}/series/{outcome.series}/instances/{outcome.instance}"
    item["00081190"] = {"vr": "UR", "Value": [url]}
    if outcome.warning:
        item["00081196"] = {"vr": "US", "Value": [outcome.warning]}
    return item


def warnings(outcomes: list[Outcome], complaint: str) -> list[str]:
    """Return the texts of the answer's ``Warning`` headers."""
    texts = []
    if complaint:
        texts.append(f"The request ended early: {complaint}".replace('"', "'"))
    differing = sorted({tag for outcome in outcomes for tag in outcome.variants})
    if differing:
        texts.append("Values differ within a study or series: " + ", ".join(differing))
    return texts
