"""Clients in Python: dicomweb-client with its command line, dicomtrolley, wsidicom."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import requests
from dicomtrolley.core import InstanceReference, Query, SeriesReference, StudyReference
from dicomtrolley.qido_rs import HierarchicalQuery, QidoRS, RelationalQuery
from dicomtrolley.trolley import Trolley
from dicomtrolley.wado_rs import WadoRS, WadoRSMetaData
from dicomtrolley.wado_uri import WadoURI
from dicomweb_client import DICOMwebClient, cli
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.encaps import generate_frames
from wsidicom import WsiDicom, WsiDicomWebClient

from tests.clients.conftest import STUDY
from tests.made import instance
from tests.made_objects import pixels_of
from tests.made_slide import LEVELS, SERIES, TILE, icc_profile
from tests.made_slide import STUDY as SLIDE

CT = f"{STUDY}.1"
ALL = {f"{STUDY}.{number}" for number in range(1, 5)}


@pytest.fixture(scope="session")
def client(hospital) -> DICOMwebClient:
    return DICOMwebClient(hospital.server.url)


@pytest.fixture
def command(hospital, monkeypatch, capsys):
    """Give a function that calls the program of dicomweb-client, and returns what it prints."""

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["dicomweb_client", "--url", hospital.server.url, *arguments])
        with pytest.raises(SystemExit) as ended:
            cli._main()
        printed = capsys.readouterr()
        assert (ended.value.code, printed.err) == (0, "")
        return printed.out

    return run


def test_dicomweb_client_searches(client):
    """What its user guide shows of QIDO-RS: no filters, filters, fields, fuzzy matching, pages until the last."""
    everything = client.search_for_studies()
    assert len(everything) >= 3
    assert [row["0020000D"]["Value"][0] for row in client.search_for_studies(get_remaining=True, limit=1)] == [
        row["0020000D"]["Value"][0] for row in everything
    ]
    (study,) = client.search_for_studies(
        search_filters={"PatientID": "LB1", "StudyDate": "20240101-20240131"}, fields=["StudyDescription"]
    )
    assert Dataset.from_json(study).StudyDescription == "Head and neck"
    assert client.search_for_studies(fuzzymatching=True, search_filters={"PatientName": "Betoven"}) == [
        row for row in everything if row["0020000D"]["Value"] == [STUDY]
    ]
    rows = client.search_for_series(STUDY, search_filters={"Modality": "CT"})
    assert [row["0020000E"]["Value"] for row in rows] == [[CT]]
    assert len(client.search_for_instances(study_instance_uid=STUDY, series_instance_uid=CT)) == 2
    assert client.search_for_instances(search_filters={"SOPInstanceUID": f"{CT}.2"})[0]["0020000E"]["Value"] == [CT]
    assert client.search_for_series(search_filters={"PatientName": "Nobody"}) == []


def test_dicomweb_client_retrieves(hospital, client):
    """Whole instances bit for bit, series as a stream, frames, rendered frames, bulk data."""
    name, stored = "emri_small_jpeg_ls_lossless.dcm", hospital.datasets["emri_small_jpeg_ls_lossless.dcm"]
    uids = (STUDY, f"{STUDY}.2", str(stored.SOPInstanceUID))
    (same,) = client.retrieve_series(*uids[:2], media_types=(("application/dicom", "*"),))
    assert same == stored
    assert client.retrieve_instance(*uids, media_types=(("application/dicom", "*"),)) == dcmread(
        BytesIO(hospital.files[name])
    )
    assert {item.SOPInstanceUID for item in client.iter_series(STUDY, CT)} == {f"{CT}.1", f"{CT}.2"}
    assert len(client.retrieve_study(STUDY)) == 5
    whole = pixels_of(stored)
    explicit = (("application/octet-stream", "1.2.840.10008.1.2.1"),)
    plain = client.retrieve_instance_frames(*uids, frame_numbers=[2, 5], media_types=explicit)
    for number, frame in zip((2, 5), plain, strict=True):
        assert frame == whole[number - 1].tobytes()
    for name in ("image/jls", "image/x-jls"):
        kept = client.retrieve_instance_frames(*uids, [1], media_types=((name, "1.2.840.10008.1.2.4.80"),))
        assert kept == [next(generate_frames(stored.PixelData, number_of_frames=stored.NumberOfFrames))]
    colour = hospital.datasets["examples_rgb_color.dcm"]
    shown = client.retrieve_instance_rendered(STUDY, f"{STUDY}.4", colour.SOPInstanceUID, media_types=("image/png",))
    assert np.array_equal(np.asarray(Image.open(BytesIO(shown)).convert("RGB")), pixels_of(colour))
    (metadata,) = client.retrieve_series_metadata(STUDY, f"{STUDY}.4")
    (pixels,) = client.retrieve_bulkdata(metadata["7FE00010"]["BulkDataURI"])
    assert pixels == colour.PixelData
    (level, *_) = client.retrieve_series_metadata(SLIDE, SERIES)
    (profile,) = client.retrieve_bulkdata(level["00480105"]["Value"][0]["00282000"]["BulkDataURI"])
    assert profile == icc_profile()


def test_dicomweb_client_stores_and_deletes(hospital, client):
    """An answer of the type it compares exactly; a body above a megabyte goes out in chunks (RFC 9112 7.1)."""
    made = [instance("1.14.1", "1.14.1.1", f"1.14.1.1.{number}") for number in (1, 2)]
    made.append(instance("1.14.1", "1.14.1.1", "1.14.1.1.3", pixels=bytes(2 * 1024 * 1024)))
    answer = client.store_instances([dcmread(BytesIO(data)) for data in made])
    told = {item.ReferencedSOPInstanceUID for item in answer.ReferencedSOPSequence}
    assert told == {f"1.14.1.1.{number}" for number in (1, 2, 3)}
    assert len(client.search_for_instances("1.14.1")) == 3
    client.delete_instance("1.14.1", "1.14.1.1", "1.14.1.1.2")
    assert len(client.search_for_instances("1.14.1")) == 2
    client.delete_study("1.14.1")
    assert client.search_for_instances("1.14.1") == []


def test_the_command_line_of_dicomweb_client(hospital, command, tmp_path):
    """The examples of its user guide: search, retrieve with and without saving, store."""
    (found,) = json.loads(command("search", "studies", "--filter", "PatientID=LB1", "--field", "StudyID"))
    assert found["0020000D"]["Value"] == [STUDY]
    assert "Beethoven^Ludwig" in command("search", "studies", "--filter", "PatientID=LB1", "--dicomize")
    of = ("--study", STUDY, "--series", f"{STUDY}.4")
    assert len(json.loads(command("retrieve", "series", *of, "metadata"))) == 1
    uid = str(hospital.datasets["examples_rgb_color.dcm"].SOPInstanceUID)
    command(
        *("retrieve", "instances", *of, "--instance", uid, "full", "--save", "--output-dir", str(tmp_path)),
    )
    assert dcmread(tmp_path / f"{uid}.dcm").PixelData == hospital.datasets["examples_rgb_color.dcm"].PixelData
    path = tmp_path / "new.dcm"
    path.write_bytes(instance("1.14.2", "1.14.2.1", "1.14.2.1.1"))
    command("store", "instances", str(path))
    assert hospital.server.get("/studies/1.14.2/instances").json()[0]["00080018"]["Value"] == ["1.14.2.1.1"]
    frames = command("retrieve", "instances", *of, "--instance", uid, "frames", "--numbers", "1")
    assert frames.strip()


@pytest.fixture
def session():
    with requests.Session() as running:
        yield running


def test_dicomtrolley_searches(hospital, session):
    """Its parser puts rows into a tree by the three UIDs of each, also of those that the path names."""
    searcher = QidoRS(session, hospital.server.url)
    (study,) = searcher.find_studies(HierarchicalQuery(PatientName="Beeth*", query_level="STUDY"))
    assert study.uid == STUDY
    assert study.data.NumberOfStudyRelatedInstances == 5
    (study,) = searcher.find_studies(HierarchicalQuery(StudyInstanceUID=STUDY, query_level="SERIES"))
    assert (study.uid, {series.uid for series in study.series}) == (
        STUDY,
        {f"{STUDY}.{number}" for number in range(1, 5)},
    )
    below = HierarchicalQuery(StudyInstanceUID=STUDY, SeriesInstanceUID=CT, query_level="INSTANCE")
    (study,) = searcher.find_studies(below)
    assert (study.uid, [series.uid for series in study.series]) == (STUDY, [CT])
    assert {item.uid for item in study.series[0].instances} == {f"{CT}.1", f"{CT}.2"}
    for query in (
        RelationalQuery(StudyInstanceUID=STUDY, query_level="INSTANCE"),
        RelationalQuery(PatientID="LB1", query_level="INSTANCE", include_fields=["SOPClassUID"]),
    ):
        (study,) = searcher.find_studies(query)
        assert (study.uid, len(study.series), len(study.all_instances())) == (STUDY, 4, 5)
    assert searcher.find_studies(Query(PatientName="Nobody")) == []
    dated = {"min_study_date": datetime(2024, 1, 1), "max_study_date": datetime(2024, 1, 31)}
    assert STUDY in [study.uid for study in searcher.find_studies(Query(**dated))]


@pytest.mark.parametrize("way", ["series", "whole", "uri"])
def test_dicomtrolley_downloads(hospital, session, tmp_path, way):
    """A study found is downloaded, by whatever its downloaders ask for, and the files are those stored."""
    url = hospital.server.url
    downloader = WadoURI(session, url) if way == "uri" else WadoRS(session, url, request_per_series=way == "series")
    trolley = Trolley(searcher=QidoRS(session, url), downloader=downloader)
    study = trolley.find_study(Query(AccessionNumber="LB-7"))
    trolley.download(study, str(tmp_path))
    got = {str(dataset.SOPInstanceUID): dataset for dataset in map(dcmread, filter(Path.is_file, tmp_path.rglob("*")))}
    stored = [dataset for dataset in hospital.datasets.values() if dataset.StudyInstanceUID == STUDY]
    assert set(got) == {dataset.SOPInstanceUID for dataset in stored}
    for dataset in stored if way != "uri" else []:  # WADO-URI without transferSyntax is Explicit VR Little Endian
        assert got[dataset.SOPInstanceUID] == dataset
    (found,) = trolley.fetch_all_datasets([InstanceReference(STUDY, CT, f"{CT}.1")])
    assert found.SOPInstanceUID == f"{CT}.1"
    if way == "series":
        assert len(list(trolley.fetch_all_datasets([SeriesReference(STUDY, CT)]))) == 2


def test_dicomtrolley_reads_metadata(hospital, session):
    downloader = WadoRSMetaData(session, hospital.server.url)
    found = list(downloader.datasets([StudyReference(STUDY)]))
    assert {item.SOPInstanceUID for item in found} == {
        dataset.SOPInstanceUID for dataset in hospital.datasets.values() if dataset.StudyInstanceUID == STUDY
    }
    assert {str(item.PatientName) for item in found} == {"Beethoven^Ludwig"}


@pytest.fixture(scope="session")
def opened(client):
    return WsiDicom.open_web(WsiDicomWebClient(client), SLIDE, SERIES)


def test_wsidicom_opens_the_slide(hospital, opened):
    """It finds the instances by SOP Class and Modality, and asks for the Available Transfer Syntax UID."""
    assert [(level.size.width, level.size.height) for level in opened.levels] == list(LEVELS)
    assert opened.tile_size.width == TILE
    assert (len(opened.labels), len(opened.overviews)) == (1, 1)
    assert opened.metadata.series.number == 1
    (path,) = opened.pyramids[0].metadata.optical_paths
    assert path.identifier == "1"


def test_wsidicom_reads_what_the_tiles_show(hospital, opened):
    """Tiles come as stored, and a region across them is that of the tiles as Pillow decodes them."""
    for number, (columns, rows) in enumerate(LEVELS, start=1):
        dataset = hospital.datasets[f"slide-{number}"]
        frames = list(generate_frames(dataset.PixelData, number_of_frames=dataset.NumberOfFrames))
        wide = -(-columns // TILE)
        whole = np.zeros((-(-rows // TILE) * TILE, wide * TILE, 3), np.uint8)
        for place, frame in enumerate(frames):
            top, left = place // wide * TILE, place % wide * TILE
            whole[top : top + TILE, left : left + TILE] = np.asarray(Image.open(BytesIO(frame)).convert("RGB"))
        level = opened.levels[number - 1].level
        assert np.array_equal(np.asarray(opened.read_region((0, 0), level, (columns, rows))), whole[:rows, :columns])
        if min(columns, rows) > TILE:  # it encodes a tile anew that reaches beyond the slide
            assert opened.read_encoded_tile(level, (0, 0)).rstrip(b"\0") == frames[0].rstrip(b"\0")
    assert opened.read_overview().size == (96, 96)
    assert opened.read_label().size == (80, 80)
    assert max(opened.read_thumbnail((50, 50)).size) == 50
