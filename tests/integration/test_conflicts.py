"""Studies whose attributes disagree: found, corrected, retrieved and undone (PS3.3 C.12.1.1.9)."""

import io
import itertools
import json
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from pydicom import dcmread
from pydicom.data import get_testdata_file

from dicouch.dicom.part10 import read_part10
from dicouch.tables import SERIES_TAGS, STUDY_TAGS

DICOM = {"Accept": "application/dicom; transfer-syntax=*"}
NUMBERS = itertools.count(1)


def fresh_uid():
    return f"2.25.{uuid.uuid4().int % 10**30}"


def make(study, series, name="CT_small.dcm", **attributes):
    dataset = dcmread(get_testdata_file(name))
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, f"{study}.{series}"
    dataset.SOPInstanceUID = f"{study}.{series}.{next(NUMBERS)}"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


class Study:
    """A study of three instances in two series that disagree about the patient's name and the manufacturer."""

    def __init__(self, server, **attributes):
        self.server = server
        self.uid = fresh_uid()
        patient = {"PatientID": self.uid[-16:], **attributes}
        self.files = [
            make(self.uid, 1, PatientName="Doe^John", Manufacturer="one", **patient),
            make(self.uid, 1, PatientName="Doe^John", Manufacturer="two", **patient),
            make(self.uid, 2, PatientName="Doe^Jon", StudyDescription="", **patient),
        ]
        # The instances of one request are stored side by side: the first of two is the first.
        server.store(self.files[0])
        self.answer = server.store(*self.files[1:])
        self.path = f"/studies/{self.uid}"

    def url(self, number):
        dataset = dcmread(io.BytesIO(self.files[number]), stop_before_pixels=True)
        return f"{self.path}/series/{dataset.SeriesInstanceUID}/instances/{dataset.SOPInstanceUID}"

    def instance(self, number, **options):
        response = self.server.get(self.url(number), **{"headers": DICOM, **options})
        assert response.status_code == 200, response.text
        return response

    def state(self):
        return self.server.get(f"{self.path}/conflicts").json()

    def attribute(self, tag):
        (found,) = [one for one in self.state()["attributes"] if one["tag"] == tag]
        return found

    def post(self, **body):
        body = {"by": "Ann", **body}
        return requests.post(f"{self.server.url}{self.path}/conflicts", json=body, timeout=60)

    def fix(self, **body):
        response = self.post(**body)
        assert response.status_code == 200, response.text
        return response.json()

    def found_by(self, **query):
        rows = self.server.get("/studies", params={"StudyInstanceUID": self.uid, **query}).json()
        return bool(rows)


@pytest.fixture
def study(server):
    return Study(server)


OWN = ["Doe^John", "Doe^John", "Doe^Jon"]


def alphabetic(metadata):
    return [row["00100010"]["Value"][0]["Alphabetic"] for row in metadata]


def test_the_answer_to_storing_names_what_disagrees(study):
    warning = study.answer.headers["Warning"]
    assert "PatientName" in warning
    again = study.server.store(study.files[0]).headers["Warning"]
    assert "PatientName" in again


def test_values_are_counted(study):
    name = study.attribute("00100010")
    assert [(value["text"], value["series"], value["instances"], value["current"]) for value in name["values"]] == [
        ("Doe^John", 1, 2, True),
        ("Doe^Jon", 1, 1, False),
    ]
    assert name["patient"] is True
    assert name["fix"] is None
    maker = study.attribute("00080070")
    assert maker["series"] == f"{study.uid}.1"
    assert [(value["text"], value["instances"]) for value in maker["values"]] == [("one", 1), ("two", 1)]
    listed = study.server.get("/conflicts?limit=1000").json()["studies"]
    (own,) = [one for one in listed if one["study"] == study.uid]
    assert {one["tag"] for one in own["attributes"]} == {"00100010", "00080070"}


@pytest.mark.one_database("embedded")
def test_without_a_fix_file_and_metadata_are_the_instance_s_own(study):
    """Metadata are the data set of the instance without bulk data (PS3.18 10.4.1.1.2), at every level."""
    paths = {number: study.url(number) for number in range(3)}
    whole = {one["00080018"]["Value"][0]: one for one in study.server.get(f"{study.path}/metadata").json()}
    for number, content in enumerate(study.files):
        assert study.instance(number).content == content
        (own,) = study.server.get(f"{paths[number]}/metadata").json()
        place = f"{study.server.url}{paths[number]}/"
        assert json.loads(json.dumps(own).replace(place, "")) == read_part10(io.BytesIO(content), len(content)).dataset
        assert own == whole[own["00080018"]["Value"][0]]
        series = study.server.get(f"{paths[number].partition('/instances')[0]}/metadata").json()
        assert own in series
    assert alphabetic(study.server.get(f"{study.path}/metadata").json()) == OWN
    (row,) = study.server.get("/studies", params={"StudyInstanceUID": study.uid}).json()
    assert alphabetic([row]) == ["Doe^John"]


def test_a_fix_is_what_everybody_sees(study):
    before = study.state()
    tag = study.server.get(f"{study.path}/metadata").headers.get("ETag")
    told = study.fix(tag="PatientName", value="Roe^Jane", seen="")
    assert told["changed"] == [f"{study.uid}:study"]
    assert study.found_by(PatientName="roe*")
    assert not study.found_by(PatientName="doe*")
    response = study.server.get(f"{study.path}/metadata", headers={"If-None-Match": tag} if tag else {})
    assert response.status_code == 200
    metadata = response.json()
    assert alphabetic(metadata) == ["Roe^Jane"] * 3
    (row,) = study.server.get(f"{study.path}/series/{study.uid}.2/instances?includefield=all").json()
    assert row["04000561"] == metadata[-1]["04000561"]
    assert "00100010" not in row  # the study has it, and the path names the study
    rows = study.server.get(f"/instances?includefield=all&StudyInstanceUID={study.uid}").json()
    assert alphabetic(rows) == ["Roe^Jane"] * 3
    originals = []
    for number, content in enumerate(study.files):
        response = study.instance(number)
        assert int(response.headers["Content-Length"]) == len(response.content)
        stored, dataset = dcmread(io.BytesIO(content)), dcmread(io.BytesIO(response.content))
        assert dataset.PatientName == "Roe^Jane"
        assert dataset.PixelData == stored.PixelData
        (item,) = dataset.OriginalAttributesSequence
        assert (item.ModifyingSystem, item.ReasonForTheAttributeModification) == ("dicouch", "CORRECT")
        assert item.SourceOfPreviousValues in (None, "")
        originals.append(str(item.ModifiedAttributesSequence[0].PatientName))
        del dataset.OriginalAttributesSequence
        dataset.PatientName = stored.PatientName
        assert dataset == stored
    assert originals == ["Doe^John", "Doe^John", "Doe^Jon"]
    told = [row["04000561"]["Value"][0]["04000550"]["Value"][0] for row in metadata]
    assert sorted(alphabetic(told)) == sorted(originals)
    study.fix(tag="00100010", undo=True)
    after = study.state()
    assert after["attributes"] == before["attributes"]
    assert [(event["action"], event["by"]) for event in after["history"]] == [("undo", "Ann"), ("set", "Ann")]
    assert study.found_by(PatientName="doe*")
    for number, content in enumerate(study.files):
        assert study.instance(number).content == content


def test_metadata_and_file_say_the_same(study):
    """What the design document lays over a data set in JSON, and the library over a file."""
    study.fix(tag="PatientName", value="山田^太郎")
    study.fix(tag="StudyDescription", value="")
    study.fix(tag="AccessionNumber", value="A 1")
    study.fix(tag="Manufacturer", value="two", series=f"{study.uid}.1")
    for number in range(3):
        place = study.url(number)
        (said,) = study.server.get(f"{place}/metadata").text.splitlines()
        (metadata,) = json.loads(said.replace(f"{study.server.url}{place}/", ""))
        content = study.instance(number).content
        dataset = read_part10(io.BytesIO(content), len(content)).dataset
        for item in dataset["04000561"]["Value"]:
            item["04000550"]["Value"][0].pop("00080005", None)  # the file is UTF-8 now, its originals are not
        assert {**metadata, "00080005": dataset["00080005"]} == dataset


def remove_in_fauxton(study):
    """Take a value out of a header, whose instances have it."""
    url = f"{study.server.database}/{study.uid}:study"
    header = requests.get(url, timeout=30).json()
    del header["dataset"]["00100010"]
    requests.put(url, json=header, timeout=30).raise_for_status()


STATES = {
    "disagreeing": lambda study: None,
    "fixed": lambda study: study.fix(tag="PatientName", value="Roe^Jane"),
    "fixed in a series": lambda study: study.fix(tag="Manufacturer", value="three", series=f"{study.uid}.1"),
    "fixed to nothing": lambda study: study.fix(tag="PatientWeight", value=""),
    "removed": remove_in_fauxton,
}


@pytest.mark.parametrize("state", STATES)
def test_rows_of_instances_with_all_their_attributes(study, state):
    """All that is the instance's own, nothing of a parent that the path names, and no attribute without a VR."""
    STATES[state](study)
    xml = {"Accept": 'multipart/related; type="application/dicom+xml"'}
    for path, named in ((study.path, STUDY_TAGS), (f"{study.path}/series/{study.uid}.1", STUDY_TAGS | SERIES_TAGS)):
        answer = study.server.get(f"{path}/instances?includefield=all", headers=xml)
        assert answer.status_code == 200, answer.text
        for row in study.server.get(f"{path}/instances?includefield=all").json():
            assert not set(row) & named - {"0020000D", "0020000E"}
            assert all("vr" in attribute for attribute in row.values())
            uid = row["00080018"]["Value"][0].encode()
            (content,) = (file for file in study.files if uid in file)
            own = read_part10(io.BytesIO(content), len(content)).dataset
            assert set(own) - STUDY_TAGS - SERIES_TAGS <= set(row)


@pytest.mark.one_database("couchdb")
def test_every_way_to_retrieve_is_corrected(study):
    study.fix(tag="PatientName", value="Roe^Jane")
    whole = study.instance(0).content
    part = study.server.get(study.url(0), headers={**DICOM, "Range": "bytes=100-2900"})
    assert (part.status_code, part.content) == (206, whole[100:2901])
    accept = "multipart/related; type=application/dicom; transfer-syntax=*"
    multipart = study.server.get(study.path, headers={"Accept": accept})
    assert multipart.content.count(b"Roe^Jane") == 3
    assert multipart.content.count(whole) == 1
    archive = study.server.get(study.path, headers={"Accept": "application/zip"})
    assert archive.content.count(b"Roe^Jane") == 3
    uids = study.url(0).split("/")
    query = {"requestType": "WADO", "studyUID": uids[2], "seriesUID": uids[4], "objectUID": uids[6]}
    query["contentType"] = "application/dicom"
    dataset = dcmread(io.BytesIO(study.server.get("/", params={**query, "transferSyntax": "*"}).content))
    assert dataset.PatientName == "Roe^Jane"
    other = study.server.get(study.url(0), headers={"Accept": "application/dicom; transfer-syntax=1.2.840.10008.1.2.5"})
    assert other.status_code == 200, other.text
    dataset = dcmread(io.BytesIO(other.content))
    assert dataset.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.5"
    assert dataset.PatientName == "Roe^Jane"
    assert (dataset.pixel_array == dcmread(io.BytesIO(study.files[0])).pixel_array).all()
    frame = study.server.get(study.url(0) + "/frames/1", headers={"Accept": "application/octet-stream"})
    assert frame.content == dcmread(io.BytesIO(study.files[0])).PixelData


@pytest.mark.one_database("embedded")
def test_a_broken_off_download_is_not_continued_with_other_bytes(study):
    before = study.instance(0)
    study.fix(tag="PatientName", value="Roe^Jane")
    ranged = {**DICOM, "Range": "bytes=1000-", "If-Range": before.headers["ETag"]}
    after = study.server.get(study.url(0), headers=ranged)
    assert (after.status_code, after.content) == (200, study.instance(0).content)
    assert after.headers["ETag"] != before.headers["ETag"]
    study.fix(tag="PatientName", undo=True)
    again = study.server.get(study.url(0), headers=ranged)
    assert (again.status_code, again.content) == (206, before.content[1000:])
    assert study.server.get(study.url(0), headers={**DICOM, "If-None-Match": before.headers["ETag"]}).status_code == 304


def test_an_attribute_of_a_series(study):
    series = f"{study.uid}.1"
    told = study.fix(tag="Manufacturer", value=["three"], series=series)
    assert told["changed"] == [f"{study.uid}:{series}"]
    makers = [dcmread(io.BytesIO(study.instance(number).content)).Manufacturer for number in range(2)]
    assert makers == ["three", "three"]
    assert study.instance(2).content == study.files[2]
    study.fix(tag="Modality", value="MR", series=series)
    row = study.server.get("/studies", params={"StudyInstanceUID": study.uid}).json()[0]
    assert row["00080061"]["Value"] == ["CT", "MR"]
    assert study.found_by(ModalitiesInStudy="MR")
    study.fix(tag="Modality", undo=True, series=series)
    assert not study.found_by(ModalitiesInStudy="MR")


@pytest.mark.one_database("couchdb")
def test_what_comes_later_changes_nothing_of_a_fix(study):
    study.fix(tag="PatientName", value={"vr": "PN", "Value": [{"Alphabetic": "Doe^Jon"}]})
    answer = study.server.store(make(study.uid, 3, PatientName="Poe^Ed", PatientID=study.uid[-16:]))
    assert "PatientName" not in answer.headers.get("Warning", "")
    assert alphabetic(study.server.get(f"{study.path}/metadata").json()) == ["Doe^Jon"] * 4
    values = {value["text"]: value["instances"] for value in study.attribute("00100010")["values"]}
    assert values == {"Doe^John": 2, "Doe^Jon": 1, "Poe^Ed": 1}
    # An instance that says so already stays as it is.
    assert study.instance(2).content == study.files[2]


@pytest.mark.one_database("embedded")
def test_a_fix_outlives_deletion_and_replacement(study):
    study.fix(tag="PatientName", value="Roe^Jane")
    requests.delete(study.server.url + study.url(2), timeout=60).raise_for_status()
    assert study.attribute("00100010")["fix"]["by"] == "Ann"
    assert alphabetic(study.server.get(f"{study.path}/metadata").json()) == ["Roe^Jane"] * 2
    dataset = dcmread(io.BytesIO(study.files[0]))
    dataset.StudyDescription = "replaced"
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    study.server.store(buffer.getvalue())
    assert study.attribute("00100010")["current"]["Value"] == [{"Alphabetic": "Roe^Jane"}]
    study.fix(tag="PatientName", undo=True)
    assert alphabetic(study.server.get(f"{study.path}/metadata").json()) == OWN[:2]
    assert len(study.state()["history"]) == 2


def test_all_studies_of_a_patient(server):
    studies = [Study(server, PatientID="P-ALL", IssuerOfPatientID="A") for _ in range(2)]
    other = Study(server, PatientID="P-ALL", IssuerOfPatientID="B")
    told = studies[0].fix(tag="PatientBirthDate", value="1970-02-03", scope="patient")
    assert sorted(told["changed"]) == sorted(f"{one.uid}:study" for one in studies)
    assert [one.found_by(PatientBirthDate="19700203") for one in (*studies, other)] == [True, True, False]
    studies[1].fix(tag="PatientBirthDate", value="1971-02-03")
    told = studies[0].fix(tag="PatientBirthDate", undo=True, scope="patient")
    assert told["changed"] == [f"{studies[0].uid}:study"]
    assert studies[1].found_by(PatientBirthDate="19710203")
    studies[0].fix(tag="PatientID", value="P-NEW", scope="patient")
    assert [one.found_by(PatientID="P-NEW") for one in (*studies, other)] == [True, True, False]
    told = studies[1].fix(tag="PatientID", undo=True, scope="patient")
    assert len(told["changed"]) == 2
    assert [one.found_by(PatientID="P-ALL") for one in (*studies, other)] == [True, True, True]


@pytest.mark.one_database("couchdb")
def test_two_people_at_once(study):
    study.fix(tag="PatientName", value="Roe^Jane", seen="")
    response = study.post(tag="PatientName", value="Poe^Ed", seen="", by="Bob")
    assert response.status_code == 409
    assert "Ann" in response.json()["reason"]
    current = study.attribute("00100010")["fix"]["id"]
    assert study.post(tag="PatientName", value="Poe^Ed", seen=current, by="Bob").status_code == 200


@pytest.mark.one_database("embedded")
def test_pages_of_the_list(server):
    studies = {Study(server).uid for _ in range(3)}
    url, found = f"{server.url}/conflicts?limit=1", set()
    for _ in range(200):
        page = requests.get(url, timeout=30).json()
        found.update(one["study"] for one in page["studies"])
        url = page["next"]
        if not url:
            break
    assert url is None
    assert studies <= found


@pytest.mark.one_database("couchdb")
@pytest.mark.parametrize("name", ["image_dfl.dcm", "ExplVR_BigEnd.dcm", "MR_small_implicit.dcm", "JPEG2000.dcm"])
def test_encodings(server, name):
    uid = fresh_uid()
    content = make(uid, 1, name)
    assert server.store(content).status_code in (200, 202)
    body = {"tag": "PatientName", "value": "山田^太郎=x", "by": "Ann"}
    answer = requests.post(f"{server.url}/studies/{uid}/conflicts", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    stored = dcmread(io.BytesIO(content))
    path = f"/studies/{uid}/series/{uid}.1/instances/{stored.SOPInstanceUID}"
    response = server.get(path, headers=DICOM)
    dataset = dcmread(io.BytesIO(response.content))
    assert dataset.PatientName == "山田^太郎=x"
    assert dataset.PixelData == stored.PixelData
    assert dataset.file_meta.TransferSyntaxUID == stored.file_meta.TransferSyntaxUID


@pytest.mark.one_database("embedded")
def test_values_too_long_for_a_request_line(study):
    comments = "ä" * 9000
    study.fix(tag="PatientComments", value=comments)
    rows = study.server.get(f"{study.path}/metadata").json()
    assert [row["00104000"]["Value"] for row in rows] == [[comments]] * 3
    assert dcmread(io.BytesIO(study.instance(1).content)).PatientComments == comments


def test_a_data_set_in_an_attachment(server):
    uid = fresh_uid()
    content = make(uid, 1, PatientName="Doe^John", PatientID="big")
    dataset = dcmread(io.BytesIO(content))
    block = dataset.private_block(0x0009, "TEST", create=True)
    for number in range(200):
        block.add_new(number, "LT", "x" * 30_000)
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    assert server.store(buffer.getvalue()).status_code in (200, 202)
    body = {"tag": "PatientName", "value": "Roe^Jane", "by": "Ann"}
    requests.post(f"{server.url}/studies/{uid}/conflicts", json=body, timeout=60).raise_for_status()
    (row,) = server.get(f"/studies/{uid}/metadata").json()
    assert alphabetic([row]) == ["Roe^Jane"]
    (item,) = row["04000561"]["Value"]
    assert alphabetic(item["04000550"]["Value"]) == ["Doe^John"]
    assert len(row) > 200


def test_storing_and_correcting_at_once(study):
    """No instance and no decision is lost when both are written at the same time."""
    files = [make(study.uid, 3 + n, PatientName=f"Name^{n}", PatientID=study.uid[-16:]) for n in range(16)]
    with ThreadPoolExecutor(6) as pool:
        stored = [pool.submit(study.server.store, content) for content in files]
        fixed = [pool.submit(study.fix, tag="PatientName", value=f"Fixed^{n}") for n in range(8)]
        assert {job.result().status_code for job in stored} <= {200, 202}
        assert all(job.result()["changed"] for job in fixed)
    state = study.state()
    assert len([event for event in state["history"] if event["action"] == "set"]) == 8
    (name,) = [one for one in state["attributes"] if one["tag"] == "00100010"]
    assert name["current"] == name["fix"]["value"] == state["history"][0]["to"]
    assert sum(value["instances"] for value in name["values"]) == 19
    study.fix(tag="PatientName", undo=True)
    names = [*OWN, *(f"Name^{n}" for n in range(16))]
    assert sorted(alphabetic(study.server.get(f"{study.path}/metadata").json())) == sorted(names)
