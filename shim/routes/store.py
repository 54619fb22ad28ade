"""STOW-RS: store instances (PS3.18 10.5)."""

from __future__ import annotations

import errno
import logging
import shutil
import tempfile
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from flask import Response, request

from dicouch.dicom.media.dicom_xml import dataset_to_xml
from dicouch.dicom.media.multipart import MalformedMultipart, ReceivedPart, TooManyParts
from dicouch.dicom.media.negotiate import parse_media_type
from dicouch.errors import DicomWebError
from dicouch.routes import accept, answers, current
from dicouch.server.broken_body import BROKEN_BODY
from dicouch.services import services
from dicouch.write import body as stow_body
from dicouch.write.answer import location_of, response_dataset, status_of, warnings
from dicouch.write.ingest import SMALL, Ingest, Received
from dicouch.write.outcome import OUT_OF_RESOURCES, PROCESSING_FAILURE, Outcome
from dicouch.write.pace import Pace

LOG = logging.getLogger(__name__)

JSON = parse_media_type("application/dicom+json")
PLAIN_JSON = parse_media_type("application/json")
XML = parse_media_type("application/dicom+xml")
OFFERED = [JSON, PLAIN_JSON, XML]

# Writes of one request on their way to CouchDB at a time, and small instances that go in one write.
IN_FLIGHT = 4
BATCH = 32
# A body with no more than this around an instance mostly holds no other.
ALONE = 1024
POOL = ThreadPoolExecutor(16, thread_name_prefix="store")


class Upload:
    """The instances of one request on their way into the database, in order of their answers.

    Parameters
    ----------
    ingest : Ingest
    pace : Pace
        Of the index.
    length : int or None
        Bytes of the request's body, where it says so.
    """

    def __init__(self, ingest: Ingest, pace: Pace, length: int | None = None):
        self.ingest = ingest
        self._pace = pace
        self._length = length
        self.outcomes: list[Outcome] = []
        self._running: deque[Future] = deque()
        self._small: list[ReceivedPart] = []

    def add(self, part: ReceivedPart | Outcome) -> None:
        """Take a part, or what became of one; waits while enough others are under way."""
        if isinstance(part, Outcome):
            self._submit(lambda: [part])
        elif part.too_large:
            part.close()
            comment = f"the instance of {part.size} bytes is larger than this server takes"
            self._submit(lambda: [Outcome(failure=OUT_OF_RESOURCES, comment=comment, too_large=True)])
        elif self._length is not None and self._length - part.size < ALONE:
            self.outcomes += self._store([part], alone=True)  # handing it to another thread would only cost time
        elif part.size < SMALL:
            self._small.append(part)
            if len(self._small) >= BATCH:
                self._flush()
        else:
            self._submit(self._store, [part])

    def finish(self) -> list[Outcome]:
        """Wait for all; return what became of each instance."""
        self._flush()
        while self._running:
            self.outcomes += self._running.popleft().result()
        return self.outcomes

    def _flush(self) -> None:
        if self._small:
            parts, self._small = self._small, []
            self._submit(self._store, parts)

    def _submit(self, job, *arguments) -> None:
        while len(self._running) >= IN_FLIGHT:
            self.outcomes += self._running.popleft().result()
        self._running.append(POOL.submit(job, *arguments))

    def _store(self, parts: list[ReceivedPart], alone: bool = False) -> list[Outcome]:
        received: list[Received] = []
        try:
            received = [self.ingest.read(part.file, part.size, part.sha256, part.number) for part in parts]
            if len(parts) > 1 or (alone and not self.ingest.takes_part(received[0])):
                self.ingest.search(received, POOL)
            outcomes = self.ingest.store_batch(received, alone)
            self._pace.stored(len(outcomes), self.ingest.authorization)
            return outcomes
        except Exception:  # an error of ours: it must not take the other instances of the request with it
            LOG.exception("storing %d instances", len(parts))
            comment = "not stored: an error of the server; its log says more"
            known = [each.outcome for each in received] or [Outcome() for _part in parts]
            return [
                outcome if outcome.failure else replace(outcome, failure=PROCESSING_FAILURE, comment=comment)
                for outcome in known
            ]
        finally:
            for part in parts:
                part.close()


def store(study: str | None = None) -> Response:
    """Store the instances of the request, of one study or of any (PS3.18 10.5.1), and say what became of each."""
    chosen = accept.negotiated(OFFERED)
    outcomes, complaint = receive(study)
    if not outcomes:
        raise DicomWebError(400, f"the request holds no instance: {complaint or 'it has no part'}")
    dataset = response_dataset(outcomes, study, current.base_url())
    status = status_of(outcomes, complaint)
    if chosen is XML:
        response = Response(dataset_to_xml(dataset), status, content_type="application/dicom+xml")
    else:
        response = answers.json_answer(dataset, status, str(chosen))
    if status == 503:
        response.headers["Retry-After"] = "10"
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Basic realm="dicouch"'
    if location := location_of(outcomes, current.base_url()):
        response.headers["Content-Location"] = location
    for text in warnings(outcomes, complaint):
        answers.warn(response, text)
    return response


def receive(study: str | None) -> tuple[list[Outcome], str]:
    """Read and store the instances of the request body.

    Returns
    -------
    outcomes : list of Outcome
        In the order of the parts.
    complaint : str
        What broke the body off; empty if it was whole.
    """
    settings = services().config
    if (request.content_length or 0) > settings.max_request_size:
        raise DicomWebError(413, f"the request is longer than the {settings.max_request_size} bytes this server takes")
    stow_body.content_type(request.headers.get("Content-Type", ""))
    check_space(settings)
    ours = services()
    overwrite = settings.duplicates == "overwrite"
    ingest = Ingest(ours.couch, ours.store, ours.merged, study, overwrite, current.authorization(), ours.shared)
    upload = Upload(ingest, ours.pace, request.content_length)
    complaint = ""
    limited = False  # instances that the site's limits cut off are failures, which a client looks for in the answer
    try:
        for part in stow_body.instances(
            stow_body.Limited(request.stream, settings.max_request_size, request.content_length),
            request.headers.get("Content-Type", ""),
            max_size=settings.max_instance_size,
            max_parts=settings.max_instances,
            folder=settings.spool_dir,
            base=request.base_url,
        ):
            upload.add(part)
    except MalformedMultipart as problem:
        complaint = problem.reason
        limited = isinstance(problem, TooManyParts)
    except DicomWebError as problem:
        if not upload.finish():
            raise
        complaint = problem.reason
        limited = problem.status == 413
    except (*BROKEN_BODY, ConnectionError):
        complaint = "the request's body breaks off"
        if not upload.finish():
            raise
    except BlockingIOError as problem:  # the bound of shim/server/worker.py
        complaint = "the request's body did not go on"
        if not upload.finish():
            raise DicomWebError(408, complaint, {"Connection": "close"}) from problem
    except OSError as problem:
        if problem.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        complaint = "the disk of this server is full"
        if not upload.finish():
            raise DicomWebError(503, complaint, {"Retry-After": "600"}) from problem
    outcomes = upload.finish()
    if limited:
        comment = f"further instances were not read: {complaint}"
        outcomes.append(Outcome(failure=OUT_OF_RESOURCES, comment=comment, too_large=True))
    ingest.settle(outcomes, POOL)
    return outcomes, complaint


def check_space(settings) -> None:
    """Refuse a request while the disk for spooled parts is nearly full; DicomWebError 503."""
    free = shutil.disk_usage(settings.spool_dir or tempfile.gettempdir()).free
    if free < settings.min_free_space + (request.content_length or 0):
        raise DicomWebError(503, f"only {free} bytes are free on the disk of this server", {"Retry-After": "600"})
