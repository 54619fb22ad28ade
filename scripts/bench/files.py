"""Instances that are made up: one Part 10 file by pydicom, with other identifiers stamped in for each further one."""

from __future__ import annotations

import io
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, fields

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MultiFrameGrayscaleWordSecondaryCaptureImageStorage

from dicouch.scripts.bench.client import Request

BOUNDARY = "dicouch-benchmark-0123456789abcdef"
STORE_TYPE = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
PART_HEAD = f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
STORE_HEADERS = {"Content-Type": STORE_TYPE, "Accept": "application/dicom+json"}
REFERENCED_SOP_INSTANCE_UID = b"00081155"
FAILURE_REASON = b"00081197"
UID_LENGTH = 38


def new_run() -> int:
    """Return eight digits that set the UIDs of one set of instances apart from those of any other."""
    return secrets.randbelow(90_000_000) + 10_000_000


def uid(run: int, study: int, series: int = 0, instance: int = 0) -> str:
    """Return a UID of `UID_LENGTH` characters (PS3.5 B.2: ``2.25.`` and a number below 2^128)."""
    return f"2.25.1{run:08d}{study:010d}{series:05d}{instance:09d}"


@dataclass(frozen=True)
class Identity:
    """What distinguishes one instance from another. Every value has always the same, even, length.

    Attributes
    ----------
    study, series, instance : str
        UIDs of `UID_LENGTH` characters.
    patient_id, accession : str
        10 and 12 characters.
    name : str
        16 characters of PN.
    date, time : str
        DA and TM, 8 and 6 digits.
    modality : str
        2 characters.
    series_number, instance_number : str
        IS, 4 digits without a leading zero.
    """

    study: str
    series: str
    instance: str
    patient_id: str = "PID0000001"
    accession: str = "ACC000000001"
    name: str = "BENCHMRK^INSTANC"
    date: str = "20240102"
    time: str = "101500"
    modality: str = "CT"
    series_number: str = "1001"
    instance_number: str = "1001"


# Values that stand nowhere else in a file or in a document, and read the same in DICOM JSON.
PLACEHOLDER = Identity(
    study=uid(99999997, 9999999997, 99997, 999999997),
    series=uid(99999996, 9999999996, 99996, 999999996),
    instance=uid(99999995, 9999999995, 99995, 999999995),
    patient_id="PLACEH-PID",
    accession="PLACEH-ACCNR",
    name="PLACEHOL^PATIENT",
    date="17991231",
    time="235857",
    modality="Q7",
    series_number="9731",
    instance_number="9743",
)


class Template:
    """A Part 10 file of which copies with other identifiers are made in microseconds.

    Parameters
    ----------
    rows, columns : int
        Size of a frame in pixels of 16 bits.
    frames : int
        More than 1 makes it a multi-frame instance.
    """

    def __init__(self, rows: int, columns: int, frames: int = 1) -> None:
        self.pixels = rows * columns * 2 * frames
        self.frame_length = rows * columns * 2
        self._head = header(rows, columns, frames)
        self.size = len(self._head) + self.pixels
        self._places: list[tuple[str, int, int]] = []
        for field in fields(Identity):
            text = getattr(PLACEHOLDER, field.name).encode()
            start = self._head.find(text)
            while start >= 0:
                self._places.append((field.name, start, start + len(text)))
                start = self._head.find(text, start + 1)

    def head(self, identity: Identity) -> bytes:
        """Return the file up to its pixels."""
        copy = bytearray(self._head)
        for name, start, end in self._places:
            value = getattr(identity, name).encode()
            if len(value) != end - start:
                raise ValueError(f"{name} has {end - start} characters, not {len(value)}")
            copy[start:end] = value
        return bytes(copy)

    def file(self, identity: Identity, pixels: bytes | None = None) -> bytes:
        """Return a whole file, with random pixels where none are given."""
        return self.head(identity) + (random_block(self.pixels) if pixels is None else pixels)


HEADER = {
    "FrameOfReferenceUID": "1.2.826.0.1.3680043.8.498.1",
    "SpecificCharacterSet": "ISO_IR 100",
    "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
    "Manufacturer": "Benchmark",
    "ManufacturerModelName": "Model 64",
    "InstitutionName": "General Hospital",
    "StationName": "CT01",
    "ReferringPhysicianName": "Referrer^Robin",
    "StudyDescription": "Thorax with contrast",
    "SeriesDescription": "Axial 1.0 soft tissue",
    "PatientBirthDate": "19700101",
    "PatientSex": "O",
    "PatientAge": "054Y",
    "BodyPartExamined": "CHEST",
    "SliceThickness": "1.0",
    "KVP": "120",
    "ProtocolName": "Thorax routine",
    "XRayTubeCurrent": "200",
    "ConvolutionKernel": "B40f",
    "PatientPosition": "HFS",
    "StudyID": "4711",
    "ImagePositionPatient": ["-180.5", "-180.5", "1023.25"],
    "ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"],
    "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2",
    "PixelSpacing": ["0.703125", "0.703125"],
    "BitsAllocated": 16,
    "BitsStored": 12,
    "HighBit": 11,
    "PixelRepresentation": 0,
    "WindowCenter": "2048",
    "WindowWidth": "4096",
    "RescaleIntercept": "-1024",
    "RescaleSlope": "1",
    "PerformedProcedureStepID": "1",
}
"""What a CT scanner writes into every instance."""


def header(rows: int, columns: int, frames: int) -> bytes:
    """Return a file with the identifiers of `PLACEHOLDER` up to its pixels: a CT's attributes, Explicit VR."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = CTImageStorage if frames == 1 else MultiFrameGrayscaleWordSecondaryCaptureImageStorage
    dataset.SOPInstanceUID = PLACEHOLDER.instance
    dataset.StudyInstanceUID = PLACEHOLDER.study
    dataset.SeriesInstanceUID = PLACEHOLDER.series
    for kind in ("Study", "Series", "Acquisition", "Content"):
        setattr(dataset, f"{kind}Date", PLACEHOLDER.date)
        setattr(dataset, f"{kind}Time", PLACEHOLDER.time)
    dataset.AccessionNumber = PLACEHOLDER.accession
    dataset.Modality = PLACEHOLDER.modality
    dataset.PatientName = PLACEHOLDER.name
    dataset.PatientID = PLACEHOLDER.patient_id
    dataset.SeriesNumber = PLACEHOLDER.series_number
    dataset.InstanceNumber = PLACEHOLDER.instance_number
    for keyword, value in HEADER.items():
        setattr(dataset, keyword, value)
    if frames > 1:
        dataset.NumberOfFrames = frames
    dataset.Rows = rows
    dataset.Columns = columns
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "77477000", "SCT", "Computed tomography"
    dataset.ProcedureCodeSequence = [item]
    # A value of one pixel; the length of all of them is written over it.
    dataset.add_new("PixelData", "OW", b"\0\0")
    target = io.BytesIO()
    with pydicom.config.disable_value_validation():
        dataset.save_as(target, enforce_file_format=True)
    length = rows * columns * 2 * frames
    return target.getvalue()[:-6] + length.to_bytes(4, "little")


def series_of(run: int, count: int, *, study: int = 1, series: int = 1) -> list[Identity]:
    """Return the identities of the instances of one series."""
    return [
        Identity(uid(run, study), uid(run, study, series), uid(run, study, series, k), instance_number=str(1000 + k))
        for k in range(1, count + 1)
    ]


def random_block(length: int) -> bytes:
    """Return random pixels."""
    return os.urandom(length)


def store_request(files: Sequence[bytes]) -> Request:
    """Return a STOW-RS request (PS3.18 10.5.1) with all of `files`."""
    body = b"".join(piece for file in files for piece in (PART_HEAD, file, b"\r\n")) + f"--{BOUNDARY}--\r\n".encode()
    count = len(files)
    return Request("POST", "/studies", STORE_HEADERS, body, check=lambda content: complete(content, count))


def complete(content: bytes, count: int) -> str:
    """Return what is wrong with a STOW-RS answer that shall say that `count` instances are stored."""
    if content.count(REFERENCED_SOP_INSTANCE_UID) == count and FAILURE_REASON not in content:
        return ""
    return f"not all of {count} instances are stored"
