"""The application entity: what it accepts from whom, and which service answers."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar
from weakref import WeakKeyDictionary

from pydicom import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    UID_dictionary,
)
from pynetdicom import AE, _config, acse, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_GET, C_MOVE
from pynetdicom.events import Event
from pynetdicom.presentation import PresentationContext, negotiate_unrestricted
from pynetdicom.service_class import QueryRetrieveServiceClass
from pynetdicom.sop_class import (
    PatientRootQueryRetrieveInformationModelFind,
    PatientRootQueryRetrieveInformationModelGet,
    PatientRootQueryRetrieveInformationModelMove,
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)
from pynetdicom.transport import AssociationSocket, ThreadedAssociationServer

from dicouch.couch import patience
from dicouch.dicom.part10.encode import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicouch.dimse import find, retrieve, storage
from dicouch.dimse.commitment import Committer, caller, guard
from dicouch.dimse.forward import Forwarder
from dicouch.dimse.peers import Settings
from dicouch.dimse.status import NOT_AUTHORIZED, status
from dicouch.services import Services

LOG = logging.getLogger(__name__)
Made = TypeVar("Made")

PLAIN = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian]
PATIENT_ROOT = (
    PatientRootQueryRetrieveInformationModelFind,
    PatientRootQueryRetrieveInformationModelGet,
    PatientRootQueryRetrieveInformationModelMove,
)
QUERY_RETRIEVE = (
    *PATIENT_ROOT,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)
# What is no Storage by its name in PS3.6 A: other services, such as worklists, retired and new ones.
OTHERS = frozenset(
    uid
    for uid, (name, kind, *_rest) in UID_dictionary.items()
    if kind in ("SOP Class", "Meta SOP Class", "Service Class")
    and name
    and ("Storage" not in name or name.startswith("Storage "))
    and uid not in (Verification, StorageCommitmentPushModel, *QUERY_RETRIEVE)
)
NOT_SUPPORTED = 3
# Of the extended negotiation (PS3.4 C.5.1.1.1): relational queries, combined dates and times, fuzzy names.
EXTENDED = bytes((1, 1, 1))
# Bytes of a PDU: many small ones cost much of a processor. DCMTK sends no larger ones.
PDU = 131072
# And of any: what asks for an association may be larger than that, but 128 contexts do not fill a megabyte.
LONGEST = 1 << 20


class Listener:
    """Listens for associations.

    Parameters
    ----------
    folder : Path
        Where data sets are spooled, of this process alone.
    """

    def __init__(self, services: Services, settings: Settings, folder: Path) -> None:
        self.services = services
        self.settings = settings
        _configure(folder)
        self.ae = AE(settings.ae_title)
        self.ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        self.ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        self.ae.maximum_pdu_size = PDU
        self.ae.maximum_associations = settings.associations
        self.ae.network_timeout = self.ae.dimse_timeout = settings.idle_timeout
        self.ae.require_called_aet = settings.check_called
        self.forwarder = Forwarder(services, settings, self.ae)
        self.committer = Committer(services, settings, self.ae)
        self._rights: WeakKeyDictionary[Association, tuple[str, ...]] = WeakKeyDictionary()
        for sop_class in (Verification, StorageCommitmentPushModel, *QUERY_RETRIEVE):
            self.ae.add_supported_context(sop_class, PLAIN)

    def start(self, host: str, port: int) -> ThreadedAssociationServer:
        """Listen, and return at once; OSError when that cannot be."""
        handlers = [
            (evt.EVT_REQUESTED, self._on_requested),
            (evt.EVT_CONN_CLOSE, _forget_unfinished),
            (evt.EVT_ABORTED, _forget_unfinished),
            (evt.EVT_C_ECHO, lambda _event: 0x0000),
            (evt.EVT_SOP_EXTENDED, _negotiate),
            (evt.EVT_C_STORE, self._patient(self._on_store)),
            (evt.EVT_C_FIND, self._patient(self._on_find)),
            (evt.EVT_CONN_OPEN, self._bound),
            (evt.EVT_ESTABLISHED, self.committer.established),
            (evt.EVT_N_ACTION, self._patient(self._on_action)),
            (evt.EVT_C_GET, self._patient(self._on_retrieve)),
            (evt.EVT_C_MOVE, self._patient(self._on_retrieve)),
        ]
        tls = self.settings.tls.for_server() if self.settings.tls else None
        server = self.ae.start_server((host, port), block=False, ssl_context=tls, evt_handlers=handlers)
        assert server is not None
        for worker in (self.forwarder, self.committer):
            worker.start()
        return server

    def _patient(self, handler: Callable[[Event], Made]) -> Callable[[Event], Made]:
        """Let a request wait for the database no longer than one of HTTP."""

        def handle(event: Event) -> Made:
            patience.begin(self.services.config.database_timeout)
            return handler(event)

        return handle

    def _bound(self, event: Event) -> None:
        """Let a connection end on which nothing moves, in the middle of a message, too."""
        event.assoc.dul.socket.socket.settimeout(self.settings.idle_timeout)
        guard(event.assoc)

    def _on_requested(self, event: Event) -> None:
        """Refuse who may not call (PS3.8 9.3.4): "calling AE title not recognized".

        What it may is decided once: a name server that fails later takes nothing from it.
        """
        rights = self.settings.rights(caller(event.assoc), str(event.assoc.requestor.address))
        if rights is not None:
            self._rights[event.assoc] = rights
        else:
            LOG.warning("refused %s from %s", caller(event.assoc), event.assoc.requestor.address)
            event.assoc.acse.send_reject(0x01, 0x01, 0x03)
            event.assoc.kill()

    def _may(self, event: Event, right: str) -> bool:
        return right in self._rights.get(event.assoc, ())

    def _on_store(self, event: Event) -> Dataset | int:
        if not self._may(event, "store"):
            return NOT_AUTHORIZED
        return storage.store(self.services, event, caller(event.assoc), self.forwarder.arrived)

    def _on_find(self, event: Event) -> Iterator[tuple]:
        if not self._may(event, "query"):
            return iter([(status(NOT_AUTHORIZED), None)])
        sop_class = event.request.AffectedSOPClassUID
        fuzzy = _negotiate_one(event.assoc.requestor.sop_class_extended.get(sop_class, b""))[2:3] == b"\x01"
        return find.find(self.services, event, self.settings.ae_title, sop_class in PATIENT_ROOT, fuzzy)

    def _on_retrieve(self, event: Event) -> None:
        if not self._may(event, "retrieve"):
            retrieve.Answers(event).send(NOT_AUTHORIZED)
            return
        patient_root = event.request.AffectedSOPClassUID in PATIENT_ROOT
        retrieve.retrieve(self.services, event, self.ae, self.settings.peers, patient_root)

    def _on_action(self, event: Event) -> tuple:
        if not self._may(event, "store"):
            return NOT_AUTHORIZED, None
        return self.committer.request(event, caller(event.assoc))


def _negotiate(event: Event) -> dict[str, bytes]:
    """Answer what extended negotiation asks for (PS3.4 C.5.1.1)."""
    return {uid: _negotiate_one(asked) for uid, asked in event.app_info.items() if uid in QUERY_RETRIEVE}


def _negotiate_one(asked: bytes) -> bytes:
    return bytes(one & ours for one, ours in zip(asked, EXTENDED.ljust(len(asked), b"\0"), strict=False))


def _configure(folder: Path) -> None:
    """Set what pynetdicom has for a whole process."""
    # Any SOP Class that is none of another service is taken for one of storage, and any transfer syntax is accepted.
    _config.UNRESTRICTED_STORAGE_SERVICE = True
    # A data set goes to a file while it arrives, so that memory does not grow with it.
    _config.STORE_RECV_CHUNKED_DATASET = True
    _config.LOG_HANDLER_LEVEL = "none"
    _config.LOG_REQUEST_IDENTIFIERS = _config.LOG_RESPONSE_IDENTIFIERS = False
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    tempfile.tempdir = str(folder)
    acse.negotiate_unrestricted = _accept
    # pynetdicom's own asks for 4 KB at a time, and each call lets other threads take the interpreter.
    AssociationSocket.recv = _receive
    # Its own loop for sub-operations takes data sets apart and encodes them anew; here files are sent as they are.
    QueryRetrieveServiceClass._get_scp = QueryRetrieveServiceClass._move_scp = _retrieve


def _accept(asked: list, ours: list, roles: Mapping | None = None) -> tuple[list, list]:
    """Negotiate as pynetdicom does, which takes each SOP Class whose name it does not know for one of storage."""
    contexts, answered = negotiate_unrestricted(asked, ours, roles)
    for context in contexts:
        if context.abstract_syntax in OTHERS:
            context.result = NOT_SUPPORTED
    return contexts, answered


def _retrieve(self: QueryRetrieveServiceClass, request: C_GET | C_MOVE, context: PresentationContext) -> None:
    """Let the handler send the sub-operations and all responses."""
    event = evt.EVT_C_GET if isinstance(request, C_GET) else evt.EVT_C_MOVE
    told = {"request": request, "context": context.as_tuple, "_is_cancelled": self.is_cancelled}
    evt.trigger(self.assoc, event, told)


def _receive(self: AssociationSocket, size: int) -> bytearray:
    """Read `size` bytes, or what there is when the connection ends before.

    Memory is taken as bytes arrive: who calls is not known yet. OSError, which ends the connection, beyond `LONGEST`.
    """
    if size > LONGEST:
        raise ConnectionError(f"a PDU of {size} bytes")
    received, at = bytearray(min(size, PDU)), 0
    while at < size:
        if at == len(received):
            received += bytes(min(size - at, PDU))
        with memoryview(received) as view, view[at:] as rest:
            count = self.socket.recv_into(rest)
        if not count:
            break
        at += count
    del received[at:]
    return received


def _forget_unfinished(event: Event) -> None:
    """Remove what arrived of a data set when its association ends early."""
    message = event.assoc.dimse.message
    if message is not None and message._data_set_path is not None:
        with suppress(OSError):
            message._data_set_file.close()
            Path(message._data_set_path).unlink()


@contextmanager
def spooled(parent: str | None, port: int) -> Iterator[Path]:
    """Give an empty folder for data sets that arrive: what was in it is of a process that was killed.

    Only one process at a time listens on a port.
    """
    folder = Path(parent or tempfile.gettempdir()) / f"dicouch-storescp-{port}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
