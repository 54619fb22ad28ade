"""The elements around the pixel data of a Part 10 file: read with pydicom, changed, and written anew."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import dcmwrite, write_dataset
from pydicom.pixels import get_decoder
from pydicom.uid import UID

from dicouch.dicom.part10.byte_source import ByteSource
from dicouch.dicom.part10.meta import read_meta
from dicouch.dicom.part10.model import Unreadable, Warnings
from dicouch.dicom.pixels.errors import PixelError

PIXEL_ELEMENTS = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))


@dataclass
class Head:
    """What precedes the pixel data.

    Attributes
    ----------
    dataset : FileDataset
        With its file meta information.
    implicit, little : bool
        How it was encoded.
    transfer_syntax : str
    """

    dataset: FileDataset
    implicit: bool
    little: bool
    transfer_syntax: str

    def read_more(self, data: bytes) -> Dataset:
        """Read elements that stand elsewhere in the same file."""
        try:
            return read_dataset(BytesIO(data), self.implicit, self.little)
        # pydicom raises whatever the damage leads to.
        except Exception as problem:
            raise PixelError(f"what follows the pixel data cannot be read: {problem}") from problem


def read_head(data: bytes) -> Head:
    """Read a file up to its pixel data.

    Parameters
    ----------
    data : bytes
        The file from its start, the data set inflated; it may end where the value of the pixel data begins.

    Raises
    ------
    PixelError
        pydicom cannot read it.
    """
    try:
        meta = read_meta(ByteSource(BytesIO(data), len(data)), Warnings())
        source = BytesIO(data[meta.start :])
        read = read_dataset(
            source, not meta.explicit, meta.little, stop_when=lambda tag, _vr, _length: tag in PIXEL_ELEMENTS
        )
        group = FileMetaDataset()
        if data[128:132] == b"DICM":
            file_meta = read_dataset(
                BytesIO(data[132 : meta.start]), False, True, stop_when=lambda tag, _vr, _length: tag >> 16 != 2
            )
            group = FileMetaDataset(file_meta)
        dataset = FileDataset(BytesIO(), read, bytes(128), group, not meta.explicit, meta.little)
    except Unreadable as problem:
        raise PixelError(f"the file cannot be converted: {problem}") from problem
    # pydicom raises whatever the damage leads to.
    except Exception as problem:
        raise PixelError(f"the file cannot be converted: {problem}") from problem
    return Head(dataset, not meta.explicit, meta.little, meta.transfer_syntax)


def write_head(head: Head, transfer_syntax: str) -> bytes:
    """Write preamble, file meta information and the elements in Explicit VR Little Endian.

    Parameters
    ----------
    head : Head
    transfer_syntax : str
        UID to be named in the file meta information.

    Raises
    ------
    PixelError
        pydicom cannot write it.
    """
    dataset = head.dataset
    _decode_icons(dataset, head.transfer_syntax)
    meta = dataset.file_meta
    meta.TransferSyntaxUID = UID(transfer_syntax)
    try:
        meta.MediaStorageSOPClassUID = meta.get("MediaStorageSOPClassUID") or dataset.SOPClassUID
        meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        target = BytesIO()
        dcmwrite(target, dataset, enforce_file_format=True)
    # pydicom raises whatever the damage leads to.
    except Exception as problem:
        raise PixelError(f"the file cannot be converted: {problem}") from problem
    return target.getvalue()


def write_elements(dataset: Dataset, head: Head) -> bytes:
    """Write elements in Explicit VR Little Endian."""
    target = DicomBytesIO()
    target.is_implicit_VR = False
    target.is_little_endian = True
    dataset.set_original_encoding(head.implicit, head.little, head.dataset.original_character_set)
    try:
        write_dataset(target, dataset, head.dataset.original_character_set)
    # pydicom raises whatever the damage leads to.
    except Exception as problem:
        raise PixelError(f"what follows the pixel data cannot be converted: {problem}") from problem
    return target.getvalue()


def _decode_icons(dataset: Dataset, transfer_syntax: str) -> None:
    """Make compressed icons (PS3.3 F.7) native, as they share the transfer syntax of the file; or drop them."""
    if 0x00880200 not in dataset or not UID(transfer_syntax).is_encapsulated:
        return
    for item in dataset[0x00880200].value:
        element = item.get(0x7FE00010)
        if element is None or not getattr(element, "is_undefined_length", False):
            continue
        try:
            frame = next(generate_frames(element.value, number_of_frames=1))
            array, described = get_decoder(transfer_syntax).as_array(
                encapsulate([frame], has_bot=False),
                index=0,
                rows=item.Rows,
                columns=item.Columns,
                samples_per_pixel=item.SamplesPerPixel,
                photometric_interpretation=item.PhotometricInterpretation,
                planar_configuration=item.get("PlanarConfiguration", 0),
                bits_allocated=item.BitsAllocated,
                bits_stored=item.BitsStored,
                pixel_representation=item.PixelRepresentation,
                pixel_keyword="PixelData",
                number_of_frames=1,
            )
        # An icon is optional, and whatever is wrong with it must not cost the image.
        except Exception:
            del dataset[0x00880200]
            return
        raw = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes()
        item.PixelData = raw + b"\0" * (len(raw) % 2)
        item["PixelData"].is_undefined_length = False
        item["PixelData"].VR = "OB" if item.BitsAllocated <= 8 else "OW"
        item.PhotometricInterpretation = described["photometric_interpretation"]
        if item.SamplesPerPixel > 1:
            item.PlanarConfiguration = 0
