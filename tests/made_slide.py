"""A small tiled whole slide image (PS3.3 A.32.8): a pyramid of three levels, with overview and label."""

from __future__ import annotations

from functools import cache
from io import BytesIO

import numpy as np
from PIL import Image, ImageCms
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit, VLWholeSlideMicroscopyImageStorage

STUDY, SERIES = "1.2.826.0.1.3680043.8.498.14.1", "1.2.826.0.1.3680043.8.498.14.1.1"
TILE = 64
# Columns and rows of the levels; not multiples of the tile, so that the last tiles reach beyond the slide.
LEVELS = ((200, 150), (100, 75), (50, 38))
FLAVORS = {
    "VOLUME": ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"],
    "OVERVIEW": ["ORIGINAL", "PRIMARY", "OVERVIEW", "NONE"],
    "LABEL": ["ORIGINAL", "PRIMARY", "LABEL", "NONE"],
}


@cache
def icc_profile() -> bytes:
    """Return an sRGB profile of the length that those of scanners have, which makes it bulk data."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    length = 100_000
    return length.to_bytes(4, "big") + profile[4:] + bytes(length - len(profile))


def picture(columns: int, rows: int) -> np.ndarray:
    """Return what a level shows: red grows to the right, green down, and a blue disc is in the middle."""
    row, column = np.mgrid[0:rows, 0:columns]
    disc = (row / rows - 0.5) ** 2 + (column / columns - 0.5) ** 2 < 0.04
    shown = np.stack([column * 255 // columns, row * 255 // rows, np.where(disc, 230, 20)], axis=-1)
    return shown.astype(np.uint8)


def tiles(shown: np.ndarray, side: int) -> list[bytes]:
    """Cut a picture into JPEG tiles, row by row; white stands beyond its edge (PS3.3 C.7.6.17.3, TILED_FULL)."""
    rows, columns = shown.shape[:2]
    whole = np.full((-(-rows // side) * side, -(-columns // side) * side, 3), 255, np.uint8)
    whole[:rows, :columns] = shown
    made = []
    for top in range(0, rows, side):
        for left in range(0, columns, side):
            target = BytesIO()
            Image.fromarray(whole[top : top + side, left : left + side]).save(target, "JPEG", quality=95, subsampling=0)
            made.append(target.getvalue())
    return made


def _coded(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _optics() -> Dataset:
    path = Dataset()
    path.OpticalPathIdentifier = "1"
    path.IlluminationTypeCodeSequence = [_coded("111744", "DCM", "Brightfield illumination")]
    path.IlluminationColorCodeSequence = [_coded("11744", "DCM", "Full Spectrum")]
    path.ICCProfile = icc_profile()
    path.ObjectiveLensPower = "20"
    return path


def _describe(made: Dataset, number: int, flavor: str, spacing: float, depth: tuple[float, float]) -> None:
    made.SOPClassUID = VLWholeSlideMicroscopyImageStorage
    made.SOPInstanceUID = f"{SERIES}.{number}"
    made.StudyInstanceUID, made.SeriesInstanceUID = STUDY, SERIES
    made.FrameOfReferenceUID, made.DimensionOrganizationType = f"{STUDY}.2", "TILED_FULL"
    made.ImageType, made.Modality = FLAVORS[flavor], "SM"
    made.PatientName, made.PatientID, made.PatientSex, made.PatientBirthDate = "Slide^Sam", "SLIDE1", "O", "19700101"
    made.StudyDate = made.ContentDate = made.SeriesDate = "20240305"
    made.StudyTime = made.ContentTime = made.SeriesTime = "101112"
    made.AcquisitionDateTime = "20240305101112"
    made.StudyID, made.AccessionNumber, made.ReferringPhysicianName = "1", "S1", ""
    made.SeriesNumber, made.InstanceNumber = 1, number
    made.Manufacturer, made.ManufacturerModelName, made.DeviceSerialNumber = "Maker", "Scanner", "1"
    made.SoftwareVersions, made.PositionReferenceIndicator = "1.0", "SLIDE_CORNER"
    made.ContainerIdentifier, made.IssuerOfTheContainerIdentifierSequence = "C1", []
    made.ContainerTypeCodeSequence = [_coded("433466003", "SCT", "Microscope slide")]
    made.AcquisitionContextSequence, made.SpecimenDescriptionSequence = [], [Dataset()]
    specimen = made.SpecimenDescriptionSequence[0]
    specimen.SpecimenIdentifier, specimen.SpecimenUID = "C1.1", f"{STUDY}.3"
    specimen.SpecimenPreparationSequence, specimen.IssuerOfTheSpecimenIdentifierSequence = [], []
    made.OpticalPathSequence, made.NumberOfOpticalPaths = [_optics()], 1
    made.TotalPixelMatrixFocalPlanes, made.FocusMethod, made.ExtendedDepthOfField = 1, "AUTO", "NO"
    made.ImageOrientationSlide = [0, -1, 0, -1, 0, 0]
    origin = Dataset()
    origin.XOffsetInSlideCoordinateSystem, origin.YOffsetInSlideCoordinateSystem = 20, 40
    made.TotalPixelMatrixOriginSequence = [origin]
    made.ImagedVolumeWidth, made.ImagedVolumeHeight, made.ImagedVolumeDepth = *depth, 0.001
    made.BurnedInAnnotation = made.SpecimenLabelInImage = "YES" if flavor == "LABEL" else "NO"
    made.VolumetricProperties, made.LossyImageCompression, made.LossyImageCompressionRatio = "VOLUME", "01", "8"
    made.LossyImageCompressionMethod = "ISO_10918_1"
    shared, measures, kind = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [spacing, spacing], 0.001
    kind.FrameType = FLAVORS[flavor]
    shared.PixelMeasuresSequence, shared.WholeSlideMicroscopyImageFrameTypeSequence = [measures], [kind]
    used = Dataset()
    used.OpticalPathIdentifier = "1"
    shared.OpticalPathIdentificationSequence = [used]
    made.SharedFunctionalGroupsSequence = [shared]


def _image(number: int, flavor: str, size: tuple[int, int], spacing: float, side: int) -> Dataset:
    columns, rows = size
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    _describe(made, number, flavor, spacing, (columns * spacing, rows * spacing))
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    frames = tiles(picture(columns, rows), side)
    made.NumberOfFrames = len(frames)
    made.TotalPixelMatrixColumns, made.TotalPixelMatrixRows = columns, rows
    made.Rows = made.Columns = side
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PlanarConfiguration = 3, "YBR_FULL_422", 0
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 8, 8, 7, 0
    made.PixelData = encapsulate(frames)
    made["PixelData"].VR = "OB"
    return made


def slide() -> list[Dataset]:
    """Return the instances of one slide: the levels, the largest first, then overview and label."""
    made = [
        _image(number, "VOLUME", size, 0.001 * 2 ** (number - 1), TILE) for number, size in enumerate(LEVELS, start=1)
    ]
    made.append(_image(4, "OVERVIEW", (96, 96), 0.3, 96))
    made.append(_image(5, "LABEL", (80, 80), 0.3, 80))
    return made
