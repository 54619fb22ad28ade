"""QIDO-RS as viewers ask for it, over files stored in every character set (PS3.5 6.1)."""

from urllib.parse import quote

import pytest
import requests
from pydicom import dcmread
from pydicom.data import get_charset_files, get_testdata_file
from pydicom.dataset import Dataset

from tests.archive import fill
from tests.awkward_files import proper
from tests.integration.conftest import serve
from tests.made import instance
from tests.made_objects import as_bytes
from tests.unit.made_part10 import element

# What depends on the database is tested on both by test_qido_matching.py and test_store_and_retrieve.py.
pytestmark = pytest.mark.one_database("couchdb")

WIDE = [
    *["/studies", "/series", "/instances", "/patients", "/studies/1.2.826.0.1.7/instances", "/studies?PatientName=*"],
    *["/studies?StudyDescription=*of*", "/series?Modality=*", "/studies?PatientID=P*", "/instances?PatientID=P00000*"],
]
OHIF = "limit=101&offset=0&fuzzymatching=true&includefield=00081030%2C00080060%2C00080090%2C00100030"


@pytest.fixture(scope="module")
def stored(server):
    """Store the files of all character sets; return their data sets by SOP Instance UID."""
    files = {}
    for path in get_charset_files("*.dcm"):
        dataset = dcmread(path)
        if "StudyInstanceUID" not in dataset or "PatientName" not in dataset:
            continue
        with open(path, "rb") as file:
            answer = server.store(file.read())
        if answer.status_code == 200:
            files[str(dataset.SOPInstanceUID)] = dataset
    assert len(files) > 5
    return files


def test_names_are_found_in_every_character_set(server, stored):
    for dataset in stored.values():
        dataset.decode()
        groups = [group for group in str(dataset.PatientName).split("=") if group.strip()]
        for group in groups:
            for value in (group, group[: max(2, len(group) // 2)] + "*", f"*{group[1:]}"):
                rows = server.get(f"/studies?PatientName={quote(value)}").json()
                uids = [row["0020000D"]["Value"][0] for row in rows]
                assert str(dataset.StudyInstanceUID) in uids, (dataset.SpecificCharacterSet, value)
        for row in rows:
            assert row["00080005"] == {"vr": "CS", "Value": ["ISO_IR 192"]}


def test_names_in_latin_9(server):
    """ISO_IR 203, alone and after an escape sequence (PS3.3 Tables C.12-2, C.12-3): letters that Latin-1 lacks."""
    name = "Cœurová^Šárka€Ÿ"
    alone = element(0x00080005, "CS", "ISO_IR 203"), name.encode("iso8859-15")
    escapes = b"^".join(b"\x1b-b" + part.encode("iso8859-15") for part in name.split("^"))  # anew behind a delimiter
    extended = element(0x00080005, "CS", "\\ISO 2022 IR 203"), escapes
    files = [proper(charset, element(0x00100010, "PN", coded)) for charset, coded in (alone, extended)]
    assert server.store(*files).status_code == 200
    exact = [
        name,
        name.upper(),
        "cœurová šárka€ÿ",
        "Cœurová^*",
        "c?urová*",
        "*?urová*",
        "*œurov*",
        "*^Š?rka€Ÿ",
        "*rka€?",
    ]
    for query in [
        *(quote(key) for key in exact),
        *(f"{quote(key)}&fuzzymatching=true" for key in ("cœur sár", "šárka")),
    ]:
        rows = server.get(f"/studies?PatientName={query}").json()
        assert [row["00100010"]["Value"] for row in rows] == [[{"Alphabetic": name}]] * 2, query
    for other in ("C½urová*", "*¦árka*", "*¤*"):  # what Latin-1 has in their places
        assert server.get(f"/studies?PatientName={quote(other)}").json() == []


def test_the_study_list_of_ohif(server, stored):
    dataset = next(iter(stored.values()))
    answer = server.get(f"/studies?{OHIF}&00100020={quote('*' + str(dataset.PatientID or '') + '*')}")
    assert answer.status_code == 200
    assert str(dataset.StudyInstanceUID) in [row["0020000D"]["Value"][0] for row in answer.json()]
    uid = str(dataset.StudyInstanceUID)
    (row,) = server.get(f"/studies?{OHIF}&StudyInstanceUID={uid}").json()
    assert {"0020000D", "00080020", "00080030", "00080050", "00100020", "00100010", "00201208", "00080061"} <= set(row)
    (series,) = server.get(f"/studies/{uid}/series?includefield=00080021%2C00080031%2C0008103E%2C00200011").json()
    assert {"0020000E", "00080060", "00200011", "00201209"} <= set(series)


def test_a_study_without_modality_does_not_break_the_list_of_ohif(server):
    # OHIF 3.13 reads the length of ModalitiesInStudy's values: one row without them, and it shows no study at all.
    dataset = dcmread(get_testdata_file("SC_rgb_small_odd_big_endian.dcm"))
    del dataset.Modality
    del dataset.PatientName
    answer = server.store(as_bytes(dataset))
    assert answer.status_code == 200, answer.text
    (row,) = server.get(f"/studies?{OHIF}&StudyInstanceUID={dataset.StudyInstanceUID}").json()
    assert "Value" in row.get("00080061", {"Value": None})
    assert row["00100010"] == {"vr": "PN"}


def test_offsets_from_utc_at_every_level(server):
    """Tables 10.6.3-3 to 10.6.3-5 name (0008,0201); what one instance says of its times is not said of another's."""
    for series, offset in (("6.1.1", "+0100"), ("6.1.2", "+0200"), ("6.1.3", None)):
        own = {"TimezoneOffsetFromUTC": offset} if offset else {}
        answer = server.store(instance("6.1", series, f"{series}.1", SeriesNumber=series[-1], **own))
        assert answer.status_code == 200, answer.text

    def offsets(path):
        return [row.get("00080201", {}).get("Value", [None])[0] for row in server.get(path).json()]

    assert offsets("/studies?StudyInstanceUID=6.1") == ["+0100"]
    own = ["+0100", "+0200", None]
    for path in ("/studies/6.1/series", "/studies/6.1/instances", "/studies/6.1/metadata"):
        assert offsets(path) == own
    for path in ("/series?StudyInstanceUID=6.1", "/instances?StudyInstanceUID=6.1"):
        assert offsets(path) == own
    requests.delete(f"{server.url}/studies/6.1/series/6.1.1", timeout=30).raise_for_status()
    assert offsets("/studies?StudyInstanceUID=6.1") == ["+0200"]


def ordered(value):
    """Whether the attributes of a data set and of its items are in ascending order (PS3.18 F.2.2)."""
    if isinstance(value, list):
        return all(map(ordered, value))
    if not isinstance(value, dict):
        return True
    own = "vr" in value or list(value) == sorted(value)
    return own and all(map(ordered, value.values()))


def test_attributes_are_in_ascending_order_whatever_their_tags(server):
    item = Dataset()
    item.WaveformSampleInterpretation, item.WaveformBitsAllocated, item.NumberOfWaveformChannels = "SS", 16, 1
    answer = server.store(instance("5.1", "5.1.1", "5.1.1.1", WaveformSequence=[item]))
    assert answer.status_code == 200, answer.text
    (row,) = server.get("/studies/5.1/instances?includefield=all").json()
    (data,) = server.get("/studies/5.1/metadata").json()
    for each in (row, data):
        assert "54000100" in each
        assert ordered(each)


def test_the_limit_of_the_server(fresh_database, tmp_path):
    """Rows behind SEARCH_LIMIT are counted in a Warning (PS3.18 8.3.4.4.1); a limit of the client needs none."""
    with serve(fresh_database, tmp_path / "gunicorn.log", SEARCH_LIMIT="5") as server:
        empty = not server.get("/studies/count?PatientID=P000003").json()["count"]
        if empty:
            fill(fresh_database, 0, 12, series=2, instances=2)
        for path in WIDE:
            resource, _, query = path.partition("?")
            total = server.get(f"{resource}/count?{query}").json()["count"]
            answer = server.get(path)
            expected = f'"There are {total - 5} additional results that can be requested"' if total > 5 else None
            warning = answer.headers.get("Warning")
            assert len(answer.json()) == min(total, 5)
            assert (warning or "").endswith(expected or ""), path
            assert bool(warning) == bool(expected)
            joint = "&" if query else "?"
            assert "Warning" not in server.get(f"{path}{joint}limit=5").headers
            assert "additional results" in server.get(f"{path}{joint}limit=6").headers.get("Warning", "") or total <= 5
