"""C-FIND, C-GET, C-MOVE and C-CANCEL with DCMTK's tools, and who may ask for them."""

from __future__ import annotations

import random
import subprocess
import threading
from io import BytesIO

import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    MRImageStorage,
    SecondaryCaptureImageStorage,
)
from pynetdicom import AE, build_role, evt
from pynetdicom.dsutils import decode
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation
from pynetdicom.sop_class import (
    PatientRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from tests.dimse.conftest import listens, until
from tests.dimse.test_storage import dataset_of
from tests.made import instance
from tests.server import free_port

# The same requests are tested on both databases elsewhere.
pytestmark = pytest.mark.one_database("couchdb")

FIND, GET = StudyRootQueryRetrieveInformationModelFind, StudyRootQueryRetrieveInformationModelGet
MOVE_PORT = free_port()
COMPRESSED = get_testdata_file("MR_small_jp2klossless.dcm")


@pytest.fixture(scope="module")
def peers_file():
    return f"""
    [[peer]]
    ae_title = "TESTER"

    [[peer]]
    ae_title = "DEST"
    host = "127.0.0.1"
    port = {MOVE_PORT}

    [[peer]]
    ae_title = "CT1"
    may = ["store"]

    [[peer]]
    ae_title = "FAR"
    host = "192.0.2.1"
    port = 104
    """


@pytest.fixture(scope="module")
def filled(scp, tmp_path_factory):
    """Give a server with two studies of two series of two instances, of two patients, and a compressed image."""
    folder = tmp_path_factory.mktemp("filled")
    association = scp.associate(
        [(SecondaryCaptureImageStorage, ExplicitVRLittleEndian), (MRImageStorage, JPEG2000Lossless)]
    )
    scp.files = {}
    for study in (1, 2):
        for series in (1, 2):
            for number in (1, 2):
                uids = f"1.2.{study}", f"1.2.{study}.{series}", f"1.2.{study}.{series}.{number}"
                data = instance(
                    *uids,
                    PatientID=f"P{study}",
                    PatientName=["Müller^Jörg", "Smith^Ann"][study - 1],
                    SpecificCharacterSet="ISO_IR 192",
                    StudyDate=f"2024010{study}",
                    StudyDescription="Thorax",
                    SeriesNumber=str(series),
                    InstanceNumber=str(number),
                    Modality=["CT", "MR"][series - 1],
                    pixels=random.randbytes(2 * 1600 * 1600) if (study, series) == (1, 1) else None,
                )
                (folder / "one.dcm").write_bytes(data)
                assert association.send_c_store(folder / "one.dcm").Status == 0
                scp.files[uids] = data
    assert association.send_c_store(COMPRESSED).Status in (0, 0xB007)
    association.release()
    return scp


def run(scp, tool, *words):
    line = [tool, "-aet", "TESTER", "-aec", "DICOUCH", *map(str, words), "127.0.0.1", str(scp.port)]
    return subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)


@pytest.mark.usefixtures("dcmtk")
class TestFind:
    def ask(self, scp, tmp_path, *keys, root="-S"):
        options = [word for key in keys for word in ("-k", key)]
        done = run(scp, "findscu", root, "-X", "-od", tmp_path, *options)
        assert done.returncode == 0, done.stdout
        return [dcmread(path, force=True) for path in sorted(tmp_path.glob("rsp*.dcm"))]

    def test_studies_have_the_requested_keys_and_no_other(self, filled, tmp_path):
        wanted = "StudyInstanceUID", "ModalitiesInStudy", "NumberOfStudyRelatedInstances", "InstitutionName"
        matched = "PatientName=m?ller*", "StudyDate=20240101-", "StudyTime=101112"
        (found,) = self.ask(filled, tmp_path, "QueryRetrieveLevel=STUDY", *wanted, *matched)
        assert found.StudyInstanceUID == "1.2.1"
        assert found.PatientName == "Müller^Jörg"
        assert found.SpecificCharacterSet == "ISO_IR 192"
        assert found.ModalitiesInStudy == ["CT", "MR"]
        assert found.NumberOfStudyRelatedInstances == 4
        assert found.RetrieveAETitle == "DICOUCH"
        assert found.QueryRetrieveLevel == "STUDY"
        assert found.InstanceAvailability == "ONLINE"
        assert "InstitutionName" in found
        assert not found.InstitutionName
        assert {"PatientID", "StudyDescription", "RetrieveURL"}.isdisjoint(found.dir())

    def test_ascii_answers_name_no_character_set(self, filled, tmp_path):
        (found,) = self.ask(filled, tmp_path, "QueryRetrieveLevel=STUDY", "StudyInstanceUID=1.2.2", "PatientName")
        assert found.PatientName == "Smith^Ann"
        assert "SpecificCharacterSet" not in found

    @pytest.mark.parametrize(
        ("level", "keys", "tag", "values"),
        [
            ("PATIENT", ["PatientID=P?", "PatientName"], "PatientID", ["P1", "P2"]),
            ("STUDY", ["PatientID=P2", "StudyInstanceUID"], "StudyInstanceUID", ["1.2.2"]),
            ("STUDY", ["StudyInstanceUID=1.2.1\\1.2.2"], "StudyInstanceUID", ["1.2.1", "1.2.2"]),
            (
                "SERIES",
                ["StudyInstanceUID=1.2.1", "SeriesInstanceUID", "Modality=MR"],
                "SeriesInstanceUID",
                ["1.2.1.2"],
            ),
            ("SERIES", ["PatientID=P1", "SeriesInstanceUID"], "SeriesInstanceUID", ["1.2.1.1", "1.2.1.2"]),
            (
                "IMAGE",
                ["StudyInstanceUID=1.2.2", "SeriesInstanceUID=1.2.2.1", "SOPInstanceUID", "InstanceNumber=2"],
                "SOPInstanceUID",
                ["1.2.2.1.2"],
            ),
        ],
    )
    def test_levels(self, filled, tmp_path, level, keys, tag, values):
        for root in ("-P",) if level == "PATIENT" else ("-P", "-S"):
            (tmp_path / root).mkdir()
            rows = self.ask(filled, tmp_path / root, f"QueryRetrieveLevel={level}", *keys, root=root)
            assert sorted(row[tag].value for row in rows) == values, root

    @pytest.mark.parametrize(
        ("root", "keys"),
        [("-S", ["PATIENT", "PatientID"]), ("-P", ["WARD"]), ("-S", ["STUDY", "StudyDate=abc"]), ("-W", ["STUDY"])],
    )
    def test_what_does_not_fit_is_refused(self, filled, root, keys):
        """A900 (PS3.4 Table C.4-1); a worklist is no context that is accepted."""
        options = [word for key in (f"QueryRetrieveLevel={keys[0]}", *keys[1:]) for word in ("-k", key)]
        done = run(filled, "findscu", "-v", root, *options)
        told = "No Acceptable Presentation Contexts" if root == "-W" else "DataSetDoesNotMatchSOPClass"
        assert told in done.stdout
        assert "(Pending)" not in done.stdout


def identifier(level="STUDY", **keys):
    made = Dataset()
    made.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(made, keyword, value)
    return made


def test_find_with_wrong_identifiers(filled):
    """PS3.4 Table C.4-1: A900, Identifier does not match SOP Class."""
    association = filled.associate([(FIND, ExplicitVRLittleEndian)])
    for wrong in (identifier("PATIENT", PatientID="P1"), identifier("WARD"), identifier(StudyDate="20241301")):
        ((status, _row),) = association.send_c_find(wrong, FIND)
        assert status.Status == 0xA900, wrong
    association.release()


def test_find_is_cancelled(filled):
    association = filled.associate([(FIND, ExplicitVRLittleEndian)])
    answers = association.send_c_find(identifier("IMAGE", SOPInstanceUID=""), FIND, msg_id=7)
    association.send_c_cancel(7, query_model=FIND)
    last = [status.Status for status, _row in answers][-1]
    assert last in (0xFE00, 0x0000)  # all may have been sent already
    association.release()


def get(scp, wanted, classes, title="TESTER"):
    """Return the statuses and what came of a C-GET; `classes` are pairs of SOP Class and transfer syntax."""
    came = []

    def keep(event):
        came.append((event.request.AffectedSOPInstanceUID, event.context.transfer_syntax, event.encoded_dataset(False)))
        return 0x0000

    roles = [build_role(uid, scp_role=True) for uid in dict.fromkeys(uid for uid, _syntax in classes)]
    association = scp.associate(
        [(GET, ExplicitVRLittleEndian), *classes], title, ext_neg=roles, evt_handlers=[(evt.EVT_C_STORE, keep)]
    )
    statuses = list(association.send_c_get(wanted, GET))
    association.release()
    return statuses, came


PLAIN = [(SecondaryCaptureImageStorage, ExplicitVRLittleEndian)]


def test_get_gives_the_stored_bytes(filled):
    statuses, came = get(filled, identifier(StudyInstanceUID="1.2.1"), PLAIN)
    assert statuses[-1][0].Status == 0x0000
    assert statuses[-1][0].NumberOfCompletedSuboperations == 4
    assert {uid for uid, _syntax, _data in came} == {uids[2] for uids in filled.files if uids[0] == "1.2.1"}
    for uid, _syntax, data in came:
        (stored,) = [file for uids, file in filled.files.items() if uids[2] == uid]
        assert data == dataset_of(stored)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_get_transcodes_to_what_is_accepted(filled, syntax):
    original = dcmread(COMPRESSED)
    wanted = identifier(
        "IMAGE", SOPInstanceUID=str(original.SOPInstanceUID), StudyInstanceUID=str(original.StudyInstanceUID)
    )
    statuses, ((_uid, sent, data),) = get(filled, wanted, [(MRImageStorage, syntax)])
    assert statuses[-1][0].Status == 0x0000
    assert sent == syntax
    if syntax == JPEG2000Lossless:
        with open(COMPRESSED, "rb") as file:
            assert data == dataset_of(file.read())
        return
    received = decode(BytesIO(data), syntax.is_implicit_VR, True)
    received.file_meta = original.file_meta.__class__()
    received.file_meta.TransferSyntaxUID = syntax
    assert (received.pixel_array == original.pixel_array).all()


def test_get_names_what_failed(filled):
    """PS3.4 C.4.3.1.4: a warning with the Failed SOP Instance UID List where the peer accepts some only."""
    original = dcmread(COMPRESSED)
    both = identifier(StudyInstanceUID=["1.2.2", str(original.StudyInstanceUID)])
    statuses, came = get(filled, both, PLAIN)
    assert len(came) == 4
    last, failed = statuses[-1]
    assert (last.Status, last.NumberOfFailedSuboperations) == (0xB000, 1)
    assert failed.FailedSOPInstanceUIDList == original.SOPInstanceUID
    statuses, came = get(filled, identifier(StudyInstanceUID=str(original.StudyInstanceUID)), PLAIN)
    assert (statuses[-1][0].Status, came) == (0xA702, [])


def test_get_is_cancelled(filled):
    """PS3.4 C.4.3.1.3.2: FE00 with the number that remain, after which nothing more comes."""
    came = []

    def keep(event):
        came.append(event.request.AffectedSOPInstanceUID)
        event.assoc.send_c_cancel(9, query_model=GET)
        return 0x0000

    roles, handlers = [build_role(SecondaryCaptureImageStorage, scp_role=True)], [(evt.EVT_C_STORE, keep)]
    contexts = [(GET, ExplicitVRLittleEndian), *PLAIN]
    association = filled.associate(contexts, ext_neg=roles, evt_handlers=handlers)
    answers = [status for status, _row in association.send_c_get(identifier(StudyInstanceUID="1.2.1"), GET, msg_id=9)]
    last = answers[-1]
    assert last.Status == 0xFE00
    assert last.NumberOfRemainingSuboperations == 4 - len(came) >= 1
    assert last.NumberOfCompletedSuboperations == len(came)
    association.release()


def test_get_needs_the_unique_key(filled):
    for wrong in (identifier(), identifier(StudyInstanceUID="*"), identifier("SERIES", StudyInstanceUID="1.2.1")):
        statuses, came = get(filled, wrong, PLAIN)
        assert (statuses[-1][0].Status, came) == (0xA900, [])
    assert get(filled, identifier(StudyInstanceUID="1.99"), PLAIN)[0][-1][0].Status == 0x0000


def test_getscu_and_movescu(filled, dcmtk, tmp_path):
    keys = ["-k", "QueryRetrieveLevel=SERIES", "-k", "StudyInstanceUID=1.2.1", "-k", "SeriesInstanceUID=1.2.1.2"]
    for tool, options in (("getscu", []), ("movescu", ["-aem", "DEST", "--port", MOVE_PORT])):
        folder = tmp_path / tool
        folder.mkdir()
        done = run(filled, tool, "-S", "-od", folder, *options, *keys)
        assert done.returncode == 0, done.stdout
        assert {dcmread(path).SOPInstanceUID for path in folder.iterdir()} == {"1.2.1.2.1", "1.2.1.2.2"}


def test_movescu_to_an_archive_that_accepts_implicit_vr_only(filled, dcmtk, tmp_path):
    """What is stored compressed is decoded for it, and encoded anew (PS3.4 C.4.2.2.1)."""
    original = dcmread(COMPRESSED)
    command = ["storescp", "+xi", "-aet", "DEST", "-od", str(tmp_path), str(MOVE_PORT)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as archive:
        try:
            until(lambda: listens(MOVE_PORT))
            study = f"StudyInstanceUID={original.StudyInstanceUID}"
            done = run(filled, "movescu", "-v", "-S", "-aem", "DEST", "-k", "QueryRetrieveLevel=STUDY", "-k", study)
            assert "Received Final Move Response (Success)" in done.stdout
            (came,) = (dcmread(path) for path in tmp_path.iterdir())
        finally:
            archive.terminate()
    assert came.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
    assert (came.pixel_array == original.pixel_array).all()


def move(scp, wanted, destination, title="TESTER"):
    association = scp.associate([(StudyRootQueryRetrieveInformationModelMove, ExplicitVRLittleEndian)], title)
    answers = list(association.send_c_move(wanted, destination, StudyRootQueryRetrieveInformationModelMove))
    association.release()
    return answers


def test_move_to_nobody(filled):
    assert move(filled, identifier(StudyInstanceUID="1.2.1"), "NOBODY")[-1][0].Status == 0xA801
    last, failed = move(filled, identifier(StudyInstanceUID="1.2.1"), "DEST")[-1]  # nothing listens there
    assert (last.Status, len(failed.FailedSOPInstanceUIDList)) == (0xA702, 4)


def test_move_is_cancelled(filled):
    """PS3.4 C.4.2.3.1: what was not sent yet is not, and the answer says how many remain."""
    came = []

    def slow(event):
        came.append(event.request)
        evt_wait.wait(0.3)
        return 0x0000

    evt_wait = threading.Event()
    destination = AE("DEST")
    destination.add_supported_context(SecondaryCaptureImageStorage)
    server = destination.start_server(("127.0.0.1", MOVE_PORT), block=False, evt_handlers=[(evt.EVT_C_STORE, slow)])
    try:
        model = StudyRootQueryRetrieveInformationModelMove
        association = filled.associate([(model, ExplicitVRLittleEndian)])
        answers = association.send_c_move(identifier(StudyInstanceUID="1.2.1"), "DEST", model, msg_id=3)
        first, _none = next(answers)
        assert (first.Status, first.NumberOfRemainingSuboperations) == (0xFF00, 3)
        association.send_c_cancel(3, query_model=model)
        last = [status for status, _row in answers][-1]
        assert last.Status == 0xFE00
        assert last.NumberOfRemainingSuboperations >= 1
        assert len(came) == 4 - last.NumberOfRemainingSuboperations
        assert came[0].MoveOriginatorApplicationEntityTitle == "TESTER"
        assert came[0].MoveOriginatorMessageID == 3
        association.release()
    finally:
        server.shutdown()


@pytest.mark.parametrize(("title", "called"), [("STRANGER", "DICOUCH"), ("TESTER", "OTHER"), ("FAR", "DICOUCH")])
def test_who_is_not_known_is_refused(filled, title, called):
    association = filled.associate(PLAIN, title, called)
    assert association.is_rejected


def test_rights_of_a_peer(filled):
    association = filled.associate([(FIND, ExplicitVRLittleEndian)], "CT1")
    ((status, _row),) = association.send_c_find(identifier(StudyInstanceUID=""), FIND)
    association.release()
    assert status.Status == 0x0124
    assert get(filled, identifier(StudyInstanceUID="1.2.1"), PLAIN, "CT1")[0][-1][0].Status == 0x0124
    assert move(filled, identifier(StudyInstanceUID="1.2.1"), "DEST", "CT1")[-1][0].Status == 0x0124


def test_relational_and_fuzzy_are_negotiated(filled):
    model = PatientRootQueryRetrieveInformationModelFind
    item = SOPClassExtendedNegotiation()
    item.sop_class_uid, item.service_class_application_information = model, b"\x01\x00\x01\x01"
    association = filled.associate([(model, ExplicitVRLittleEndian)], ext_neg=[item])
    assert association.acceptor.sop_class_extended[model] == b"\x01\x00\x01\x00"
    answers = list(association.send_c_find(identifier("PATIENT", PatientName="smyth"), model))
    association.release()
    assert [row.PatientName for _status, row in answers if row] == ["Smith^Ann"]
