"""Orthanc's DICOMweb plugin as a client of this server, as the Orthanc Book shows it (plugins/dicomweb.html)."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from io import BytesIO

import pytest
import requests
from pydicom import dcmread

from dicouch.scripts import processes
from dicouch.scripts.bench import orthanc
from tests.clients.conftest import STUDY
from tests.conftest import skip
from tests.made import instance
from tests.server import free_port

# The same requests are tested on both databases elsewhere.
pytestmark = pytest.mark.one_database("couchdb")


@pytest.fixture(scope="module")
def peer(hospital, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run Orthanc, which knows the server as `dicouch`; give its root."""
    found = orthanc.find()
    if isinstance(found, str):
        skip(pytestconfig, "from Orthanc", found.replace(": measured without it", ""))
    program, plugin = found
    folder, port = tmp_path_factory.mktemp("orthanc"), free_port()
    settings = orthanc.configuration(folder, port, plugin)
    settings["DicomWeb"]["Servers"] = {"dicouch": {"Url": f"{hospital.server.url}/", "ChunkedTransfers": True}}
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with open(folder / "orthanc.log", "wb") as log:
        command = [str(program), str(folder / "orthanc.json")]
        process = processes.start(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    root = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                requests.get(f"{root}/system", timeout=10).raise_for_status()
                break
            except requests.ConnectionError:
                assert process.poll() is None, (folder / "orthanc.log").read_text(errors="replace")[-2000:]
                time.sleep(0.1)
        yield root
    finally:
        processes.stop(process, 30)


def ask(peer: str, service: str, **body: object) -> requests.Response:
    """Have Orthanc ask the server; the answer must be a success."""
    answer = requests.post(f"{peer}/dicom-web/servers/dicouch/{service}", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer


def test_orthanc_searches(peer):
    """It gives rows in a form of its own, with one text for each value."""
    (study,) = ask(peer, "qido", Uri="/studies", Arguments={"00100020": "LB1"}).json()
    assert study["0020000D"]["Value"] == STUDY
    found = ask(peer, "qido", Uri=f"/studies/{STUDY}/series", Arguments={"00080060": "CT"}).json()
    assert [row["0020000E"]["Value"] for row in found] == [f"{STUDY}.1"]
    got = ask(peer, "get", Uri=f"/studies/{STUDY}/metadata", HttpHeaders={"Accept": "application/dicom+json"})
    assert len(got.json()) == 5


def test_orthanc_retrieves_a_study(hospital, peer):
    ask(peer, "retrieve", Resources=[{"Study": STUDY}])
    (study,) = requests.post(
        f"{peer}/tools/find",
        json={"Level": "Study", "Query": {"StudyInstanceUID": STUDY}, "Expand": True},
        timeout=30,
    ).json()
    got = requests.get(f"{peer}/studies/{study['ID']}/instances", timeout=30).json()
    stored = {str(item.SOPInstanceUID): item for item in hospital.datasets.values() if item.StudyInstanceUID == STUDY}
    assert {row["MainDicomTags"]["SOPInstanceUID"] for row in got} == set(stored)
    for row in got:
        file = dcmread(BytesIO(requests.get(f"{peer}/instances/{row['ID']}/file", timeout=30).content))
        assert file.PatientName == "Beethoven^Ludwig"
        assert file.PixelData == stored[file.SOPInstanceUID].PixelData


def test_orthanc_stores_a_study(hospital, peer):
    """The body comes in chunks (RFC 9112 7.1)."""
    files = [instance("1.14.6", "1.14.6.1", f"1.14.6.1.{number}", pixels=bytes(2 * 512 * 512)) for number in (1, 2, 3)]
    for data in files:
        requests.post(f"{peer}/instances", data=data, timeout=30).raise_for_status()
    (study,) = requests.post(
        f"{peer}/tools/find", json={"Level": "Study", "Query": {"StudyInstanceUID": "1.14.6"}}, timeout=30
    ).json()
    ask(peer, "stow", Resources=[study], Synchronous=True)
    rows = hospital.server.get("/studies/1.14.6/instances").json()
    assert [row["00080018"]["Value"][0] for row in rows] == [f"1.14.6.1.{number}" for number in (1, 2, 3)]
    url = rows[0]["00081190"]["Value"][0]
    assert requests.get(url, headers={"Accept": "application/dicom; transfer-syntax=*"}, timeout=30).content == files[0]
