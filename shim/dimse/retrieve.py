"""C-GET and C-MOVE (PS3.4 C.4.2, C.4.3): the same instances as WADO-RS gives, as C-STORE sub-operations."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO

from pydicom import Dataset
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_MOVE
from pynetdicom.dsutils import encode
from pynetdicom.events import Event

from dicouch.couch.response import CouchError
from dicouch.dimse import find
from dicouch.dimse.peers import Peer
from dicouch.dimse.send import Sub, associate, contexts_for, explained, send
from dicouch.dimse.status import (
    ALL_FAILED,
    CANCELLED,
    DOES_NOT_MATCH,
    NOT_COUNTED,
    PENDING,
    SOME_FAILED,
    SUCCESS,
    UNABLE,
    UNKNOWN_DESTINATION,
    status_of,
)
from dicouch.errors import DicomWebError, shortened
from dicouch.read.retrieve import Retriever
from dicouch.rewrite.values import known_vr, split_values
from dicouch.services import Services

LOG = logging.getLogger(__name__)

UNIQUE = {"patient": "00100020", "study": "0020000D", "series": "0020000E", "instance": "00080018"}
SOP_CLASS = "00080016"
# Number of Remaining Sub-operations is a US.
MOST = 65535


@dataclass
class Answers:
    """The responses to one request, and what became of its sub-operations so far."""

    event: Event
    remaining: int = 0
    completed: int = 0
    warned: int = 0
    failed: list[str] = field(default_factory=list)

    def send(self, code: int, comment: str = "") -> None:
        """Send a response; of a final one, the identifier names what failed (PS3.4 C.4.2.1.4.2)."""
        request = self.event.request
        response = type(request)()
        response.MessageIDBeingRespondedTo = request.MessageID
        response.AffectedSOPClassUID = request.AffectedSOPClassUID
        response.Status = code
        if comment:
            response.ErrorComment = shortened(comment.encode("ascii", "replace").decode().replace("\\", "/"), 64)
        if code in (PENDING, CANCELLED):
            response.NumberOfRemainingSuboperations = self.remaining
        response.NumberOfFailedSuboperations = len(self.failed)
        response.NumberOfWarningSuboperations = self.warned
        response.NumberOfCompletedSuboperations = self.completed
        if self.failed and code not in (PENDING, SUCCESS):
            made = Dataset()
            made.FailedSOPInstanceUIDList = self.failed
            syntax = self.event.context.transfer_syntax
            response.Identifier = BytesIO(
                encode(made, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)
            )
        if self.event.assoc.is_established:
            self.event.assoc.dimse.send_msg(response, self.event.context.context_id)

    def finish(self) -> None:
        """Send the last response."""
        whole = not self.failed and not self.warned
        none = self.failed and not self.completed and not self.warned
        self.send(SUCCESS if whole else ALL_FAILED if none else SOME_FAILED)


def retrieve(services: Services, event: Event, entity: AE, peers: Mapping[str, Peer], patient_root: bool) -> None:
    """Answer a C-GET or C-MOVE request: send what it names, and the responses."""
    answers = Answers(event)
    try:
        _retrieve(services, answers, entity, peers, patient_root)
    except DicomWebError as problem:
        wrong = problem.status == 400
        answers.send(DOES_NOT_MATCH if wrong else status_of(problem.status, UNABLE), problem.reason)
    except CouchError as problem:
        answers.send(status_of(problem.status, UNABLE), str(problem))
    except Exception:  # an error of ours, or of a broken identifier, must not end the association
        LOG.exception("retrieving")
        answers.send(UNABLE, "an error of the server; its log says more")


def _retrieve(services: Services, answers: Answers, entity: AE, peers: Mapping[str, Peer], patient_root: bool) -> None:
    event, request = answers.event, answers.event.request
    move = isinstance(request, C_MOVE)
    peer = peers.get(str(request.MoveDestination).strip()) if move else None
    if move and (peer is None or not peer.port):
        answers.send(UNKNOWN_DESTINATION, "no peer with host and port has this AE title")
        return
    reader = Retriever(services.couch, services.store)
    subs = list(found(services, reader, event.identifier, patient_root))
    if len(subs) > MOST:
        answers.send(NOT_COUNTED, f"{len(subs)} instances are more than one request can count")
        return
    answers.remaining = len(subs)
    if not subs:
        answers.finish()
    elif peer is None:
        _send_all(event.assoc, reader, subs, answers, None)
    else:
        destination = associate(entity, peer, contexts_for(subs))
        if not destination.is_established:
            answers.failed = [sub.instance for sub in subs]
            answers.send(ALL_FAILED, f"{peer.ae_title} accepts no association")
            return
        with paused(destination):
            calling = str(event.assoc.requestor.primitive.calling_ae_title).strip()
            _send_all(destination, reader, subs, answers, (calling, request.MessageID))


def _send_all(
    association: Association,
    reader: Retriever,
    subs: list[Sub],
    answers: Answers,
    originator: tuple[str, int] | None,
) -> None:
    """Send instances one after the other, with a response after each, until the peer cancels."""
    event = answers.event
    for number, sub in enumerate(subs, 1):
        if event.is_cancelled:
            answers.send(CANCELLED)
            return
        try:
            told = send(association, reader, sub, number % MOST + 1, originator)
        except Exception as problem:  # noqa: BLE001 - of this instance alone
            LOG.warning("%s was not sent: %s", sub.stored.id, explained(problem))
            told = UNABLE
        answers.remaining -= 1
        if told == SUCCESS:
            answers.completed += 1
        elif told & 0xF000 == 0xB000 or told in (0x0107, 0x0116):
            answers.warned += 1
        else:
            answers.failed.append(sub.instance)
        if not event.assoc.is_established:
            return
        if answers.remaining:
            answers.send(PENDING)
    answers.finish()


@contextmanager
def paused(association: Association) -> Iterator[None]:
    """Keep pynetdicom's own loop from taking the answers on an association, and release that in the end."""
    association._reactor_checkpoint.clear()
    while association.is_established and not association._is_paused:
        association._reactor_checkpoint.wait(0.001)
    try:
        yield
    finally:
        association._reactor_checkpoint.set()
        association.release()


def found(services: Services, reader: Retriever, identifier: Dataset, patient_root: bool) -> Iterator[Sub]:
    """Yield the instances that an identifier names by its unique keys, lists of UIDs included (PS3.4 C.2.2.1).

    Raises
    ------
    DicomWebError
        400 where the unique key of the level is missing, or is no value.
    """
    level = find.level_of(identifier, patient_root)
    pairs = [pair for pair in find.parameters(identifier) if pair[0] in UNIQUE.values()]
    # Delimiters alone are no value, and would match all that there is.
    own = [value for tag, value in pairs if tag == UNIQUE[level] and any(split_values(known_vr(tag), value))]
    if not own or any("*" in value or "?" in value for _tag, value in pairs):
        raise DicomWebError(400, f"the unique key of level {level} is needed, without wild cards")
    return instances(reader, find.rows(services, "instance", pairs))


def instances(reader: Retriever, rows: Iterable[dict]) -> Iterator[Sub]:
    """Yield what search rows of instances name, as it is read: a series with two requests."""
    series: dict[tuple[str, str], list[dict]] = {}
    for row in rows:
        study, below = (row[UNIQUE[level]]["Value"][0] for level in ("study", "series"))
        series.setdefault((study, below), []).append(row)
    for (study, below), wanted in series.items():
        only = wanted[0][UNIQUE["instance"]]["Value"][0] if len(wanted) == 1 else None
        stored = {one.id: one for one in reader.instances(study, below, only)}
        for row in wanted:
            one = stored.get(f"{study}:{below}:{row[UNIQUE['instance']]['Value'][0]}")
            if one is not None:
                yield Sub(one, row[SOP_CLASS]["Value"][0])
