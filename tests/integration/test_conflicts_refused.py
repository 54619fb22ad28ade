"""Corrections that are refused: bodies, values, forms of other sites; nothing of them stays."""

import json
import re
import socket
from urllib.parse import urlencode, urlsplit

import pytest
import requests

from tests.integration.test_conflicts import Study, study

__all__ = ["study"]


@pytest.fixture(scope="module")
def unchanged(server):
    """Give one study for all that is refused: its history stays empty."""
    return Study(server)


@pytest.mark.either_database
@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"tag": "PatientName", "value": "x" * 10_000}, 400, "10000 characters"),
        ({"tag": "PatientName", "value": "a^b^c^d^e^f"}, 400, "five components"),
        ({"tag": "PatientName", "value": {"vr": "LO", "Value": ["x"]}}, 400, "VR PN"),
        ({"tag": "PatientName", "value": {"vr": "PN", "BulkDataURI": "bulkdata/00100010"}}, 400, "no attribute"),
        ({"tag": "PatientName", "value": True}, 400, "value"),
        ({"tag": "PatientName", "value": "a\u0000b"}, 400, "control character"),
        ({"tag": "PatientBirthDate", "value": "31.12.1999"}, 400, "no date"),
        ({"tag": "PatientBirthDate", "value": "20230229"}, 400, "no date"),
        ({"tag": "PatientSex", "value": "m"}, 400, "capital letters"),
        ({"tag": "PatientID", "value": "a\\b"}, 400, "takes one"),
        ({"tag": "StudyInstanceUID", "value": "1.2.3"}, 400, "cannot be corrected"),
        ({"tag": "PixelData", "value": ""}, 400, "no attribute of a study"),
        ({"tag": "Nonsense", "value": ""}, 400, "keyword"),
        ({"tag": "Manufacturer", "value": "x"}, 400, "no attribute of a study"),
        ({"tag": "ReferencedStudySequence", "value": "x"}, 400, "typed"),
        ({"tag": "PatientName"}, 400, "undo"),
        ({"tag": "PatientName", "value": "x", "undo": True}, 400, "undo"),
        ({"tag": "PatientName", "value": "x", "by": ""}, 400, "who"),
        ({"tag": "PatientName", "value": "x", "by": "x" * 200}, 400, "100 characters"),
        ({"tag": "PatientName", "value": "x", "more": 1}, 400, "more"),
        ({"tag": "PatientName", "value": "x", "scope": "archive"}, 400, "scope"),
        ({"tag": "StudyDate", "value": "20200101", "scope": "patient"}, 400, "scope"),
        ({"tag": "PatientName", "undo": True}, 409, "nothing to undo"),
        ({"tag": "Manufacturer", "value": "x", "series": "1.2.3"}, 404, "no such"),
    ],
)
def test_refused(unchanged, body, status, reason):
    response = unchanged.post(**body)
    assert response.status_code == status, response.text
    assert set(response.json()) == {"error", "reason"}
    assert reason in response.json()["reason"]
    assert unchanged.state()["history"] == []


def chunked(url, data, kind):
    return requests.post(url, data=iter([data]), headers={"Content-Type": kind}, timeout=60).status_code


def test_bodies_that_are_cut_off_or_too_long(server, study):
    page, api = server.url.removesuffix("/dicom-web") + f"/ui/conflicts/{study.uid}", f"{study.path}/conflicts"
    form = {"by": "Ann", "tag": "PatientName", "choice": "other", "action": "save", "other": "Doe^Johanna"}
    text = urlencode(form)
    assert chunked(page, text.encode() + b"x" * 1_000_000, "application/x-www-form-urlencoded") == 413
    assert chunked(server.url + api, b" " * 1_000_001 + b"{}", "application/json") == 413
    for path, kind, data in (
        (f"/ui/conflicts/{study.uid}", "application/x-www-form-urlencoded", text[:-3]),
        (f"/dicom-web{api}", "application/json", json.dumps({"by": "A", "tag": "PatientName", "value": "Doe"})),
    ):
        root = urlsplit(server.url)
        with socket.create_connection((root.hostname, root.port), timeout=30) as connection:
            head = f"POST {path} HTTP/1.1\r\nHost: {root.netloc}\r\nContent-Type: {kind}\r\n"
            connection.sendall(f"{head}Content-Length: {len(data) + 3}\r\n\r\n{data}".encode())
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(65536).split()[1] == b"400"
    assert study.state()["history"] == []
    # Another site's page can send a form, but not read this one's token; nor is that of another study taken.
    for wrong in ({}, {"token": ""}, {"token": "x"}, {"token": token_of(page.replace(study.uid, Study(server).uid))}):
        answer = requests.post(page, data={**form, **wrong}, allow_redirects=False, timeout=30)
        assert answer.status_code == 403
        assert "choose again" in answer.text
    assert study.state()["history"] == []
    form["token"] = token_of(page)
    assert requests.post(page, data=form, allow_redirects=False, timeout=30).status_code == 303
    assert study.state()["history"] != []


def token_of(page):
    """Return the token of a page's forms, each of which has it."""
    text = requests.get(page, timeout=30).text
    tokens = re.findall(r'<input type="hidden" name="token" value="([0-9a-f]{64})">', text)
    assert len(tokens) == text.count("<form ") > 1
    return tokens[0]


def test_refused_before_it_is_read(server, study):
    url = f"{server.url}{study.path}/conflicts"
    assert requests.post(url, data="{}", headers={"Content-Type": "text/plain"}, timeout=30).status_code == 415
    for body in (b"{", b"[]", b"null", b'"x"'):
        answer = requests.post(url, data=body, headers={"Content-Type": "application/json"}, timeout=30)
        assert answer.status_code == 400
        assert "reason" in answer.json()
    assert server.get("/studies/1.2.3.4/conflicts").status_code == 404
    body = {"tag": "PatientName", "value": "x", "by": "x"}
    assert requests.post(f"{server.url}/studies/1.2.3.4/conflicts", json=body, timeout=30).status_code == 404
    assert server.get("/conflicts?state=x").status_code == 400
    assert server.get("/conflicts?limit=0").status_code == 400
    assert server.get('/conflicts?from=["fixed"]').status_code == 400
