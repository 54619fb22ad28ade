"""A heart in ultrasound, a slide with its levels, and a video."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageDraw, ImageFilter
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    MPEG4HP41,
    JPEGBaseline8Bit,
    UltrasoundMultiFrameImageStorage,
    VideoPhotographicImageStorage,
    VLWholeSlideMicroscopyImageStorage,
)

from dicouch.scripts.examples.head import basic, uid

CINE_STUDY, SLIDE_STUDY, VIDEO_STUDY = uid("us"), uid("sm"), uid("xc")
FRAMES, TILE, LEVELS = 24, 256, 3
# Pixels a side of the finest level, and millimetres of one.
SLIDE, FINEST = 2048, 0.0005
VIDEO = Path(__file__).with_name("endoscopy.mp4")


def cine_study() -> Iterator[Dataset]:
    """Yield a beating heart: native, 8 bits."""
    random = np.random.default_rng(3)
    y, x = np.mgrid[0:240, 0:320].astype(np.float32)
    speckle = np.asarray(Image.fromarray(random.integers(0, 255, (240, 320), np.uint8)).filter(ImageFilter.BoxBlur(1)))
    angle, depth = np.arctan2(x - 160, y + 20), np.hypot(x - 160, y + 20)
    sector = (abs(angle) < 0.65) & (depth < 250) & (depth > 35)
    frames = []
    for number in range(FRAMES):
        beat = 1 - 0.22 * np.sin(2 * np.pi * number / FRAMES) ** 2
        wall = np.hypot((x - 150) / (70 * beat), (y - 135) / (85 * beat))
        chamber = np.hypot((x - 150) / (48 * beat**2), (y - 135) / (62 * beat**2))
        light = np.where(chamber < 1, 12, np.where(wall < 1, 150, 60)) * (0.4 + speckle / 160)
        frames.append(np.where(sector, np.clip(light, 0, 255), 0).astype(np.uint8))
    made = basic(
        CINE_STUDY, uid("us", "series"), UltrasoundMultiFrameImageStorage, 1, PatientName="Example^Cleo",
        PatientID="EXAMPLE-3", StudyDate="20240520", StudyTime="140000", SeriesDate="20240520", SeriesTime="140100",
        StudyDescription="Heart", SeriesDescription="Four chambers", Modality="US", SeriesNumber=1, InstanceNumber=1,
    )  # fmt: skip
    made.ImageType, made.NumberOfFrames, made.FrameTime = ["ORIGINAL", "PRIMARY"], FRAMES, "40"
    made.FrameIncrementPointer = 0x00181063
    made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 240, 320, 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 8, 8, 7, 0
    made.WindowCenter, made.WindowWidth = 128, 256
    made.PixelData = b"".join(frame.tobytes() for frame in frames)
    yield made


def tissue() -> Image.Image:
    """Return what is on the slide: glands of cells with dark nuclei."""
    random = np.random.default_rng(11)
    picture = Image.new("RGB", (SLIDE, SLIDE), (244, 240, 244))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((160, 240, 1900, 1800), (236, 190, 214))
    for _gland in range(60):
        at = random.uniform((400, 450), (1650, 1600))
        size = random.uniform(40, 110)
        draw.ellipse((*(at - size), *(at + size)), (214, 150, 190))
        draw.ellipse((*(at - size / 2), *(at + size / 2)), (246, 236, 242))
        for turn in np.linspace(0, 2 * np.pi, int(size / 3)):
            nucleus = at + size * 0.75 * np.array([np.cos(turn), np.sin(turn)]) + random.normal(0, 3, 2)
            draw.ellipse((*(nucleus - 7), *(nucleus + 7)), (96, 60, 140))
    for _cell in range(2500):
        turn, reach = random.uniform(0, 2 * np.pi), np.sqrt(random.uniform(0, 1)) * 0.95
        at = np.array([1030 + 870 * reach * np.cos(turn), 1020 + 780 * reach * np.sin(turn)])
        draw.ellipse((*(at - 4), *(at + 4)), (120, 80, 160))
    return picture.filter(ImageFilter.GaussianBlur(1))


def slide_study() -> Iterator[Dataset]:
    """Yield the levels of a slide, tiled fully, in JPEG (PS3.3 A.32.8)."""
    picture = tissue()
    for level in range(LEVELS):
        side = SLIDE >> level
        yield _level(picture.resize((side, side), Image.Resampling.BOX), level)


def _level(picture: Image.Image, level: int) -> Dataset:
    side = picture.width
    tiles = []
    for top in range(0, side, TILE):
        for left in range(0, side, TILE):
            target = BytesIO()
            tile = picture.crop((left, top, left + TILE, top + TILE))
            tile.save(target, "JPEG", quality=88, subsampling="4:2:2")
            tiles.append(target.getvalue())
    made = basic(
        SLIDE_STUDY, uid("sm", "series"), VLWholeSlideMicroscopyImageStorage, level, PatientName="Example^Dora",
        PatientID="EXAMPLE-4", StudyDate="20240605", StudyTime="080000", SeriesDate="20240605", SeriesTime="080500",
        StudyDescription="Biopsy", SeriesDescription="H&E", Modality="SM", SeriesNumber=1, InstanceNumber=level + 1,
        ContentDate="20240605", ContentTime="080500", AcquisitionDateTime="20240605080500",
        VolumetricProperties="VOLUME",
        FrameOfReferenceUID=uid("sm", "frame"), PositionReferenceIndicator="SLIDE_CORNER", BurnedInAnnotation="NO",
        ContainerIdentifier="S1", SpecimenLabelInImage="NO", FocusMethod="AUTO", ExtendedDepthOfField="NO",
        ImagedVolumeWidth=SLIDE * FINEST, ImagedVolumeHeight=SLIDE * FINEST, ImagedVolumeDepth=0.001,
        AcquisitionContextSequence=[], DimensionOrganizationType="TILED_FULL", LossyImageCompression="01",
        LossyImageCompressionRatio=10, LossyImageCompressionMethod="ISO_10918_1", TotalPixelMatrixFocalPlanes=1,
        ManufacturerModelName="examples", DeviceSerialNumber="1", SoftwareVersions="1", NumberOfOpticalPaths=1,
    )  # fmt: skip
    made.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    made.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "RESAMPLED" if level else "NONE"]
    made.TotalPixelMatrixColumns = made.TotalPixelMatrixRows = side
    made.ImageOrientationSlide = [0, 1, 0, 1, 0, 0]
    made.TotalPixelMatrixOriginSequence = [
        _item(XOffsetInSlideCoordinateSystem=0.0, YOffsetInSlideCoordinateSystem=0.0)
    ]
    made.DimensionOrganizationSequence = [_item(DimensionOrganizationUID=uid("sm", "dimensions"))]
    made.ContainerTypeCodeSequence = [_code("433466003", "SCT", "Microscope slide")]
    made.SpecimenDescriptionSequence = [_item(SpecimenIdentifier="S1", SpecimenUID=uid("sm", "specimen"))]
    made.OpticalPathSequence = [
        _item(
            OpticalPathIdentifier="1",
            IlluminationTypeCodeSequence=[_code("111744", "DCM", "Brightfield illumination")],
            IlluminationColorCodeSequence=[_code("414298005", "SCT", "Full Spectrum")],
            ICCProfile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        )
    ]
    spacing = FINEST * 2**level
    made.SharedFunctionalGroupsSequence = [
        _item(
            PixelMeasuresSequence=[_item(PixelSpacing=[spacing, spacing], SliceThickness=0.001)],
            WholeSlideMicroscopyImageFrameTypeSequence=[_item(FrameType=made.ImageType)],
            OpticalPathIdentificationSequence=[_item(OpticalPathIdentifier="1")],
        )
    ]
    made.NumberOfFrames, made.Rows, made.Columns = len(tiles), TILE, TILE
    made.SamplesPerPixel, made.PlanarConfiguration, made.PhotometricInterpretation = 3, 0, "YBR_FULL_422"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 8, 8, 7, 0
    made.PixelData = encapsulate(tiles)
    made["PixelData"].is_undefined_length = True
    return made


def video_study() -> Iterator[Dataset]:
    """Yield a video, H.264 in MP4, that was drawn for this and recorded in a browser (PS3.3 A.32.7).

    Of Video Photographic Image, since OHIF takes the other classes for images.
    """
    made = basic(
        VIDEO_STUDY, uid("xc", "series"), VideoPhotographicImageStorage, 1, PatientName="Example^Emil",
        PatientID="EXAMPLE-5", StudyDate="20240702", StudyTime="090000", SeriesDate="20240702", SeriesTime="090100",
        StudyDescription="Endoscopy", SeriesDescription="Video", Modality="XC", SeriesNumber=1, InstanceNumber=1,
        AcquisitionContextSequence=[], LossyImageCompression="01", LossyImageCompressionRatio=80,
        LossyImageCompressionMethod="ISO_14496_10",
    )  # fmt: skip
    made.file_meta.TransferSyntaxUID = MPEG4HP41
    made.ImageType, made.NumberOfFrames, made.CineRate, made.FrameTime = ["ORIGINAL", "PRIMARY"], 75, 25, 40
    made.FrameIncrementPointer = 0x00181063
    made.Rows, made.Columns, made.SamplesPerPixel, made.PlanarConfiguration = 240, 320, 3, 0
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 8, 8, 7, 0
    made.PhotometricInterpretation = "YBR_PARTIAL_420"
    made.PixelData = encapsulate([VIDEO.read_bytes()], has_bot=False)
    made["PixelData"].is_undefined_length = True
    yield made


def _item(**attributes: object) -> Dataset:
    made = Dataset()
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    return _item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)
