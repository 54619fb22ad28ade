"""What differs by acquisition or series within a study is no disagreement (PS3.3 C.7.2.2, C.7.5.1)."""

import pytest
import requests

from tests.integration.test_conflicts import fresh_uid, make

# What depends on the database is tested on both by test_qido_matching.py and test_store_and_retrieve.py.
pytestmark = pytest.mark.one_database("embedded")

WEIGHTS = (70, 71, 80)


@pytest.fixture
def weighed(server):
    """A study whose instances have weights, ages and institutions of their own."""
    uid = fresh_uid()
    files = [
        make(uid, series, PatientWeight=weight, PatientAge=f"0{weight}Y", PatientID="W", InstitutionName=name)
        for series, weight, name in zip((1, 1, 2), WEIGHTS, ("one", "two", "three"), strict=True)
    ]
    answers = [server.store(file) for file in files]
    return server, f"/studies/{uid}", answers


def weights(server, path):
    return [row.get("00101030", {}).get("Value", [None])[0] for row in server.get(path).json()]


def test_what_differs_by_acquisition_does_not_disagree(weighed):
    """A weight is the acquisition's (PS3.3 C.7.2.2), an institution the equipment's and so the series' (C.7.5.1)."""
    server, path, answers = weighed
    warnings = [answer.headers.get("Warning", "") for answer in answers]
    assert ["InstitutionName" in warning for warning in warnings] == [False, True, False]
    assert not any("PatientWeight" in warning or "PatientAge" in warning for warning in warnings)
    told = server.get(f"{path}/conflicts").json()
    assert [(one["name"], one["level"]) for one in told["attributes"]] == [("Institution Name", "series")]


def test_rows_show_the_weight_of_their_own(weighed):
    server, path, _answers = weighed
    uid, asked = path.rpartition("/")[2], "includefield=PatientWeight"
    for rows in (f"{path}/instances?", f"/instances?StudyInstanceUID={uid}&"):
        for include in (asked, "includefield=all"):
            assert weights(server, f"{rows}{include}") == list(WEIGHTS)
    for rows in (f"{path}/series?", f"/series?StudyInstanceUID={uid}&"):
        assert weights(server, f"{rows}{asked}") == [70, 80]
        assert weights(server, f"{rows}PatientWeight=80") == [80]
    assert weights(server, f"/studies?StudyInstanceUID={uid}&{asked}") == [70]
    assert weights(server, f"/studies?StudyInstanceUID={uid}&PatientWeight=70.0") == [70]
    assert weights(server, f"{path}/instances?PatientWeight=71") == [71]
    assert weights(server, f"{path}/series/{uid}.2/instances?{asked}&PatientAge=080Y") == [80]


def test_a_weight_can_be_fixed_all_the_same(weighed):
    server, path, _answers = weighed
    body = {"tag": "PatientWeight", "value": "75", "by": "Ann"}
    requests.post(f"{server.url}{path}/conflicts", json=body, timeout=60).raise_for_status()
    uid = path.rpartition("/")[2]
    (study,) = server.get(f"/studies?StudyInstanceUID={uid}&includefield=PatientWeight").json()
    assert study["00101030"]["Value"] == [75]
    for rows in (f"{path}/metadata", f"{path}/instances?includefield=PatientWeight"):
        assert weights(server, rows) == [75] * 3
    (told,) = (one for one in server.get(f"{path}/conflicts").json()["attributes"] if one["tag"] == "00101030")
    assert sorted(value["text"] for value in told["values"]) == ["70", "71", "75", "80"]
    undo = {"tag": "PatientWeight", "undo": True, "by": "Ann"}
    requests.post(f"{server.url}{path}/conflicts", json=undo, timeout=60).raise_for_status()
    assert weights(server, f"{path}/metadata") == list(WEIGHTS)
