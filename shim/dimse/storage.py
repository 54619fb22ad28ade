"""C-STORE (PS3.4 B): what arrives goes the way of a STOW request, and succeeds when the database has it."""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from struct import unpack
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, cast

from pydicom import Dataset
from pynetdicom.events import Event

from dicouch.couch.response import CouchError
from dicouch.dicom.errors import CANNOT_UNDERSTAND
from dicouch.dicom.media.multipart import CHUNK
from dicouch.dicom.part10.encode import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    Encoding,
    encode_element,
    file_header,
)
from dicouch.dimse.status import DOES_NOT_MATCH, status
from dicouch.errors import DicomWebError
from dicouch.services import Services
from dicouch.write.body import SPOOL_LIMIT
from dicouch.write.ingest import Ingest
from dicouch.write.outcome import OUT_OF_RESOURCES, PROCESSING_FAILURE, Outcome
from dicouch.write.received import Received
from dicouch.write.upload import POOL

LOG = logging.getLogger(__name__)


Arrived = Callable[[Received, str], None]
"""Is told what arrived, and from whom, once it is stored."""


def header(sop_class: str, instance: str, syntax: str, calling: str) -> bytes:
    """Return what precedes a received data set in its file (PS3.10 7.1)."""
    told = {
        0x00020012: {"vr": "UI", "Value": [IMPLEMENTATION_CLASS_UID]},
        0x00020013: {"vr": "SH", "Value": [IMPLEMENTATION_VERSION_NAME]},
        0x00020016: {"vr": "AE", "Value": [calling]},  # Source Application Entity Title
    }
    others = {tag: encode_element(tag, attribute, Encoding()) for tag, attribute in told.items()}
    return file_header(sop_class, instance, syntax, others)


def store(services: Services, event: Event, calling: str, arrived: Arrived) -> Dataset:
    """Store the instance of a C-STORE request, and return its response's status (PS3.4 Table B.2-1)."""
    config, request = services.config, event.request
    path = Path(request._dataset_path) if request._dataset_path else None
    outcome = Outcome(instance=str(request.AffectedSOPInstanceUID), sop_class=str(request.AffectedSOPClassUID))
    if path is None:
        return status(CANNOT_UNDERSTAND, "the request has no data set")
    request._dataset_file.flush()
    size = path.stat().st_size
    if size > config.max_instance_size:
        return status(OUT_OF_RESOURCES, f"larger than the {config.max_instance_size} bytes this server takes")
    if shutil.disk_usage(path.parent).free < config.min_free_space:
        return status(OUT_OF_RESOURCES, "the disk of this server is full")
    try:
        first = header(outcome.sop_class, outcome.instance, str(event.context.transfer_syntax), calling)
        outcome = _ingest(services, path, first, outcome, lambda received: arrived(received, calling))
    except OSError as problem:
        outcome.failure, outcome.comment = OUT_OF_RESOURCES, f"not stored: {problem.strerror}"
    except Exception:  # an error of ours must not look like success, nor end the association
        LOG.exception("storing %s", outcome.instance)
        outcome.failure, outcome.comment = PROCESSING_FAILURE, "not stored: an error of the server; its log says more"
    return status(outcome.failure or outcome.warning, outcome.comment)


def _ingest(
    services: Services, path: Path, first: bytes, wanted: Outcome, stored: Callable[[Received], None]
) -> Outcome:
    config = services.config
    overwrite = config.duplicates == "overwrite"
    ingest = Ingest(services.couch, services.store, services.memory, None, overwrite, None, services.bulk)
    file = SpooledTemporaryFile(max_size=SPOOL_LIMIT, dir=tempfile.gettempdir())
    with closing(file):
        size, digest = _copy(path, first, cast(BinaryIO, file))
        received = ingest.read(cast(BinaryIO, file), size, digest, 1)
        received.made = len(first)
        outcome = received.outcome
        if not outcome.failure and (outcome.sop_class, outcome.instance) != (wanted.sop_class, wanted.instance):
            outcome.failure, outcome.comment = DOES_NOT_MATCH, "SOP Class or Instance UID is not that of the request"
        if outcome.failure:
            return outcome
        if not ingest.is_small(size):
            ingest.search([received], POOL)
        ingest.store_batch([received], alone=True)
        if not outcome.failure:
            services.pace.stored(1, None)
            ingest.settle([outcome], POOL)
            services.indexed.wait_for_others()
            try:
                stored(received)
            except (CouchError, DicomWebError) as problem:  # sent once more, it is queued then
                outcome.failure, outcome.comment = PROCESSING_FAILURE, f"not queued to be forwarded: {problem}"
    return outcome


def _copy(path: Path, first: bytes, target: BinaryIO) -> tuple[int, str]:
    """Write a file of `first` and of the data set behind the header at `path`; return its size and digest."""
    digest = hashlib.sha256(first)
    size = target.write(first)
    with path.open("rb") as source:
        # Behind File Meta Information Group Length, whose value ends at 144 (PS3.10 7.1).
        source.seek(144 + unpack("<I", source.read(144)[-4:])[0])
        while piece := source.read(CHUNK):
            digest.update(piece)
            size += target.write(piece)
    target.seek(0)
    return size, digest.hexdigest()
