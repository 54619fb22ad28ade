"""One server for all clients, on each database, and what it holds when they come."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
import requests
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file

from dicouch.scripts.databases import Database
from tests.integration.gallery import Archive
from tests.made_objects import as_bytes, report
from tests.made_slide import slide
from tests.server import serve

STUDY = "1.2.826.0.1.3680043.8.498.14.2"
# Each file and its series: a series of two slices, one instance of many frames, and colour.
FILES = {
    "CT_small.dcm": 1,
    "MR_small_RLE.dcm": 1,
    "emri_small_jpeg_ls_lossless.dcm": 2,
    "SC_rgb_rle_2frame.dcm": 3,
    "examples_rgb_color.dcm": 4,
}


def _taken(name: str, series: int, number: int) -> Dataset:
    """Return a file under UIDs of its own, as an instance of the study of Ludwig."""
    dataset = dcmread(get_testdata_file(name, download=False))
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = STUDY, f"{STUDY}.{series}"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{STUDY}.{series}.{number}"
    dataset.PatientName, dataset.PatientID, dataset.StudyDate = "Beethoven^Ludwig", "LB1", "20240102"
    dataset.AccessionNumber, dataset.SeriesNumber, dataset.InstanceNumber = "LB-7", series, number
    dataset.StudyDescription, dataset.SeriesDescription = "Head and neck", f"Series {series}"
    return dataset


@pytest.fixture(scope="session")
def hospital(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """Give a running server that holds a study of several modalities, a slide and a report."""
    url = f"{database.url}/clients-{uuid.uuid4().hex}"
    requests.put(url, timeout=30).raise_for_status()
    try:
        with serve(url, tmp_path_factory.mktemp("clients") / "gunicorn.log") as server:
            archive = Archive(server)
            taken = [_taken(name, series, number) for number, (name, series) in enumerate(FILES.items(), start=1)]
            archive.datasets = dict(zip(FILES, taken, strict=True))
            archive.datasets |= {f"slide-{dataset.InstanceNumber}": dataset for dataset in slide()}
            archive.files = {name: as_bytes(dataset) for name, dataset in archive.datasets.items()}
            archive.files["report"] = report()
            answer = server.store(*archive.files.values())
            assert answer.status_code == 200, answer.text
            yield archive
    finally:
        requests.delete(url, timeout=60).raise_for_status()
