"""The elements around the pixel data of a Part 10 file: read with pydicom, changed, and written anew.

Part 10's own walk makes DICOM JSON, which leaves out bulk values and what breaks its VR. pydicom keeps them, and
rewrites Implicit VR and Big Endian.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO

from pydicom import Dataset, FileDataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import generate_frames
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import dcmwrite, write_dataset
from pydicom.uid import UID

from dicouch.dicom.errors import PixelError
from dicouch.dicom.part10.byte_source import ByteSource
from dicouch.dicom.part10.meta import read_meta
from dicouch.dicom.part10.model import Warnings
from dicouch.dicom.pixels.decode import decode, native_bytes
from dicouch.dicom.pixels.image import Image


@dataclass
class Head:
    """What precedes the pixel data, with the file meta information, and how it was encoded."""

    dataset: FileDataset
    implicit: bool
    little: bool
    transfer_syntax: str

    def read_more(self, data: bytes) -> Dataset:
        """Read elements that stand elsewhere in the same file."""
        with _converting("what follows the pixel data"):
            return read_dataset(BytesIO(data), self.implicit, self.little)


@contextmanager
def _converting(what: str) -> Iterator[None]:
    """Tell as `PixelError` whatever pydicom raises of damaged elements."""
    try:
        yield
    except Exception as problem:
        raise PixelError(f"{what} cannot be converted: {problem}") from problem


def read_head(data: bytes) -> Head:
    """Read a file up to its pixel data, where it may end; the data set is inflated.

    Raises
    ------
    PixelError
        pydicom cannot read it.
    """
    with _converting("the file"):
        meta = read_meta(ByteSource(BytesIO(data), len(data)), Warnings())
        read = read_dataset(
            BytesIO(data[meta.start :]),
            not meta.explicit,
            meta.little,
            stop_when=lambda tag, _vr, _length: tag in (0x7FE00008, 0x7FE00009, 0x7FE00010),
        )
        group = FileMetaDataset()
        if data[128:132] == b"DICM":
            group = FileMetaDataset(read_dataset(BytesIO(data[132 : meta.start]), False, True))
        dataset = FileDataset(BytesIO(), read, bytes(128), group, not meta.explicit, meta.little)
        return Head(dataset, not meta.explicit, meta.little, meta.transfer_syntax)


def write_head(head: Head, transfer_syntax: str) -> bytes:
    """Write preamble, file meta information naming a transfer syntax, and the elements in Explicit VR Little Endian.

    Raises
    ------
    PixelError
        pydicom cannot write it.
    """
    dataset, meta, target = head.dataset, head.dataset.file_meta, BytesIO()
    with _converting("the file"):
        _decode_icons(dataset, head.transfer_syntax)
        meta.TransferSyntaxUID = UID(transfer_syntax)
        meta.MediaStorageSOPClassUID = meta.get("MediaStorageSOPClassUID") or dataset.SOPClassUID
        meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dcmwrite(target, dataset, enforce_file_format=True)
    return target.getvalue()


def write_elements(dataset: Dataset, head: Head) -> bytes:
    """Write elements in Explicit VR Little Endian."""
    target = DicomBytesIO()
    target.is_implicit_VR, target.is_little_endian = False, True
    charset = head.dataset.original_character_set
    with _converting("what follows the pixel data"):
        dataset.set_original_encoding(head.implicit, head.little, charset)
        write_dataset(target, dataset, charset if isinstance(charset, str) else list(charset))
    return target.getvalue()


def _decode_icons(dataset: Dataset, transfer_syntax: str) -> None:
    """Make compressed icons (PS3.3 F.7) native, as they share the transfer syntax of the file; or drop them."""
    if "IconImageSequence" not in dataset or not UID(transfer_syntax).is_encapsulated:
        return
    for item in dataset.IconImageSequence:
        if "PixelData" in item and item["PixelData"].is_undefined_length:
            try:
                _decode_icon(item, transfer_syntax)
            except Exception:  # noqa: BLE001 - an icon is optional: what is wrong with it must not cost the image
                del dataset.IconImageSequence
                return


def _decode_icon(item: Dataset, transfer_syntax: str) -> None:
    frame = next(generate_frames(item.PixelData, number_of_frames=1))
    del item.PixelData
    image = Image({**item.to_json_dict(), "7FE00010": {}}, transfer_syntax, 1, lambda _number: frame)
    pixels = decode(image, 1)
    raw = native_bytes(image, pixels)
    item.add_new("PixelData", "OB" if image.bits_allocated <= 8 else "OW", raw + bytes(len(raw) % 2))
    item.PhotometricInterpretation = pixels.photometric
    if image.samples > 1:
        item.PlanarConfiguration = image.planar
