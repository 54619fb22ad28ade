"""C-STORE as the one that sends: to the destination of a C-MOVE, over a C-GET's association, and to forward."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from itertools import chain
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext, build_context

from dicouch.couch.response import CouchError
from dicouch.dicom.part10.byte_source import ByteSource
from dicouch.dicom.part10.meta import read_meta
from dicouch.dicom.part10.model import Warnings
from dicouch.dicom.pixels.encode import ENCODED
from dicouch.dimse.peers import Peer
from dicouch.errors import DicomWebError
from dicouch.read.instances import deliver
from dicouch.read.retrieve import Retriever, Stored

LOG = logging.getLogger(__name__)

EXPLICIT, IMPLICIT = str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian)
MOST_CONTEXTS = 128
# Bytes of a file that is sent from memory; a larger one waits on the disk.
SMALL = 4 << 20
# PDUs that wait to be sent: pynetdicom would read a whole file into memory.
WAITING = 16


class NotSent(Exception):
    """An instance could not be sent; the message says why."""


def explained(problem: Exception) -> str:
    """Return why an instance was not sent, never an empty text; an error of ours goes to the log, too."""
    if not isinstance(problem, NotSent | DicomWebError | CouchError | OSError):
        LOG.error("sending", exc_info=problem)
    return str(problem) or type(problem).__name__


@dataclass(frozen=True)
class Sub:
    """An instance to be sent.

    Attributes
    ----------
    stored : Stored
    sop_class : str
    """

    stored: Stored
    sop_class: str

    @property
    def instance(self) -> str:
        """SOP Instance UID."""
        return self.stored.id.rpartition(":")[2]


def contexts_for(subs: Iterable[Sub]) -> list[PresentationContext]:
    """Return what is proposed: the stored transfer syntaxes first, then what can be made of them, each by itself."""
    stored = dict.fromkeys((sub.sop_class, str(sub.stored.file["transferSyntax"] or EXPLICIT)) for sub in subs)
    plain = dict.fromkeys((sop_class, syntax) for sop_class, _stored in stored for syntax in (EXPLICIT, IMPLICIT))
    return [build_context(sop_class, syntax) for sop_class, syntax in list({**stored, **plain})[:MOST_CONTEXTS]]


def associate(
    entity: AE,
    peer: Peer,
    contexts: list[PresentationContext],
    roles: list[SCP_SCU_RoleSelectionNegotiation] | None = None,
) -> Association:
    """Ask a peer for an association; the caller looks whether it is established."""
    tls = (peer.for_client(), peer.host) if peer.tls else None
    return entity.associate(
        peer.host,
        peer.port,
        contexts=contexts,
        ae_title=peer.ae_title,
        max_pdu=entity.maximum_pdu_size,
        ext_neg=list(roles or ()),
        tls_args=tls,
    )


def send(
    association: Association, reader: Retriever, sub: Sub, number: int, originator: tuple[str, int] | None = None
) -> int:
    """Send one instance and return the status of the answer.

    Parameters
    ----------
    number : int
        Message ID.
    originator : tuple of (str, int), optional
        AE title and Message ID of the C-MOVE that asks for it.

    Raises
    ------
    NotSent
        The peer accepts no form of it, or does not answer.
    """
    if not association.is_established:
        raise NotSent("the association has ended")
    syntaxes = {
        str(context.transfer_syntax[0]): context.context_id
        for context in association.accepted_contexts
        if context.abstract_syntax == sub.sop_class and context.as_scu
    }
    request = C_STORE()
    request.MessageID, request.Priority = number, 0
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = sub.sop_class, sub.instance
    if originator:
        request.MoveOriginatorApplicationEntityTitle, request.MoveOriginatorMessageID = originator
    syntax, file = _file(reader, sub, syntaxes)
    try:
        request.DataSet, request._dataset_path = file.dataset, file.path and (file.path, file.offset)
        _send(association, request, syntaxes[syntax])
    except Exception:  # whatever it was: half of the message may have gone out, and nothing can follow it
        if association.is_established:
            association.abort()
        raise
    finally:
        if file.path:
            file.path.unlink(missing_ok=True)
    answer = _answer(association, number)
    if answer is None or not answer.is_valid_response:
        raise NotSent("the peer did not answer")
    return int(answer.Status)


def _answer(association: Association, number: int) -> C_STORE | None:
    """Return the answer to a C-STORE request, None where none comes in time.

    A late one to a request before is of another instance; one to a report on the same association was heard already.
    """
    while True:
        _context, answer = association.dimse.get_msg(block=True)
        if answer is None or isinstance(answer, C_STORE) and answer.MessageIDBeingRespondedTo == number:
            return answer


def _send(association: Association, request: C_STORE, context: int) -> None:
    """Send a request as pynetdicom does, but no faster than the peer takes it."""
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    for piece in message.encode_msg(context, association.dimse.maximum_pdu_size):
        while association.dul.to_provider_queue.qsize() > WAITING:
            if not association.is_established:
                raise NotSent("the association has ended")
            time.sleep(0.001)
        association.dul.send_pdu(piece)


@dataclass
class _File:
    """A data set to be sent, in memory or in a file of its own."""

    dataset: BytesIO | None = None
    path: Path | None = None
    offset: int = 0


def _file(reader: Retriever, sub: Sub, syntaxes: dict[str, Any]) -> tuple[str, _File]:
    """Return the transfer syntax in which an instance goes to a peer that accepts some, and its data set."""
    own = str(sub.stored.file["transferSyntax"])
    wanted = [own, EXPLICIT, IMPLICIT, *map(str, ENCODED)]
    problem = "the peer does not accept its SOP Class"
    for syntax in dict.fromkeys(syntax for syntax in wanted if syntax in syntaxes):
        try:
            if syntax == IMPLICIT != own:
                return syntax, _File(_implicit(reader, sub.stored))
            return syntax, _spooled(deliver(reader, sub.stored, syntax).open())
        except DicomWebError as refused:
            if refused.status != 406:
                raise
            problem = refused.reason
    raise NotSent(problem)


def _spooled(pieces: Iterable[bytes]) -> _File:
    """Return the data set of a file that comes in pieces."""
    whole = iter(pieces)
    begun = b""
    for piece in whole:
        begun += piece
        if len(begun) >= SMALL:
            break
    offset = read_meta(ByteSource(BytesIO(begun), len(begun)), Warnings()).start
    if len(begun) < SMALL:
        return _File(BytesIO(memoryview(begun)[offset:]))
    with NamedTemporaryFile(delete=False) as file:
        try:
            file.writelines(chain((begun,), whole))
            file.flush()
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
    return _File(None, Path(file.name), offset)


def _implicit(reader: Retriever, stored: Stored) -> BytesIO:
    """Return a data set in Implicit VR Little Endian, which only old peers ask for: by way of the explicit one."""
    dataset = dcmread(BytesIO(b"".join(deliver(reader, stored, EXPLICIT).open())))
    made = encode(dataset, True, True)
    if made is None:
        raise NotSent("it cannot be written in Implicit VR Little Endian")
    return BytesIO(made)
