"""Small instances made for tests."""

from __future__ import annotations

from io import BytesIO

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage


def instance(study: str, series: str, sop: str, *, pixels: bytes | None = None, **attributes) -> bytes:
    """Return a Part 10 file.

    Parameters
    ----------
    study, series, sop : str
        UIDs.
    pixels : bytes, optional
        16-bit pixels of a square image; 4 by 4 zeros by default.
    **attributes
        Further attributes by keyword; they replace the defaults.
    """
    pixels = bytes(32) if pixels is None else pixels
    side = int((len(pixels) // 2) ** 0.5)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = sop
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
    dataset.PatientName, dataset.PatientID = "Test^Case", "T1"
    dataset.StudyDate, dataset.StudyTime, dataset.AccessionNumber = "20240102", "101112", "A1"
    dataset.PatientBirthDate, dataset.PatientSex, dataset.StudyID, dataset.ReferringPhysicianName = "", "", "", ""
    dataset.Modality, dataset.SeriesNumber, dataset.InstanceNumber = "OT", "1", "1"
    dataset.Rows = dataset.Columns = side
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation, dataset.SamplesPerPixel = 15, 0, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PixelData = pixels
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
