"""Storage commitment, push model (PS3.4 J): what is in the database, with its bytes, is committed to."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator

from pydicom import Dataset
from pynetdicom import AE, build_context, build_role
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from dicouch.couch.response import CouchError
from dicouch.dimse import find
from dicouch.dimse.peers import Peer
from dicouch.dimse.retrieve import UNIQUE, instances
from dicouch.dimse.send import associate
from dicouch.dimse.status import SUCCESS
from dicouch.errors import DicomWebError
from dicouch.read.retrieve import Retriever
from dicouch.services import Services
from dicouch.store import ATTACHED

LOG = logging.getLogger(__name__)

NO_SUCH_INSTANCE, INVALID_VALUE, CONFLICT, NO_SUCH_ACTION = 0x0112, 0x0115, 0x0119, 0x0123
PROCESSING_FAILURE = 0x0110
ALL_COMMITTED, SOME_FAILED = 1, 2
AT_A_TIME = 500
# Seconds before each attempt to report: the answer to the request goes first.
ATTEMPTS = (0.5, 5, 30, 120)

Pair = tuple[str, str]


def request(services: Services, event: Event, entity: AE, peer: Peer | None) -> tuple[int, None]:
    """Answer an N-ACTION request, and let the report follow: on an association of its own to a peer that listens."""
    if event.request.RequestedSOPInstanceUID != StorageCommitmentPushModelInstance:
        return NO_SUCH_INSTANCE, None
    if event.action_type != 1:
        return NO_SUCH_ACTION, None
    try:
        asked = event.action_information
        transaction = str(asked.TransactionUID)
        wanted = [
            (str(one.ReferencedSOPClassUID), str(one.ReferencedSOPInstanceUID)) for one in asked.ReferencedSOPSequence
        ]
    except (AttributeError, ValueError):
        return INVALID_VALUE, None
    arguments = services, transaction, wanted, entity, peer, event.assoc
    threading.Thread(target=_report, args=arguments, name="commitment", daemon=True).start()
    return SUCCESS, None


def _report(
    services: Services, transaction: str, wanted: list[Pair], entity: AE, peer: Peer | None, same: Association
) -> None:
    """Send the N-EVENT-REPORT, again when the peer cannot be reached."""
    for pause in ATTEMPTS:
        time.sleep(pause)
        try:
            kind, told = report(services, transaction, wanted, entity.ae_title)
            if _send(kind, told, entity, peer, same):
                return
        except (CouchError, DicomWebError) as problem:
            LOG.warning("storage commitment %s: %s", transaction, problem)
        except Exception:  # pynetdicom's own, of an association that has just ended
            LOG.exception("storage commitment %s", transaction)
    LOG.error("storage commitment %s could not be reported", transaction)


def _send(kind: int, told: Dataset, entity: AE, peer: Peer | None, same: Association) -> bool:
    listens = peer is not None and peer.port
    association = same
    if listens and peer is not None:
        roles = [build_role(StorageCommitmentPushModel, scp_role=True)]
        association = associate(entity, peer, [build_context(StorageCommitmentPushModel)], roles)
    if not association.is_established:
        return False
    try:
        status, _reply = association.send_n_event_report(
            told, kind, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        return status.get("Status") == SUCCESS
    finally:
        if listens:
            association.release()


def report(services: Services, transaction: str, wanted: list[Pair], title: str) -> tuple[int, Dataset]:
    """Return the event type and information (PS3.4 Table J.3-2): what is committed to, and what is not and why."""
    made = Dataset()
    made.TransactionUID, made.RetrieveAETitle = transaction, title
    reasons = dict(judged(services, wanted))
    made.ReferencedSOPSequence = [_reference(pair) for pair in wanted if not reasons[pair]]
    failed = [_reference(pair, reasons[pair]) for pair in wanted if reasons[pair]]
    if failed:
        made.FailedSOPSequence = failed
    return (SOME_FAILED if failed else ALL_COMMITTED), made


def _reference(pair: Pair, reason: int = 0) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = pair
    if reason:
        item.FailureReason = reason
    return item


def judged(services: Services, wanted: list[Pair]) -> Iterator[tuple[Pair, int]]:
    """Yield each instance with the reason (PS3.4 J.3.3.2, PS3.3 C.14.1.1) why it is not committed to; 0: it is."""
    for some in (wanted[at : at + AT_A_TIME] for at in range(0, len(wanted), AT_A_TIME)):
        yield from _judged(services, some)


def _judged(services: Services, wanted: list[Pair]) -> Iterable[tuple[Pair, int]]:
    reader = Retriever(services.couch, services.store)
    rows = find.rows(services, "instance", [(UNIQUE["instance"], "\\".join(instance for _class, instance in wanted))])
    found: dict[str, list[tuple[str, bool]]] = {}
    for sub in instances(reader, rows):
        file = sub.stored.file
        path = None if file["store"] == ATTACHED else services.store.locate(file)
        there = file["store"] == ATTACHED or path is not None and path.is_file() and path.stat().st_size == file["size"]
        found.setdefault(sub.instance, []).append((sub.sop_class, there))
    for sop_class, instance in wanted:
        stored = found.get(instance, [])
        same = [there for kept, there in stored if kept == sop_class]
        reason = 0 if any(same) else PROCESSING_FAILURE if same else CONFLICT if stored else NO_SUCH_INSTANCE
        yield (sop_class, instance), reason
