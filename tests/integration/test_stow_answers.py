"""The answer to a store request: status codes, reasons, media types (PS3.18 10.5.3, Table 10.5.3-1, Annex I)."""

import secrets

import pytest
import requests
from pydicom.data import get_testdata_file

from dicouch.dicom.media.dicom_xml import xml_to_dataset
from tests.awkward_files import ROOT, proper, uids
from tests.integration.test_stow_losses import FAILED, OTHER, REFERENCED, items, post
from tests.unit.made_part10 import element, identifiers, image, made, meta

# What depends on the database is whether a write succeeds, which is the same in all.
pytestmark = pytest.mark.either_database

SOP_CLASS = "1.2.840.10008.5.1.4.1.1.7"
NAME = element(0x00100010, "PN", "Doe")


def lacking(tag: int, **more: str) -> bytes:
    """Return a file without one of its identifiers."""
    elements = identifiers(**uids(500), **more)
    del elements[tag]
    return meta() + b"".join(encoded for _, encoded in sorted(elements.items()))


def test_success(server):
    answer = server.store(proper(NAME))
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/dicom+json"
    assert "Warning" not in answer.headers
    assert set(answer.json()) == {"00081190", REFERENCED}
    (item,) = items(answer)
    assert set(item) == {"00081150", "00081155", "00081190"}
    assert item["00081150"] == {"vr": "UI", "Value": [SOP_CLASS]}
    assert answer.headers["Content-Location"] == item["00081190"]["Value"][0]
    assert item["00081190"]["Value"][0].startswith(answer.json()["00081190"]["Value"][0] + "/series/")


def test_no_resource_is_named_when_several_were_made(server):
    answer = server.store(proper(NAME), proper(NAME))
    assert answer.status_code == 200
    assert "00081190" not in answer.json()
    assert "Content-Location" not in answer.headers


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("application/dicom+json", "application/dicom+json"),
        ("application/json", "application/json"),
        ("application/dicom+xml", "application/dicom+xml"),
        ("application/dicom+xml, application/dicom+json;q=0.5", "application/dicom+xml"),
        ("*/*", "application/dicom+json"),
        ("", "application/dicom+json"),
    ],
)
def test_media_types(server, accept, content_type):
    answer = server.store(proper(NAME), lacking(0x0020000D), b"no DICOM", accept=accept)
    assert answer.status_code == 202
    assert answer.headers["Content-Type"] == content_type
    told = xml_to_dataset(answer.content) if content_type.endswith("xml") else answer.json()
    assert {FAILED, REFERENCED, OTHER} <= set(told)
    assert [item["00081197"]["Value"] for item in told[FAILED]["Value"]] == [[0x0120]]
    assert told[REFERENCED]["Value"][0]["00081190"]["vr"] == "UR"


@pytest.mark.parametrize(
    ("content", "reason", "known"),
    [
        (lacking(0x0020000D), 0x0120, True),
        (lacking(0x0020000E), 0x0120, True),
        (lacking(0x00080018), 0x0120, True),  # the File Meta Information has it, too
        (made(study="", instance="1.2.9"), 0x0121, True),
        (made(series="", instance="1.2.9"), 0x0121, True),
        (made(series="study", instance="1.2.9"), 0x0106, True),
        (made(study="1.2.3 4", instance="1.2.9"), 0x0106, True),
        (made(study="1" * 65, instance="1.2.9"), 0x0106, True),
        (lacking(0x0020000D, sop_class="1.2.840.10008.5.1.4.38.1"), 0x0122, True),
        (b"no DICOM", 0xC000, False),
    ],
)
def test_failure_reasons(server, content, reason, known):
    answer = server.store(content)
    # PS3.18 Table 10.5.3-1: bad syntax, or a conflict in a request that was formed correctly.
    assert answer.status_code == (409 if known else 400)
    assert "00081190" not in answer.json()
    (item,) = items(answer, FAILED if known else OTHER)
    assert item["00081197"] == {"vr": "US", "Value": [reason]}
    assert 0 < len(item["00000902"]["Value"][0]) <= 64
    assert ("00081150" in item, "00081155" in item) == (known, known)


def test_a_directory_belongs_to_no_study(server):
    with open(get_testdata_file("DICOMDIR"), "rb") as file:
        answer = server.store(file.read())
    assert answer.status_code == 409
    (item,) = items(answer, FAILED)
    assert item["00081150"]["Value"] == ["1.2.840.10008.1.3.10"]
    assert item["00081197"]["Value"] == [0x0122]


def test_another_study_than_the_path_names(server):
    one, two = proper(NAME), proper(NAME)
    study = items(server.store(one))[0]["00081190"]["Value"][0].split("/studies/")[1].split("/")[0]
    answer = server.store(one, two, study=study)
    assert answer.status_code == 202
    assert [item["00081197"]["Value"] for item in items(answer, FAILED)] == [[0xA901]]
    assert answer.json()["00081190"]["Value"] == [f"{server.url}/studies/{study}"]
    assert server.store(two, study=study).status_code == 409


def test_warnings(server):
    breaking = made(*image(), element(0x7FE00010, "OW", bytes(8)), **uids(501))  # its two SOP Instance UIDs differ
    answer = server.store(breaking)
    assert answer.status_code == 202
    (item,) = items(answer)
    assert item["00081196"] == {"vr": "US", "Value": [0xB007]}
    again = server.store(breaking)
    assert again.status_code == 202
    assert items(again) == [item]
    answer = server.store(breaking[:-2] + b"xx")
    assert items(answer)[0]["00081196"] == {"vr": "US", "Value": [0xB000]}
    # The attribute has one value (PS3.6): the other reason is in words, whole in the header.
    assert items(answer)[0]["00000902"]["Value"][0].startswith("replaced other content; B007H: ")
    assert f"{items(answer)[0]['00081155']['Value'][0]}: B007H: " in answer.headers["Warning"]


def test_values_that_differ_within_a_study_are_named(server):
    study = f"{ROOT}.{secrets.randbelow(10**12)}"
    contents = [
        made(element(0x00100010, "PN", name), study=study, series=f"{study}.{name}", instance=f"{study}.{name}.1")
        for name in ("1", "2")
    ]
    assert "PatientName" in server.store(*contents).headers["Warning"]


@pytest.mark.parametrize(
    ("status", "content_type", "data", "headers"),
    [
        (400, 'multipart/related; type="application/dicom"; boundary=x', b"", {}),
        (400, 'multipart/related; type="application/dicom"; boundary=x', b"--x--\r\n", {}),
        (400, 'multipart/related; type="application/dicom"; boundary=x', b"no boundary", {}),
        (400, 'multipart/related; type="application/dicom"', b"--x--\r\n", {}),
        (400, 'multipart/related; type="application/dicom"; boundary=x', b"--x--\r\n", {"Accept": "a/b;q=2"}),
        (406, 'multipart/related; type="application/dicom"; boundary=x', b"--x--\r\n", {"Accept": "image/png"}),
        (415, "text/plain", b"x", {}),
        (415, "", b"x", {}),
        (415, "multipart/form-data; boundary=x", b"--x--\r\n", {}),
        (415, 'multipart/related; type="image/jpeg"; boundary=x', b"--x--\r\n", {}),
        (415, 'multipart/related; type="', b"--x--\r\n", {}),
        (400, "application/dicom", b"", {}),
    ],
)
def test_status_codes(server, status, content_type, data, headers):
    answer = post(server, data, content_type, **headers)
    assert answer.status_code == status, answer.text
    if status != 409:
        assert set(answer.json()) == {"error", "reason"}


@pytest.mark.parametrize("study", ["_design", "..%2Fx", "a%20b", "1" * 65, "%00", "1%3A2"])
def test_paths_that_name_no_study(server, study):
    answer = requests.post(
        f"{server.url}/studies/{study}", data=b"x", headers={"Content-Type": "application/dicom"}, timeout=30
    )
    assert answer.status_code in (400, 404), answer.text
    assert server.get(f"/studies/{study}/metadata").status_code in (400, 404)


def test_the_mark_of_study_documents_is_no_series(server):
    answer = server.get("/studies/1.2/series/study/metadata")
    assert answer.status_code == 400
    assert "reserved" in answer.json()["reason"]


def test_a_client_that_may_not_write_is_told(server):
    if "@" not in server.database:
        pytest.skip("this database asks for no credentials")
    content = proper(NAME)
    answer = requests.post(
        f"{server.url}/studies",
        data=content,
        auth=("nobody", "x"),
        headers={"Content-Type": "application/dicom"},
        timeout=30,
    )
    assert answer.status_code == 401, answer.text
    assert "WWW-Authenticate" in answer.headers
    assert server.store(content).status_code == 200


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/dicom", b""),
        ("application/dicom", b"hello"),
        ("application/dicom", bytes(1000)),
        ('multipart/related; type="application/dicom"; boundary=b', b""),
        ('multipart/related; type="application/dicom"; boundary=b', b"--b--"),
        ('multipart/related; type="application/dicom"; boundary=b', b"--b\r\n\r\n\r\n--b--"),
        ('multipart/related; type="application/dicom"; boundary=b', b"--b\r\n\r\nx\r\n--b\r\n\r\n<html>\r\n--b--"),
        ('multipart/related; type="application/dicom"; boundary=b', b"no multipart"),
        ("application/dicom+json", b""),
        ("application/dicom+json", b"[]"),
        ("application/dicom+json", b"[7]"),
        ("application/dicom+json", b"{"),
        ("application/dicom+xml", b""),
        ("application/dicom+xml", b"<a/>"),
        ('multipart/related; type="application/dicom+json"; boundary=b', b"--b--"),
    ],
)
def test_a_body_without_any_dicom(server, kind, body):
    """PS3.18 Table 10.5.3-1: 400 says that nothing could be stored as the syntax is bad."""
    answer = requests.post(f"{server.url}/studies", data=body, headers={"Content-Type": kind}, timeout=30)
    assert answer.status_code == 400, answer.text
    assert answer.json().get("reason") or items(answer, OTHER)[0]["00000902"]["Value"][0]


def test_no_uid_is_cut_in_a_comment(server):
    """A comment has 64 characters (LO, PS3.5 Table 6.2-1): what does not fit is left out by the word."""
    study, other = "1." + "2" * 62, "1." + "3" * 62
    files = [made(study=study, series=f"1.4.{number}", instance=f"1.5.{number}") for number in (1, 2)]
    answer = server.store(*files, study=other)
    assert answer.status_code == 409
    comments = [item["00000902"]["Value"][0] for item in items(answer, FAILED)]
    assert comments == ["not of the study that the request names"] * 2
