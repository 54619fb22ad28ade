"""C-ECHO and C-STORE: every SOP Class and transfer syntax, bit for bit, from several associations, kills included."""

from __future__ import annotations

import signal
import tempfile
import threading
from io import BytesIO
from pathlib import Path

import pytest
import requests
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    UID_dictionary,
)
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode
from pynetdicom.sop_class import Verification

from dicouch.dicom.part10.encode import file_header
from dicouch.read.search import every, levels, patients
from dicouch.read.search.studies import Search
from dicouch.rewrite import query
from tests.dimse.conftest import until
from tests.files import identifiers, real_files
from tests.made import instance

PRIVATE = "1.2.826.0.1.3680043.9.9999"
PLAIN = "1.2.840.10008.1.2.1"
IMPLICIT = (ImplicitVRLittleEndian, "1.2.840.10008.1.20")  # the second one is Papyrus 3
DEFLATED = (DeflatedExplicitVRLittleEndian, "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205")


def write(folder, number, study="1.2.7", **attributes):
    path = folder / f"{number}.dcm"
    path.write_bytes(instance(study, f"{study}.1", f"{study}.1.{number}", InstanceNumber=str(number), **attributes))
    return path


def dataset_of(data):
    """Return the bytes behind the file meta information (PS3.10 7.1)."""
    return data[144 + int.from_bytes(data[140:144], "little") :]


def test_echo(scp, dcmtk):
    done = scp.run("echoscu")
    assert done.returncode == 0
    assert "Received Echo Response (Success)" in done.stdout


def one_of_each():
    """Return a file of each pair of SOP Class and transfer syntax, of those that can be sent as they are."""
    found = {}
    for path, data in real_files().items():
        if data[128:140] != b"DICM\x02\0\0\0UL\x04\0" or not identifiers(path) or len(data) > 1 << 20:
            continue
        read = dcmread(BytesIO(data), stop_before_pixels=True, specific_tags=["SOPClassUID", "SOPInstanceUID"])
        meta = read.file_meta
        said = meta.get("MediaStorageSOPClassUID"), meta.get("MediaStorageSOPInstanceUID")
        if said == (read.get("SOPClassUID"), read.get("SOPInstanceUID")) and meta.get("TransferSyntaxUID"):
            found.setdefault((str(said[0]), str(meta.TransferSyntaxUID)), (path, data))
    return found


@pytest.mark.one_database("couchdb")
def test_every_transfer_syntax_is_stored_bit_for_bit(scp):
    found = one_of_each()
    assert len({syntax for _class, syntax in found}) >= 11
    sent = {}
    pairs = list(found.items())
    for some in (pairs[at : at + 100] for at in range(0, len(pairs), 100)):
        association = scp.associate([pair for pair, _file in some])
        assert len(association.accepted_contexts) == len(some)
        for (sop_class, syntax), (path, data) in some:
            status = association.send_c_store(path)
            # What breaks the standard is stored with B007 (PS3.4 Table B.2-1).
            assert status.Status in (0x0000, 0xB000, 0xB007), (path, f"{status.Status:04X}", status.get("ErrorComment"))
            sent[identifiers(path)] = data, syntax, sop_class
        association.release()
    for place, (data, syntax, sop_class) in sent.items():
        kept = scp.stored(*place)
        assert dataset_of(kept) == dataset_of(data), place
        meta = dcmread(BytesIO(kept), stop_before_pixels=True).file_meta
        assert (meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID) == (syntax, sop_class)
        assert meta.MediaStorageSOPInstanceUID == place[2]
        assert meta.SourceApplicationEntityTitle == "TESTER"
        assert meta.ImplementationClassUID.startswith("2.25.")


def every_syntax(folder):
    """Yield a file in each transfer syntax of PS3.6 A and in a private one, each of an unknown SOP Class of its own."""
    known = [uid for uid, told in UID_dictionary.items() if told[1] == "Transfer Syntax"]
    for number, syntax in enumerate([*known, f"{PRIVATE}.2"]):
        uid = UID(syntax)
        plain = uid.is_private or not uid.is_encapsulated
        implicit, little, deflated = syntax in IMPLICIT, syntax != ExplicitVRBigEndian, syntax in DEFLATED
        sop_class = f"{PRIVATE}.1.{number}"
        read = dcmread(BytesIO(instance("1.2.8", "1.2.8.1", f"1.2.8.1.{number}", SOPClassUID=sop_class)))
        if not plain and not implicit:
            read.PixelData = encapsulate([b"\xff\xd8\xff\xd9"])
            read["PixelData"].is_undefined_length = True
            read["PixelData"].VR = "OB"
        path = folder / f"{number}.dcm"
        first = file_header(sop_class, read.SOPInstanceUID, syntax)
        path.write_bytes(first + encode(read, implicit, little, deflated))
        yield path, sop_class, syntax


@pytest.mark.one_database("embedded")
def test_unknown_sop_classes_in_every_transfer_syntax(scp, tmp_path):
    """An acceptor may take any (PS3.7 D.3.2): deflated, big endian, video, private ones; bit for bit."""
    sent = list(every_syntax(tmp_path))
    assert 60 <= len(sent) <= 128
    association = scp.associate([(sop_class, syntax) for _path, sop_class, syntax in sent])
    assert len(association.accepted_contexts) == len(sent)
    for path, _sop_class, syntax in sent:
        told = association.send_c_store(path)
        # What is no picture in the syntax that it claims is stored with B007 (PS3.4 Table B.2-1).
        assert told.Status in (0x0000, 0xB007), (syntax, f"{told.Status:04X}", told.get("ErrorComment"))
    association.release()
    for path, sop_class, syntax in sent:
        kept = scp.stored("1.2.8", "1.2.8.1", f"1.2.8.1.{path.stem}")
        assert dataset_of(kept) == dataset_of(path.read_bytes()), syntax
        meta = dcmread(BytesIO(kept[: kept.index(dataset_of(kept))]), force=True).file_meta
        assert (meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID) == (syntax, sop_class)


@pytest.mark.one_database("embedded")
def test_other_services_are_not_taken_for_storage(scp):
    """Result 3, abstract-syntax-not-supported (PS3.8 9.3.3.2): worklists, MPPS, color palettes, pull commitment."""
    others = ("5.1.4.31", "3.1.2.3.3", "5.1.4.39.2", "1.20.2", "5.1.1.9", "5.1.4.34.6.1", "4.2")
    pairs = [(f"1.2.840.10008.{other}", PLAIN) for other in others]
    association = scp.associate([(Verification, PLAIN), *pairs])
    assert [context.abstract_syntax for context in association.accepted_contexts] == [Verification]
    assert {context.result for context in association.rejected_contexts} == {3}
    association.release()


def test_four_associations_with_dcmtk(scp, dcmtk, tmp_path):
    done = []
    for client in range(4):
        folder = tmp_path / str(client)
        folder.mkdir()
        for number in range(10):
            write(folder, client * 10 + number, "1.2.9")
    tools = [("dcmsend", "+sd"), ("storescu", "-R", "+sd"), ("dcmsend", "+sd"), ("storescu", "-R", "+sd")]
    threads = [
        threading.Thread(target=lambda n=n, tool=tool: done.append(scp.run(*tool, tmp_path / str(n))))
        for n, tool in enumerate(tools)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.returncode for one in done] == [0] * 4, "\n".join(one.stdout for one in done)
    for number in range(40):
        assert scp.stored("1.2.9", "1.2.9.1", f"1.2.9.1.{number}")


def send(scp, path, sop_class=SecondaryCaptureImageStorage, title="TESTER", syntax=PLAIN):
    association = scp.associate([(sop_class, syntax)], title)
    try:
        return association.send_c_store(path)
    finally:
        association.release()


def test_failures_and_warnings_have_their_codes(scp, tmp_path):
    """PS3.4 Table B.2-1, PS3.7 C."""
    path = write(tmp_path, 1, "1.2.10")
    assert send(scp, path).Status == 0x0000
    assert send(scp, path).Status == 0x0000  # the same again
    # From another sender the header that is made is another, the data set is not: nothing is written.
    before = requests.get(f"{scp.database}/1.2.10:1.2.10.1:1.2.10.1.1", timeout=10).json()
    told = send(scp, path, title="OTHER")
    assert (told.Status, told.ErrorComment) == (0x0000, "already stored, the same data set")
    assert requests.get(f"{scp.database}/1.2.10:1.2.10.1:1.2.10.1.1", timeout=10).json() == before
    path.write_bytes(instance("1.2.10", "1.2.10.1", "1.2.10.1.1", PatientComments="other"))
    assert send(scp, path).Status == 0xB000  # replaced
    read = dcmread(path)
    read.file_meta.MediaStorageSOPInstanceUID = "1.2.10.1.99"
    read.save_as(path)
    told = send(scp, path)
    assert told.Status == 0xA900
    assert "not that of the request" in told.ErrorComment
    read.file_meta.MediaStorageSOPInstanceUID = read.SOPInstanceUID
    read.file_meta.MediaStorageSOPClassUID = CTImageStorage
    read.save_as(path)
    assert send(scp, path, CTImageStorage).Status == 0xA900
    read.file_meta.MediaStorageSOPClassUID = read.SOPClassUID
    del read.StudyInstanceUID
    read.save_as(path)
    assert send(scp, path).Status == 0x0120  # Missing attribute
    path.write_bytes(file_header(CTImageStorage, "1.2.10.1.1", DeflatedExplicitVRLittleEndian) + b"\xff" * 500)
    assert send(scp, path, CTImageStorage, syntax=DeflatedExplicitVRLittleEndian).Status == 0xC000  # Cannot understand


def test_what_is_refused_is_not_stored(scp, tmp_path):
    path = write(tmp_path, 1, "1.2.11")
    read = dcmread(path)
    read.file_meta.MediaStorageSOPInstanceUID = "1.2.11.1.99"
    read.save_as(path)
    send(scp, path)
    assert requests.get(f"{scp.database}/1.2.11:1.2.11.1:1.2.11.1.1", timeout=10).status_code == 404


@pytest.mark.one_database("couchdb")
def test_no_acknowledged_instance_is_lost_by_kills(scp, tmp_path):
    """kill -9 while four associations store: what got success is there, bit for bit."""
    acknowledged, over = {}, threading.Event()

    def load(client):
        number = 0
        while not over.is_set():
            association = scp.associate([(SecondaryCaptureImageStorage, PLAIN)])
            while association.is_established and not over.is_set():
                number += 1
                path = write(tmp_path, client * 10000 + number, "1.2.12")
                try:
                    status = association.send_c_store(path)
                except RuntimeError:
                    break
                if status and status.Status in (0, 0xB000):
                    acknowledged[client * 10000 + number] = path.read_bytes()
            if association.is_established:
                association.release()
            over.wait(0.1)

    threads = [threading.Thread(target=load, args=(client,)) for client in range(1, 5)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: len(acknowledged) >= 40)
        scp.stop(signal.SIGKILL)
        before = len(acknowledged)
        scp.start()
        until(lambda: len(acknowledged) >= before + 20)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    for number, data in acknowledged.items():
        assert dataset_of(scp.stored("1.2.12", "1.2.12.1", f"1.2.12.1.{number}")) == dataset_of(data)


def test_what_is_too_large_is_refused(scp, tmp_path):
    """A700, Refused: Out of Resources; the tests' server takes 8 MB."""
    told = send(scp, write(tmp_path, 1, "1.2.13", pixels=bytes(9 << 20)))
    assert told.Status == 0xA700
    assert "larger than" in told.ErrorComment


SEARCHES = [
    ("patient", []),
    ("patient", [("PatientName", "Every*")]),
    ("patient", [("PatientID", "E*")]),
    ("study", []),
    ("study", [("PatientName", "*ery*")]),
    ("study", [("PatientID", "E?\\E1?"), ("StudyDate", "20240101-")]),
    ("study", [("StudyInstanceUID", "1.2.50.1\\1.2.50.2\\1.2.50.3\\1.2.50.4\\1.2.50.5")]),
    ("series", []),
    ("series", [("Modality", "MR")]),
    ("series", [("PatientName", "Every*"), ("SeriesNumber", "1")]),
    ("instance", []),
    ("instance", [("PatientName", "Every*"), ("InstanceNumber", "1")]),
    ("instance", [("InstanceNumber", "2"), ("PatientID", "E*")]),
    ("instance", [("StudyInstanceUID", "1.2.50.1\\1.2.50.2")]),
    ("instance", [("SeriesInstanceUID", "1.2.50.1.1\\1.2.50.2.2\\1.2.50.3.1")]),
]


@pytest.mark.one_database("embedded")
def test_all_rows_are_found_some_at_a_time(scp, tmp_path, monkeypatch):
    """Each once, whatever the sizes of pages are: as one page with all of them has them."""
    association = scp.associate([(SecondaryCaptureImageStorage, PLAIN)])
    for study in range(1, 13):
        for number in range(1, 1 + study % 4 * 2):
            uids = f"1.2.50.{study}", f"1.2.50.{study}.{number % 2}", f"1.2.50.{study}.{number}.9"
            names = {"PatientID": f"E{study // 2}" if study > 4 else "", "PatientName": f"Every^{study // 2}"}
            numbers = {"SeriesNumber": str(number % 2), "InstanceNumber": str(number // 2)}
            data = instance(*uids, Modality=["CT", "MR"][number % 2], **names, **numbers)
            (tmp_path / "one.dcm").write_bytes(data)
            assert association.send_c_store(tmp_path / "one.dcm").Status == 0
    association.release()
    couch = scp.services().couch
    monkeypatch.setattr(patients, "SORTED", 3)
    for level, pairs in SEARCHES:
        for name, size in (("FIRST", 3), ("MOST", 6 if pairs else 60), ("LISTED", 40), ("FEW", 2 if pairs else 16)):
            monkeypatch.setattr(every, name, size)

        def ask(pairs=pairs):
            return query.parse([*pairs, ("includefield", "PatientID,PatientName")], 1000)

        asked = ask()
        asked.limit_given = True
        whole = levels.run(Search(couch, ""), level, asked, []).rows
        found = list(every.every(couch, level, ask, []))
        assert len(whole) > 3, (level, pairs)
        assert sorted(map(str, found)) == sorted(map(str, whole)), (level, pairs)


def test_nothing_is_left_of_what_breaks_off(scp, tmp_path):
    folder = Path(tempfile.gettempdir()) / f"dicouch-storescp-{scp.port}"
    association = scp.associate([(SecondaryCaptureImageStorage, PLAIN)])
    request = C_STORE()
    request.MessageID, request.Priority = 1, 0
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = SecondaryCaptureImageStorage, "1.2.14.1.1"
    request.DataSet = BytesIO(dataset_of(write(tmp_path, 1, "1.2.14", pixels=bytes(1 << 20)).read_bytes()))
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    pieces = message.encode_msg(association.accepted_contexts[0].context_id, 16384)
    for _piece in range(5):
        association.dul.send_pdu(next(pieces))
    until(lambda: list(folder.iterdir()))
    association.abort()
    until(lambda: not list(folder.iterdir()))
    assert requests.get(f"{scp.database}/1.2.14:1.2.14.1:1.2.14.1.1", timeout=10).status_code == 404


@pytest.mark.parametrize("called", ["DICOUCH", "ANY-SCP"])
def test_without_a_peers_file_any_title_is_called(scp, called):
    association = scp.associate([(Verification, PLAIN)], called=called)
    assert association.is_established
    assert association.send_c_echo().Status == 0
    association.release()
