"""Storage commitment, push model (PS3.4 J): what is in the database, with its bytes, is committed to."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from io import BytesIO
from itertools import count
from weakref import WeakKeyDictionary

from pydicom import Dataset
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.association import Association
from pynetdicom.dimse_messages import N_EVENT_REPORT_RSP
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.dsutils import encode
from pynetdicom.events import Event
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from dicouch.couch.response import CouchError
from dicouch.dimse import find
from dicouch.dimse.peers import Peer, Settings
from dicouch.dimse.queue import Queue, Worker
from dicouch.dimse.retrieve import UNIQUE, instances
from dicouch.dimse.send import associate
from dicouch.dimse.status import SUCCESS
from dicouch.errors import DicomWebError
from dicouch.read.retrieve import Retriever
from dicouch.rewrite.values import UID
from dicouch.services import Services
from dicouch.store import ATTACHED

LOG = logging.getLogger(__name__)

KIND = "commitment"
NO_SUCH_INSTANCE, INVALID_VALUE, CONFLICT, NO_SUCH_ACTION = 0x0112, 0x0115, 0x0119, 0x0123
PROCESSING_FAILURE, RESOURCE_LIMITATION = 0x0110, 0x0213
ALL_COMMITTED, SOME_FAILED = 1, 2
AT_A_TIME = 500
# Seconds before the first attempt to report: the answer to the request goes first. And for the answer to a report.
FIRST, ANSWER = 0.5, 30
# A day of them, one an hour in the end; and how many reports are sent at the same time.
ATTEMPTS, AT_ONCE = 36, 8
NUMBERS = count()
# What keeps the report and the answers to requests on one association apart, and one report from the next: a peer has
# one operation at a time to answer (PS3.7 D.3.3.3).
_GUARDS: WeakKeyDictionary[Association, tuple[threading.Lock, threading.Lock]] = WeakKeyDictionary()

Pair = tuple[str, str]


class Committer(Worker):
    """Takes requests, and reports: on an association of its own to a peer that listens, else on one the peer opened.

    A request is a document of type `commitment` until its report was answered.
    """

    def __init__(self, services: Services, settings: Settings, entity: AE) -> None:
        super().__init__(Queue(services.couch, KIND, settings.bind), KIND)
        self._services = services
        self._peers = settings.peers
        self._entity = entity
        # Who has opened an association on which reports can be sent, since the last look, each with a number.
        self._came: deque[tuple[str, int]] = deque()
        # Up to which of these numbers a report had its chance, by its document.
        self._tried: dict[str, int] = {}

    def request(self, event: Event, calling: str) -> tuple[int, None]:
        """Answer an N-ACTION request, and let the report follow."""
        if event.request.RequestedSOPInstanceUID != StorageCommitmentPushModelInstance:
            return NO_SUCH_INSTANCE, None
        if event.action_type != 1:
            return NO_SUCH_ACTION, None
        try:
            asked = event.action_information
            transaction = str(asked.TransactionUID)
            wanted = [
                [str(one.ReferencedSOPClassUID), str(one.ReferencedSOPInstanceUID)]
                for one in asked.ReferencedSOPSequence
            ]
        except (AttributeError, ValueError):
            return INVALID_VALUE, None
        summary = f"{len(wanted)} instances for {calling}"
        content = {"summary": summary, "calling": calling, "transaction": transaction, "instances": wanted}
        try:
            self.queue.add(f"{calling} {transaction}", content)
        except (CouchError, DicomWebError) as problem:
            LOG.warning("storage commitment %s: %s", transaction, problem)
            return (RESOURCE_LIMITATION if problem.status in (413, 503, 507) else PROCESSING_FAILURE), None
        threading.Timer(FIRST, self.wake).start()
        return SUCCESS, None

    def established(self, event: Event) -> None:
        """Take note of an association on which reports can be sent, whichever asked for them (PS3.4 J.3.3)."""
        if _takes_reports(event.assoc):
            self._came.append((caller(event.assoc), next(NUMBERS) + 1))
            self.wake()

    def look(self) -> bool:
        """Report what is due; return whether anything is before long."""
        soon, came = False, dict[str, int]()
        for _one in range(len(self._came)):
            calling, number = self._came.popleft()
            came[calling] = max(number, came.get(calling, 0))
        for document in self.queue.documents():
            soon = soon or self.queue.is_soon(document)
            calling, name = document["calling"], document["_id"]
            if self.stopped.is_set() or self.queue.held >= AT_ONCE:
                self._came.extend(came.items())  # for the reports behind, at the next look
                return soon
            due, number = self.queue.is_due(document), came.get(calling, 0)
            if not due and not (number > self._tried.get(name, 0) and self.queue.is_due(document, early=True)):
                continue
            self._tried[name] = number
            for claimed in self.queue.claim([document]):
                arguments = claimed, self._peers.get(calling), not due
                threading.Thread(target=self._report, args=arguments, name=KIND, daemon=True).start()
        self._tried.clear()
        return soon

    def _report(self, document: dict, peer: Peer | None, early: bool) -> None:
        transaction = document["transaction"]
        try:
            reason = self._send(document, peer)
        except (CouchError, DicomWebError) as problem:
            reason = str(problem)
        except Exception:  # pynetdicom's own, of an association that has just ended
            LOG.exception("storage commitment %s", transaction)
            reason = "an error of this server, whose log says more"
        try:
            if reason:
                LOG.warning("storage commitment %s was not reported: %s", transaction, reason)
                self.queue.failed(document, reason, ATTEMPTS, early=early)
            else:
                self.queue.done(document)
        except (CouchError, DicomWebError) as problem:
            LOG.warning("storage commitment %s: %s", transaction, problem)
        self.wake()

    def _send(self, document: dict, peer: Peer | None) -> str:
        """Report to whoever asked; return what went wrong, empty where nothing did."""
        wanted = [(sop_class, instance) for sop_class, instance in document["instances"]]
        kind, told = report(self._services, document["transaction"], wanted, self._entity.ae_title)
        listens = peer is not None and peer.port
        if listens and peer is not None:
            roles = [build_role(StorageCommitmentPushModel, scp_role=True)]
            association = associate(self._entity, peer, [build_context(StorageCommitmentPushModel)], roles)
            if not association.is_established:
                return f"{peer.ae_title} accepts no association"
        else:
            opened = [one for one in self._entity.active_associations if _takes_reports(one)]
            opened = [one for one in opened if caller(one) == document["calling"]]
            if not opened:
                return "it has neither host and port in the peers file nor an association open"
            association = opened[-1]
        try:
            answered = tell(association, kind, told)
        finally:
            if listens:
                association.release()
        return "" if answered == SUCCESS else "no answer" if answered is None else f"answered {answered:04X}H"


def _takes_reports(association: Association) -> bool:
    contexts = association.accepted_contexts
    asked = any(one.abstract_syntax == StorageCommitmentPushModel for one in contexts)
    return association.is_acceptor and association.is_established and asked


def caller(association: Association) -> str:
    """Return the AE title of who asked for an association."""
    requestor = association.requestor
    title = requestor.primitive.calling_ae_title if requestor.primitive else requestor.ae_title
    return str(title).strip()


def guard(association: Association) -> None:
    """Let a report on an association that a peer opened wait for the request that is being answered on it.

    A request that takes long is no silence of the peer's, either: pynetdicom's timer starts anew with what comes only.
    """
    lock, _turn = _GUARDS[association] = threading.Lock(), threading.Lock()
    serve = association._serve_request

    def guarded(message: object, context: int) -> None:
        with lock:
            serve(message, context)
        association.dul._idle_timer.restart()

    association._serve_request = guarded


def tell(association: Association, kind: int, told: Dataset) -> int | None:
    """Send an N-EVENT-REPORT request and return the status of the answer, None where there is none.

    The association's own thread goes on reading: a request that comes before the answer is served, too. Another report
    on the same association waits for the answer.
    """
    unguarded: tuple[AbstractContextManager, AbstractContextManager] = nullcontext(), nullcontext()
    lock, turn = _GUARDS.get(association, unguarded)
    with turn:
        return _tell(association, lock, kind, told) if association.is_established else None


def _tell(association: Association, lock: AbstractContextManager, kind: int, told: Dataset) -> int | None:
    over, statuses = threading.Event(), list[int]()

    def hear(event: Event) -> None:
        answer = event.message.command_set
        ours = isinstance(event.message, N_EVENT_REPORT_RSP) and answer.MessageIDBeingRespondedTo == request.MessageID
        if ours:  # and no late one to a report before
            statuses.append(int(answer.Status))
            over.set()

    contexts = association.accepted_contexts
    context = next(one for one in contexts if one.abstract_syntax == StorageCommitmentPushModel)
    syntax = context.transfer_syntax[0]
    request = N_EVENT_REPORT()
    request.MessageID = next(NUMBERS) % 65535 + 1
    request.AffectedSOPClassUID = StorageCommitmentPushModel
    request.AffectedSOPInstanceUID = StorageCommitmentPushModelInstance
    request.EventTypeID = kind
    encoded = encode(told, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)
    request.EventInformation = BytesIO(encoded or b"")
    ends = (evt.EVT_RELEASED, evt.EVT_ABORTED, evt.EVT_CONN_CLOSE)
    handlers = [(evt.EVT_DIMSE_RECV, hear), *((end, lambda _event: over.set()) for end in ends)]
    for handler in handlers:
        association.bind(*handler)
    try:
        with lock:
            association.dimse.send_msg(request, context.context_id)
        over.wait(ANSWER)
    finally:
        for handler in handlers:
            association.unbind(*handler)
    return statuses[0] if statuses else None


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
    # What is no UID matches nothing here; in a search it would be refused, or match all that there is.
    uids = [instance for _class, instance in wanted if UID.fullmatch(instance)]
    rows = find.rows(services, "instance", [(UNIQUE["instance"], "\\".join(uids))]) if uids else ()
    found: dict[str, list[tuple[str, bool]]] = {}
    for sub in instances(reader, rows):
        found.setdefault(sub.instance, []).append((sub.sop_class, _is_there(services, sub.stored.file)))
    for sop_class, instance in wanted:
        stored = found.get(instance, [])
        same = [there for kept, there in stored if kept == sop_class]
        reason = 0 if any(same) else PROCESSING_FAILURE if same else CONFLICT if stored else NO_SUCH_INSTANCE
        yield (sop_class, instance), reason


def _is_there(services: Services, file: dict) -> bool:
    """Return whether the bytes of an instance are there, all of them."""
    if file["store"] == ATTACHED:
        return True
    try:
        path = services.store.locate(file)
        return path is not None and path.is_file() and path.stat().st_size == file["size"]
    except (DicomWebError, OSError) as problem:  # a linked file that is another now, or cannot be read
        LOG.warning("the bytes %s: %s", file["store"], problem)
        return False
