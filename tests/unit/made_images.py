"""Files in memory as the services see them: documents, images, and files to be transcoded."""

from __future__ import annotations

import functools
import io
import itertools
from collections.abc import Iterator
from pathlib import Path

import pydicom
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, generate_frames

from dicouch.dicom.part10 import Part10Error, read_part10
from dicouch.dicom.part10.model import MissingIdentifier
from dicouch.dicom.pixels.image import Image
from dicouch.dicom.pixels.transcode import SourceFile, transcode
from dicouch.read.imaging import image_of, stored_of
from dicouch.read.retrieve import Retriever
from dicouch.write.document import make_document
from tests.conftest import EXTENT


class Memory:
    """A byte store of one file."""

    def __init__(self, data: bytes):
        self.data = data

    def open(
        self, _id, _file, start: int = 0, end: int | None = None, _authorization=None, _check=None
    ) -> Iterator[bytes]:
        """Yield bytes in pieces of an odd size."""
        part = self.data[start:end]
        for position in range(0, len(part), 99_991):
            yield part[position : position + 99_991]


def document_of(data: bytes) -> dict:
    """Return the instance document that STOW would make of a file."""
    return make_document(read_part10(io.BytesIO(data), len(data)), len(data), str(hash(data)))


def reader_of(data: bytes) -> Retriever:
    """Return a reader of one file."""
    return Retriever(None, Memory(data))


def open_image(data: bytes) -> Image:
    """Return the image in a Part 10 file."""
    return image_of(reader_of(data), document_of(data))


def open_stored(data: bytes) -> SourceFile:
    """Return a Part 10 file for transcoding."""
    return stored_of(reader_of(data), document_of(data))


def converted(data: bytes, target: str) -> bytes:
    """Return a Part 10 file in another transfer syntax."""
    size, pieces = transcode(open_stored(data), target)
    result = b"".join(pieces)
    assert len(result) == size
    return result


def sample(name: str) -> bytes:
    """Return one of pydicom's test files, as a Part 10 file."""
    return Path(get_testdata_file(name, download=False)).read_bytes()


@functools.cache
def image_files() -> dict[str, bytes]:
    """Return the test files of pydicom and pydicom-data that hold pixel data, by a name of their own.

    Files without identifiers, which STOW refuses, are given some.
    """
    import data_store

    found = {}
    for folder in (Path(pydicom.__file__).parent / "data", Path(data_store.__file__).parent):
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.suffix in ("", ".dcm", ".DCM"):
                data = _with_pixels(path)
                if data:
                    found[path.name if path.name not in found else f"{path.parent.name}-{path.name}"] = data
    return found


def _shortened(data: bytes, count: int = 6) -> bytes:
    """Return a film's first frames: the others are encoded in the same way."""
    dataset, target = pydicom.dcmread(io.BytesIO(data)), io.BytesIO()
    frames = generate_frames(dataset.PixelData, number_of_frames=int(dataset.NumberOfFrames))
    dataset.PixelData, dataset.NumberOfFrames = encapsulate(list(itertools.islice(frames, count))), count
    dataset.save_as(target)
    return target.getvalue()


def _with_pixels(path: Path) -> bytes | None:
    data = path.read_bytes()
    if path.name == "color3d_jpeg_baseline.dcm" and not EXTENT["all"]:
        data = _shortened(data)
    try:
        return data if document_of(data)["file"].get("frames") else None
    except MissingIdentifier:
        dataset = pydicom.dcmread(path)
        for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"):
            if not dataset.get(name):
                setattr(dataset, name, "1.2.826.0.1.3680043.8.498.9")
        if "PixelData" not in dataset or "TransferSyntaxUID" not in dataset.file_meta or "Rows" not in dataset:
            return None
        target = io.BytesIO()
        dataset.save_as(target)
        return target.getvalue()
    except Part10Error:
        return None
