"""A head of ellipsoids, after Shepp and Logan: CT, MR in two weightings, what is segmented and measured in it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    RLELossless,
    generate_uid,
)

# Segmentations and reports are highdicom's work; it comes with the extra "demo" only.
COMPLETE = find_spec("highdicom") is not None
SIDE, SLICES = 256, 40
# Millimetres: of a pixel, and from slice to slice.
PIXEL, STEP = 0.9, 4.0
# Above and below, only a part of the head is seen, so that no slice is empty.
HIGH = 0.75
# Half axes (x, y, z), centre, and what is there, each over those before it. Unit: half the field of view.
PARTS = (
    ("skin", (0.72, 0.92, 0.95), (0, 0, 0)),
    ("bone", (0.69, 0.89, 0.92), (0, 0, 0)),
    ("fluid", (0.64, 0.83, 0.86), (0, 0, 0)),
    ("brain", (0.62, 0.81, 0.84), (0, 0, 0)),
    ("white", (0.28, 0.58, 0.55), (-0.29, 0, 0.05)),
    ("white", (0.28, 0.58, 0.55), (0.29, 0, 0.05)),
    ("fluid", (0.08, 0.31, 0.3), (-0.15, -0.08, 0.1)),
    ("fluid", (0.08, 0.31, 0.3), (0.15, -0.08, 0.1)),
    ("deep", (0.11, 0.16, 0.2), (-0.27, 0.05, 0)),
    ("deep", (0.11, 0.16, 0.2), (0.27, 0.05, 0)),
    ("lesion", (0.11, 0.13, 0.17), (0.36, 0.4, 0.2)),
    ("core", (0.05, 0.06, 0.08), (0.36, 0.4, 0.2)),
)
# Hounsfield units, and signals of MR.
CT = {"skin": 60, "bone": 900, "fluid": 8, "brain": 38, "white": 28, "deep": 45, "lesion": 75, "core": 18}
T1 = {"skin": 700, "bone": 60, "fluid": 120, "brain": 420, "white": 560, "deep": 460, "lesion": 640, "core": 200}
T2 = {"skin": 420, "bone": 50, "fluid": 900, "brain": 480, "white": 330, "deep": 420, "lesion": 700, "core": 860}


def uid(*parts: object) -> UID:
    """Return the UID of a thing that is made, the same at every run."""
    return generate_uid(entropy_srcs=["dicouch examples", *map(str, parts)])


CT_STUDY, MR_STUDY = uid("ct"), uid("mr")
CT_SERIES = uid("ct", "series")


def basic(study: str, series: str, sop_class: UID, instance: object, **attributes: Any) -> Dataset:
    """Return a data set with what every instance has; `attributes` are further ones, by keyword."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = sop_class
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid(series, instance)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
    dataset.PatientBirthDate, dataset.PatientSex, dataset.ReferringPhysicianName = "19700102", "O", "Example^Doctor"
    dataset.AccessionNumber, dataset.StudyID, dataset.Manufacturer = "", "1", "dicouch"
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def volume(values: dict[str, int], slices: int, noise: float, background: int) -> np.ndarray:
    """Return the head as slices, with the values that its parts have and a little noise."""
    random = np.random.default_rng(7)
    z, y, x = np.mgrid[-HIGH : HIGH : slices * 1j, -1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j].astype(np.float32)
    made = np.full(x.shape, background, np.float32)
    for name, axes, centre in PARTS:
        made[_inside((x, y, z), axes, centre)] = values[name]
    return np.round(made + random.normal(0, noise, made.shape)).astype(np.int16)


def _inside(grid: tuple[np.ndarray, ...], axes: tuple[float, ...], centre: tuple[float, ...]) -> np.ndarray:
    return np.asarray(sum(((g - c) / a) ** 2 for g, c, a in zip(grid, centre, axes, strict=True))) <= 1


def lesion() -> np.ndarray:
    """Return where the lesion is, as slices of a mask."""
    z, y, x = np.mgrid[-HIGH : HIGH : SLICES * 1j, -1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j].astype(np.float32)
    return _inside((x, y, z), *next(part[1:] for part in PARTS if part[0] == "lesion")).astype(np.uint8)


def _slices(pixels: np.ndarray, series: str, sop_class: UID, step: float, **attributes: Any) -> Iterator[Dataset]:
    study = attributes.pop("StudyInstanceUID")
    for number, plane in enumerate(pixels, 1):
        made = basic(study, series, sop_class, number, **attributes)
        made.InstanceNumber, made.FrameOfReferenceUID = number, uid(study, "frame of reference")
        made.PositionReferenceIndicator = ""
        made.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        made.PixelSpacing, made.SliceThickness = [PIXEL, PIXEL], step
        made.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        corner = -PIXEL * SIDE / 2
        made.ImagePositionPatient = [corner, corner, step * (number - 1)]
        made.Rows = made.Columns = SIDE
        made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
        made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 1
        made.PixelData = plane.astype("<i2").tobytes()
        yield made


def ct_series() -> list[Dataset]:
    """Return the CT, half of it compressed without loss as archives do."""
    attributes = {
        "StudyInstanceUID": CT_STUDY, "PatientName": "Example^Ada", "PatientID": "EXAMPLE-1",
        "StudyDate": "20240301", "StudyTime": "093000", "SeriesDate": "20240301", "SeriesTime": "093100",
        "StudyDescription": "Head", "SeriesDescription": "Axial 4 mm", "Modality": "CT", "SeriesNumber": 1,
        "BodyPartExamined": "HEAD", "KVP": 120, "RescaleIntercept": 0, "RescaleSlope": 1, "RescaleType": "HU",
        "WindowCenter": 40, "WindowWidth": 120, "AcquisitionNumber": 1,
    }  # fmt: skip
    made = list(_slices(volume(CT, SLICES, 4, -1000), CT_SERIES, CTImageStorage, STEP, **attributes))
    for dataset in made[1::2]:
        instance = dataset.SOPInstanceUID
        dataset.compress(RLELossless)
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = instance
    return made


def mr_study() -> Iterator[Dataset]:
    """Yield the MR in its two weightings."""
    for number, (name, values, echo) in enumerate((("T1", T1, 15), ("T2", T2, 100)), 1):
        attributes = {
            "StudyInstanceUID": MR_STUDY, "PatientName": "Example^Ben", "PatientID": "EXAMPLE-2",
            "StudyDate": "20240415", "StudyTime": "110000", "SeriesDate": "20240415", "SeriesTime": f"11{number:02}00",
            "StudyDescription": "Brain", "SeriesDescription": f"{name} axial", "Modality": "MR", "SeriesNumber": number,
            "BodyPartExamined": "BRAIN", "ScanningSequence": "SE", "SequenceVariant": "NONE", "ScanOptions": "",
            "MRAcquisitionType": "2D", "EchoTime": echo, "RepetitionTime": 500 * number, "EchoTrainLength": 1,
            "WindowCenter": 450, "WindowWidth": 900,
        }  # fmt: skip
        pixels = np.maximum(volume(values, 24, 18, 10), 0)
        yield from _slices(pixels, uid("mr", name), MRImageStorage, STEP * SLICES / 24, **attributes)


def ct_study() -> Iterator[Dataset]:
    """Yield the CT and what was found in it."""
    images = ct_series()
    yield from images
    if COMPLETE:
        yield segmentation(images)
        yield report(images)
    yield document(images[0])


def segmentation(images: list[Dataset]) -> Dataset:
    """Return the lesion as a segmentation (PS3.3 A.51)."""
    from highdicom.seg import Segmentation, SegmentDescription
    from highdicom.sr import CodedConcept

    description = SegmentDescription(
        segment_number=1,
        segment_label="Lesion",
        segmented_property_category=CodedConcept("49755003", "SCT", "Morphologically Altered Structure"),
        segmented_property_type=CodedConcept("4147007", "SCT", "Mass"),
        algorithm_type="MANUAL",
    )
    description.RecommendedDisplayCIELabValue = [34885, 53485, 50171]  # red
    return Segmentation(
        source_images=images,
        pixel_array=lesion(),
        segmentation_type="BINARY",
        segment_descriptions=[description],
        series_instance_uid=uid("seg", "series"),
        series_number=10,
        sop_instance_uid=uid("seg"),
        instance_number=1,
        series_description="Lesion",
        content_creator_name="Example^Doctor",
        device_serial_number="1",
        manufacturer="dicouch",
        manufacturer_model_name="examples",
        software_versions="1",
    )


def report(images: list[Dataset]) -> Dataset:
    """Return the length of the lesion as a structured report (PS3.16 TID 1500)."""
    from highdicom import sr

    observer = sr.ObserverContext(
        observer_type=sr.CodedConcept("121006", "DCM", "Person"),
        observer_identifying_attributes=sr.PersonObserverIdentifyingAttributes(name="Example^Doctor"),
    )
    middle = images[round((0.2 / HIGH + 1) * (SLICES - 1) / 2)]
    centre = np.array([(0.36 + 1) * SIDE / 2, (0.4 + 1) * SIDE / 2])
    line = np.array([centre - (0.11 * SIDE / 2, 0), centre + (0.11 * SIDE / 2, 0)])
    group = sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=uid("lesion"), identifier="Lesion"),
        referenced_region=sr.ImageRegion(
            graphic_type="POLYLINE",
            graphic_data=line,
            source_image=sr.SourceImageForRegion(middle.SOPClassUID, middle.SOPInstanceUID),
        ),
        finding_type=sr.CodedConcept("4147007", "SCT", "Mass"),
        measurements=[
            sr.Measurement(
                name=sr.CodedConcept("410668003", "SCT", "Length"),
                value=round(0.22 * SIDE / 2 * PIXEL, 1),
                unit=sr.CodedConcept("mm", "UCUM", "millimeter"),
            )
        ],
    )
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_person_context=observer),
        procedure_reported=sr.CodedConcept("25045-6", "LN", "CT unspecified body region"),
        imaging_measurements=[group],
    )
    return sr.Comprehensive3DSR(
        evidence=[middle],
        content=content[0],
        series_number=11,
        series_instance_uid=uid("sr", "series"),
        sop_instance_uid=uid("sr"),
        instance_number=1,
        series_description="Measurements",
        manufacturer="dicouch",
    )


def document(image: Dataset) -> Dataset:
    """Return a report in PDF (PS3.3 A.45.1)."""
    page = Image.new("RGB", (595, 842), "white")
    draw = ImageDraw.Draw(page)
    lines = ("Example hospital", "", "Patient: Ada Example", "CT of the head, 2024-03-01", "", "A mass of 25 mm, left.")
    for number, line in enumerate(lines):
        draw.text((60, 60 + 34 * number), line, "black", font_size=24)
    target = BytesIO()
    page.save(target, "PDF", resolution=72)
    data = target.getvalue()
    names = ("PatientName", "PatientID", "StudyDate", "StudyTime", "StudyDescription", "SeriesDate", "SeriesTime")
    made = basic(
        CT_STUDY, uid("pdf", "series"), EncapsulatedPDFStorage, 1, **{name: image[name].value for name in names}
    )
    made.Modality, made.SeriesNumber, made.InstanceNumber, made.SeriesDescription = "DOC", 12, 1, "Report"
    made.ConversionType, made.BurnedInAnnotation, made.DocumentTitle = "SYN", "YES", "Report"
    made.ContentDate, made.ContentTime, made.AcquisitionDateTime = "20240301", "100000", "20240301100000"
    made.ConceptNameCodeSequence = []
    made.MIMETypeOfEncapsulatedDocument = "application/pdf"
    made.EncapsulatedDocument = data + b"\0" * (len(data) % 2)
    made.EncapsulatedDocumentLength = len(data)
    return made
