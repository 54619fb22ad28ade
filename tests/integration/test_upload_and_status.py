"""The form of the upload page, and what is counted by all processes of a server."""

import os
import re
import signal
import time
import uuid

import psutil
import pytest
import requests

from dicouch.server.counters import STEP
from tests.made import instance
from tests.unit.test_metrics import samples


def root(server):
    return server.url.removesuffix("/dicom-web")


def uid():
    return f"2.25.{uuid.uuid4().int % 10**30}"


def page(server):
    return requests.get(f"{root(server)}/ui/upload", timeout=30)


def send(server, *files, token=None, headers=None):
    token = re.search('name="token" value="(.+?)"', page(server).text)[1] if token is None else token
    sent = [("file", (name, content)) for name, content in files]
    return requests.post(f"{root(server)}/ui/upload", data={"token": token}, files=sent, headers=headers, timeout=60)


def count(server, study):
    return len(server.get("/instances", params={"StudyInstanceUID": study}).json() or [])


def test_a_form_with_files_of_every_kind(server):
    study = uid()
    good = [(f"folder/{n}.dcm", instance(study, f"{study}.1", f"{study}.1.{n}")) for n in range(3)]
    large = ("large.dcm", instance(study, f"{study}.1", f"{study}.1.9", pixels=bytes(40_000)))
    bad = [("notes<b>.txt", b"hello"), ("empty.dcm", b""), ("", b"")]
    answer = send(server, good[0], bad[0], large, good[1], bad[1], good[2], bad[2], ("again.dcm", good[0][1]))
    assert answer.status_code == 202
    assert "5 instances stored, 2 files not stored" in answer.text
    told = [re.sub("<.*?>", "|", row) for row in re.findall(r'<tr role="row"><td.*?</tr>', answer.text)]
    assert any("notes&lt;b&gt;.txt" in row and "not a DICOM file" in row and "(C000H)" in row for row in told)
    assert any("empty.dcm" in row and "empty" in row for row in told)
    assert f'href="/ui/studies/{study}"' in answer.text
    assert count(server, study) == 4
    again = send(server, good[0])
    assert again.status_code == 200
    assert "already stored, the same bytes" in again.text


def test_what_is_no_form_of_the_page(server):
    study = uid()
    file = ("a.dcm", instance(study, f"{study}.1", f"{study}.1.1"))
    assert send(server, file, token="x").status_code == 403
    assert send(server, file, headers={"Origin": "http://evil.example"}).status_code == 403
    assert send(server).status_code in (400, 415)
    url = f"{root(server)}/ui/upload"
    assert requests.post(url, files=[("file", file)], timeout=30).status_code == 403
    assert requests.post(url, data={"token": "x"}, timeout=30).status_code == 415
    for kind in ("multipart/form-data", "multipart/form-data; boundary="):
        assert requests.post(url, data=b"--x--", headers={"Content-Type": kind}, timeout=30).status_code == 400
    assert count(server, study) == 0


def test_a_form_that_ends_early(server):
    """What came is stored, and the page says that more was meant to come."""
    study = uid()
    token = re.search('name="token" value="(.+?)"', page(server).text)[1]
    body = b"".join(
        b'--b\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n' % one
        for one in (
            (b"token", b"", token.encode()),
            (b"file", b'; filename="a.dcm"', instance(study, f"{study}.1", f"{study}.1.1")),
            (b"file", b'; filename="b.dcm"', b"cut off"),
        )
    )
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = requests.post(f"{root(server)}/ui/upload", data=body[:-2], headers=headers, timeout=30)
    assert answer.status_code == 202
    assert "1 instance stored" in answer.text
    assert "ended early" in answer.text
    assert count(server, study) == 1


def test_scripts_and_the_policy_of_the_page(server):
    told = page(server)
    assert "script-src" in told.headers["Content-Security-Policy"]
    for source in re.findall('<script src="(.+?)"', told.text):
        script = requests.get(root(server) + source, timeout=30)
        assert script.status_code == 200
        assert script.headers["Content-Type"].startswith("text/javascript")
        assert script.headers["X-Content-Type-Options"] == "nosniff"
    assert requests.get(f"{root(server)}/ui/scripts/none", timeout=30).status_code == 404


def metrics(server):
    answer = requests.get(f"{root(server)}/metrics", timeout=30)
    assert answer.status_code == 200
    return samples(answer.text)


def test_all_processes_are_counted_and_one_that_is_killed_stays_so(server):
    name = ("dicouch_requests_total", ("route", "CountStudies"), ("status", "200"))
    master = psutil.Process(server.pid)
    before = metrics(server).get(name, 0)
    for _ in range(20):
        assert server.get("/studies/count").status_code == 200  # each on a connection of its own
    assert metrics(server)[name] == before + 20
    victim = master.children()[0]
    os.kill(victim.pid, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while victim.pid in {child.pid for child in master.children()} or len(master.children()) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    for _ in range(10):
        server.get("/studies/count")
    told = metrics(server)
    assert told[name] == before + 30
    assert told[("dicouch_requests_active",)] == 1  # this one


def test_bytes_and_the_database(server):
    study = uid()
    file = instance(study, f"{study}.1", f"{study}.1.1", pixels=bytes(100_000))
    before = metrics(server)
    assert server.store(file).status_code == 200
    got = server.get(f"/studies/{study}", headers={"Accept": "application/zip"}).content
    after = metrics(server)

    def grew(name, *labels):
        return after[name, *labels] - before.get((name, *labels), 0)

    assert len(file) < grew("dicouch_request_bytes_total", ("route", "StoreInstances")) < len(file) + 1000
    assert grew("dicouch_response_bytes_total", ("route", "RetrieveStudy")) == len(got)
    assert sum(after[name] for name in after if name[0] == "dicouch_couchdb_requests_total") > 0
    assert after["dicouch_index_behind", ("design", "dicom")] >= 0
    assert after[("dicouch_couchdb_up",)] == 1


def test_no_label_is_of_a_patient(server):
    study = uid()
    server.store(instance(study, f"{study}.1", f"{study}.1.1", PatientName="Secret^Name"))
    server.get(f"/studies/{study}/series/{study}.1/metadata")
    server.get(f"/nowhere/{study}")
    answer = requests.get(f"{root(server)}/metrics", timeout=30).text
    assert study not in answer
    assert "Secret" not in answer


def test_the_status(server):
    deadline = time.monotonic() + 6 * STEP
    # The first chart is of what came between the first two steps of a server's history.
    while '<svg role="img"' not in (answer := requests.get(f"{root(server)}/ui/status", timeout=30)).text:
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.5)
    assert answer.status_code == 200
    assert answer.text.count('<svg role="img"') == answer.text.count("<section><h2>") > 1
    assert "Threads that answer requests" in answer.text
    assert "script-src" in answer.headers["Content-Security-Policy"]
    assert "http-equiv" not in requests.get(f"{root(server)}/ui/status?still=1", timeout=30).text
    stranger = {"X-Forwarded-For": "192.0.2.7"}
    for path in ("/ui/status", "/metrics"):
        assert requests.get(root(server) + path, headers=stranger, timeout=30).status_code == 401
    assert requests.get(f"{server.url}/ui/status", timeout=30).status_code == 200


@pytest.mark.parametrize("path", ["/ui/upload", "/ui/status", "/metrics", "/ui/scripts/upload"])
def test_foreign_pages_and_names(server, path):
    url = root(server) + path
    assert requests.get(url, headers={"Origin": "http://evil.example"}, timeout=30).status_code == 403
    assert requests.get(url, headers={"Host": "evil.example"}, timeout=30).status_code == 421
