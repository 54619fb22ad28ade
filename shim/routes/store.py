"""STOW-RS: store instances (PS3.18 10.5)."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Response, request

from dicouch.config import Config
from dicouch.dicom.media.dicom_xml import dataset_to_xml
from dicouch.dicom.media.multipart import ReceivedPart
from dicouch.dicom.media.negotiate import parse_media_type
from dicouch.errors import DicomWebError
from dicouch.routes import answers, current
from dicouch.server import timing
from dicouch.server.request_body import RequestBody, decoded
from dicouch.services import services
from dicouch.write import body
from dicouch.write.answer import location_of, response_dataset, status_of, warnings
from dicouch.write.ingest import Ingest
from dicouch.write.outcome import Outcome
from dicouch.write.upload import Upload, check_space, receive

JSON = parse_media_type("application/dicom+json")
PLAIN_JSON = parse_media_type("application/json")
XML = parse_media_type("application/dicom+xml")
OFFERED = [JSON, PLAIN_JSON, XML]


def store(study: str | None = None) -> Response:
    """Store the instances of the request, of one study or of any (PS3.18 10.5.1), and say what became of each."""
    chosen = current.negotiated(OFFERED)
    coding = request.headers.get("Content-Encoding", "")
    parts = request_parts(services().config)
    # How long a body is that comes in another coding nobody says.
    outcomes, complaint = receive(parts, new_upload(study, None if coding else request.content_length))
    if not outcomes:
        raise DicomWebError(400, f"the request holds no instance: {complaint or 'it has no part'}")
    dataset = response_dataset(outcomes, study, current.base_url())
    status = status_of(outcomes, complaint)
    if chosen is XML:
        response = Response(dataset_to_xml(dataset), status, content_type="application/dicom+xml")
    else:
        response = answers.json_answer(dataset, status, str(chosen))
    tell_what_to_do(response)
    if location := location_of(outcomes, current.base_url()):
        response.headers["Content-Location"] = location
    for text in warnings(outcomes, complaint):
        answers.warn(response, text)
    return response


def tell_what_to_do(response: Response) -> None:
    """Say in the answer to a store request when to ask again, or how to log in."""
    if response.status_code == 503:
        response.headers["Retry-After"] = "10"
    if response.status_code == 401:
        response.headers["WWW-Authenticate"] = 'Basic realm="dicouch"'


def new_upload(study: str | None, length: int | None) -> Upload:
    """Return what stores the instances of this request, whose body has `length` bytes, of one study or of any."""
    ours = services()
    replace = ours.config.duplicates == "overwrite"
    authorization = current.authorization()
    ingest = Ingest(ours.couch, ours.store, ours.memory, study, replace, authorization, ours.bulk)
    return Upload(ingest, ours.pace, length)


def request_parts(config: Config) -> Iterator[ReceivedPart | Outcome]:
    """Return the instances of the request's body, each to be read when its turn comes.

    Raises
    ------
    DicomWebError
        413 and 415 for a request that cannot be stored, 503 while there is no room for it.
    """
    kind = request.headers.get("Content-Type", "")
    body.content_type(kind)
    return body.instances(
        whole_body(config),
        kind,
        max_size=config.max_instance_size,
        max_parts=config.max_instances,
        folder=config.spool_dir,
        base=request.base_url,
    )


def whole_body(config: Config) -> RequestBody:
    """Return the request's body, to be read once; DicomWebError 413 and 503 as for `request_parts`."""
    length = request.content_length
    if (length or 0) > config.max_request_size:
        raise DicomWebError(413, f"the request is longer than the {config.max_request_size} bytes this server takes")
    check_space(config.spool_dir, config.min_free_space, length or 0)
    sent = timing.receiving(RequestBody(request.stream, config.max_request_size, length))
    return decoded(sent, request.headers.get("Content-Encoding", ""), config.max_request_size)
