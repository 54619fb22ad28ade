"""Segmentations, a structured report and an encapsulated document, made with highdicom and pydicom."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import highdicom as hd
import numpy as np
from highdicom.sr import CodedConcept
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import pixel_array
from pydicom.uid import (
    MPEG4HP41,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    RLELossless,
    VideoPhotographicImageStorage,
    generate_uid,
)

PDF = b"%PDF-1.4\n" + b"1 0 obj<</Type/Catalog>>endobj\n" * 60 + b"%%EOF\n"
_DEVICE = {
    "manufacturer": "Maker",
    "manufacturer_model_name": "Model",
    "software_versions": "1.0",
    "device_serial_number": "1",
}


def pixels_of(dataset: Dataset) -> np.ndarray:
    """Return what pydicom decodes, with the decoder that is used here where two give lossy JPEG a level apart."""
    baseline = dataset.file_meta.TransferSyntaxUID == JPEGBaseline8Bit
    return pixel_array(dataset, decoding_plugin="pillow" if baseline else "")


def as_bytes(dataset: Dataset) -> bytes:
    """Write a data set as a Part 10 file."""
    target = BytesIO()
    dataset.save_as(target, enforce_file_format=True)
    return target.getvalue()


def sources() -> list[Dataset]:
    """Return the CT slice that segmentation and report are about."""
    return [dcmread(get_testdata_file("CT_small.dcm"))]


def masks() -> np.ndarray:
    """Return two segments of the slice, shape (1, 128, 128, 2)."""
    row, column = np.mgrid[0:128, 0:128]
    first = (row - 50) ** 2 + (column - 60) ** 2 < 900
    second = (abs(row - 90) < 20) & (abs(column - 30) < 11)
    return np.stack([first, second], axis=-1)[None]


def segmentation(kind: str, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """Return a segmentation of two segments.

    Parameters
    ----------
    kind : str
        BINARY, FRACTIONAL or LABELMAP.
    syntax : str
        Transfer syntax UID.
    """
    described = [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=label,
            segmented_property_category=CodedConcept("123037004", "SCT", "Anatomical Structure"),
            segmented_property_type=CodedConcept("39607008", "SCT", "Lung"),
            algorithm_type="MANUAL",
        )
        for number, label in ((1, "first"), (2, "second"))
    ]
    pixels = masks()
    if kind == "FRACTIONAL":
        pixels = pixels * np.linspace(0.2, 1, 128)[None, None, :, None]
    elif kind == "LABELMAP":
        pixels = (pixels[..., 0] * 1 + (pixels[..., 1] & ~pixels[..., 0]) * 2).astype(np.uint8)
    else:
        pixels = pixels.astype(np.uint8)
    made = hd.seg.Segmentation(
        source_images=sources(),
        pixel_array=pixels,
        segmentation_type=kind,
        segment_descriptions=described,
        series_instance_uid=generate_uid(),
        series_number=90,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        transfer_syntax_uid=syntax,
        **_DEVICE,
    )
    return as_bytes(made)


def report() -> bytes:
    """Return a Comprehensive SR with a measured length."""
    observer = hd.sr.ObservationContext(
        observer_person_context=hd.sr.ObserverContext(
            observer_type=CodedConcept("121006", "DCM", "Person"),
            observer_identifying_attributes=hd.sr.PersonObserverIdentifyingAttributes(name="Müller^Anna"),
        )
    )
    measured = hd.sr.Measurement(
        name=CodedConcept("410668003", "SCT", "Length"), value=12.5, unit=CodedConcept("mm", "UCUM", "millimeter")
    )
    source = sources()[0]
    region = hd.sr.ImageRegion(
        graphic_type="CIRCLE",
        graphic_data=np.array([[50.0, 60.0], [50.0, 80.0]]),
        source_image=hd.sr.SourceImageForRegion(source.SOPClassUID, source.SOPInstanceUID),
    )
    group = hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(uid=generate_uid(), identifier="Lesion <1>"),
        referenced_region=region,
        finding_type=CodedConcept("108369006", "SCT", "Neoplasm"),
        measurements=[measured],
    )
    content = hd.sr.MeasurementReport(
        observation_context=observer,
        procedure_reported=CodedConcept("25045-6", "LN", "CT unspecified body region"),
        imaging_measurements=[group],
    )
    made = hd.sr.Comprehensive3DSR(
        evidence=[source],
        content=content[0],
        series_number=91,
        series_instance_uid=generate_uid(),
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="Maker",
    )
    return as_bytes(made)


def document(data: bytes = PDF, kind: str = "application/pdf") -> bytes:
    """Return an Encapsulated PDF instance (PS3.3 A.45.1)."""
    source = sources()[0]
    made = FileDataset(BytesIO(), {}, file_meta=FileMetaDataset(), preamble=bytes(128))
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = EncapsulatedPDFStorage
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID = source.StudyInstanceUID, generate_uid()
    made.PatientName, made.PatientID, made.Modality = source.PatientName, source.PatientID, "DOC"
    made.MIMETypeOfEncapsulatedDocument = kind
    made.EncapsulatedDocument = data + b"\0" * (len(data) % 2)
    made.EncapsulatedDocumentLength = len(data)
    return as_bytes(made)


def video(stream: bytes) -> bytes:
    """Return a Video Photographic Image whose pixel data is a stream of MPEG-4 in three fragments (PS3.5 A.4.6)."""
    made = FileDataset(BytesIO(), {}, file_meta=FileMetaDataset(), preamble=bytes(128))
    made.file_meta.TransferSyntaxUID = MPEG4HP41
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = VideoPhotographicImageStorage
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID, made.Modality = generate_uid(), generate_uid(), "XC"
    made.Rows, made.Columns, made.BitsAllocated, made.BitsStored, made.HighBit = 480, 640, 8, 8, 7
    made.SamplesPerPixel, made.PixelRepresentation, made.PlanarConfiguration = 3, 0, 0
    made.PhotometricInterpretation, made.NumberOfFrames, made.FrameTime = "YBR_PARTIAL_420", 25, 40
    made.PixelData = encapsulate([stream], fragments_per_frame=3, has_bot=False)
    made["PixelData"].is_undefined_length = True
    return as_bytes(made)


def segmentations() -> dict[str, bytes]:
    """Return segmentations of every kind, by name."""
    return {
        "binary": segmentation("BINARY"),
        "fractional": segmentation("FRACTIONAL"),
        "fractional-rle": segmentation("FRACTIONAL", RLELossless),
        "labelmap": segmentation("LABELMAP"),
    }


def path_of(name: str) -> Path:
    """Return where one of pydicom's test files is."""
    return Path(get_testdata_file(name, download=False))
