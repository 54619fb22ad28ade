"""The requests of clients that do not run here, in their order, as their sources make them: Weasis and 3D Slicer."""

from __future__ import annotations

from io import BytesIO
from urllib.parse import quote

import numpy as np
import pytest
import requests
from dicomweb_client import DICOMwebClient
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian

from tests.clients.conftest import STUDY
from tests.integration.gallery import parts_of
from tests.made_objects import pixels_of

# Weasis, RsQueryResult.java: STUDY_QUERY, SERIES_QUERY and INSTANCE_QUERY
STUDIES = (
    "&includefield=00080020,00080030,00080050,00080061,00080090,00081030,00100010,00100020,00100021,"
    "00100030,00100040,0020000D,00200010"
)
SERIES, INSTANCES = "0008103E,00080060,0020000E,00200011,00081190", "00080018,00200013,00081190"
STORED = 'multipart/related;type="application/dicom";transfer-syntax=*'


def value(row: dict, tag: str) -> str:
    return row[tag]["Value"][0]


def json_of(url: str) -> list[dict]:
    answer = requests.get(url, headers={"Accept": "application/dicom+json"}, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("00100020=LB1", True),
        ("00100010=" + quote("Beethoven*", safe=""), True),
        ("00080050=LB-7", True),
        ("00080061=CT,MR&00080020=20240101-20240131", True),
        ("0020000D=" + STUDY, True),
        ("", True),
        ("00100020=LB1&00100021=elsewhere", False),
    ],
)
def test_weasis_searches_studies(hospital, key, found):
    """A key may be empty, which leaves `?&includefield`."""
    rows = json_of(f"{hospital.server.url}/studies?{key}{STUDIES}")
    assert (STUDY in [value(row, "0020000D") for row in rows]) == found
    if key and found:
        (row,) = rows
        assert {"00080020", "00080061", "00081030", "00100010", "00100020", "00200010"} <= set(row)


def test_weasis_opens_a_study(hospital):
    """From study to series to instances, each by the Retrieve URL of the row, and the stored bytes of each instance."""
    root = hospital.server.url
    got = {}
    for series in json_of(f"{root}/studies/{STUDY}/series?includefield={SERIES}"):
        assert value(series, "00081190") == f"{root}/studies/{STUDY}/series/{value(series, '0020000E')}"
        for row in json_of(f"{value(series, '00081190')}/instances?includefield={INSTANCES}"):
            answer = requests.get(value(row, "00081190"), headers={"Accept": STORED}, timeout=30)
            assert answer.status_code == 200
            ((_, got[value(row, "00080018")], _),) = parts_of(answer)
    of = {str(item.SOPInstanceUID): name for name, item in hospital.datasets.items() if item.StudyInstanceUID == STUDY}
    assert got == {uid: hospital.files[name] for uid, name in of.items()}


def test_weasis_opens_what_a_link_names(hospital):
    """weasis://$dicom:rs with seriesUID or objectUID asks for the rows at the root."""
    root = hospital.server.url
    (series,) = json_of(f"{root}/series?0020000E={STUDY}.1{STUDIES},{SERIES}")
    assert (value(series, "0020000D"), value(series, "00081190")) == (STUDY, f"{root}/studies/{STUDY}/series/{STUDY}.1")
    (row,) = json_of(f"{root}/instances?00080018={STUDY}.1.2{STUDIES},{SERIES},{INSTANCES}")
    assert value(row, "0020000E") == f"{STUDY}.1"
    assert value(row, "00081190") == f"{root}/studies/{STUDY}/series/{STUDY}.1/instances/{STUDY}.1.2"
    assert row["00100010"]["Value"] == [{"Alphabetic": "Beethoven^Ludwig"}]


@pytest.mark.parametrize("bulk", [True, False])
def test_slicer_imports_a_study(hospital, bulk):
    """DICOMUtils.importFromDICOMWeb: a series as a stream (bulkRetrieve), or each instance."""
    client = DICOMwebClient(url=hospital.server.url)
    got = {}
    for series in client.search_for_series(study_instance_uid=STUDY):
        uid = value(series, "0020000E")
        described = client.retrieve_series_metadata(study_instance_uid=STUDY, series_instance_uid=uid)
        names = [value(row, "00080018") for row in described]
        came = (
            client.iter_series(study_instance_uid=STUDY, series_instance_uid=uid)
            if bulk
            else (client.retrieve_instance(STUDY, uid, name) for name in names)
        )
        for instance in came:
            target = BytesIO()
            instance.save_as(target)
            got[str(instance.SOPInstanceUID)] = dcmread(BytesIO(target.getvalue()))
            assert instance.SOPInstanceUID in names
    expected = {str(item.SOPInstanceUID): item for item in hospital.datasets.values() if item.StudyInstanceUID == STUDY}
    assert got.keys() == expected.keys()
    for uid, dataset in expected.items():
        assert got[uid].PatientName == dataset.PatientName
        # A series is asked for without a transfer syntax (PS3.18 8.7.3.5.2), an instance with `*`.
        assert got[uid].file_meta.TransferSyntaxUID in (ExplicitVRLittleEndian, dataset.file_meta.TransferSyntaxUID)
        assert got[uid].file_meta.TransferSyntaxUID == ExplicitVRLittleEndian or not bulk
        assert np.array_equal(pixels_of(got[uid]), pixels_of(dataset))


def test_slicer_browses(hospital):
    """DICOMwebBrowser.py: all studies without a limit, series and instances, and what its tables show of each row."""
    client = DICOMwebClient(url=hospital.server.url)
    studies = client.search_for_studies()
    (study,) = [row for row in studies if value(row, "0020000D") == STUDY]
    assert value(study, "00100010") == {"Alphabetic": "Beethoven^Ludwig"}
    assert [value(study, tag) for tag in ("00100020", "00080020", "00081030")] == ["LB1", "20240102", "Head and neck"]
    assert {"CT", "MR"} <= set(study["00080061"]["Value"])
    for series in client.search_for_series(STUDY):
        assert {"00080060", "0008103E", "00200011"} <= set(series)
        rows = client.search_for_instances(STUDY, value(series, "0020000E"))
        assert len(rows) == value(series, "00201209")
        for row in rows:
            assert client.retrieve_instance(STUDY, value(series, "0020000E"), value(row, "00080018"))
