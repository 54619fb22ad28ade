"""The elements around the pixel data of a Part 10 file: read with pydicom, changed, and written anew.

Part 10's own walk makes DICOM JSON, which leaves out bulk values and what breaks its VR. pydicom keeps them, and
rewrites Implicit VR and Big Endian.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableSequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO

from pydicom import DataElement, Dataset, FileDataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import generate_frames
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import dcmwrite, write_dataset
from pydicom.uid import UID

from dicouch.dicom.errors import PixelError, one_line
from dicouch.dicom.json_model import JsonDataset
from dicouch.dicom.part10.attributes import PIXEL_TAGS
from dicouch.dicom.part10.byte_source import ByteSource
from dicouch.dicom.part10.charset import encodings_of
from dicouch.dicom.part10.dataset import DatasetReader
from dicouch.dicom.part10.dictionary import key_of
from dicouch.dicom.part10.meta import read_meta
from dicouch.dicom.part10.model import Part10Error, Warnings
from dicouch.dicom.pixels.decode import decode, native_bytes
from dicouch.dicom.pixels.image import Image


@dataclass
class Head:
    """What precedes the pixel data, with the file meta information, and how it was encoded."""

    dataset: FileDataset
    implicit: bool
    little: bool
    transfer_syntax: str
    careful: bool

    def read_more(self, data: bytes) -> Dataset:
        """Read elements that stand elsewhere in the same file."""
        with _converting("what follows the pixel data"):
            if self.careful:
                return _read_carefully(data, self.implicit, self.little)
            return read_dataset(BytesIO(data), self.implicit, self.little)


class Unwritable(PixelError):
    """pydicom cannot read or write the elements of a file."""


@contextmanager
def _converting(what: str) -> Iterator[None]:
    """Tell as `Unwritable` whatever pydicom raises of damaged elements."""
    try:
        yield
    except Exception as problem:
        raise Unwritable(f"{what} cannot be converted: {one_line(problem)}") from problem


def read_head(data: bytes, *, careful: bool = False) -> Head:
    """Read a file up to its pixel data, where it may end; the data set is inflated.

    Parameters
    ----------
    careful : bool
        Read element by element: a broken one becomes UN, and what is no element is left out.

    Raises
    ------
    Unwritable
        pydicom cannot read it.
    """
    with _converting("the file"):
        meta = read_meta(ByteSource(BytesIO(data), len(data)), Warnings())
        if careful:
            read = _read_carefully(data[meta.start :], not meta.explicit, meta.little)
        else:
            read = read_dataset(
                BytesIO(data[meta.start :]),
                not meta.explicit,
                meta.little,
                stop_when=lambda tag, _vr, _length: tag in PIXEL_TAGS,
            )
        group = FileMetaDataset()
        if data[128:132] == b"DICM":
            with suppress(Exception):  # what pydicom cannot read is made anew
                group = FileMetaDataset(read_dataset(BytesIO(data[132 : meta.start]), False, True))
        dataset = FileDataset(BytesIO(), read, bytes(128), group, not meta.explicit, meta.little)
        return Head(dataset, not meta.explicit, meta.little, meta.transfer_syntax, careful)


def _read_carefully(data: bytes, implicit: bool, little: bool) -> Dataset:
    """Read elements up to the pixel data; one that pydicom cannot convert is UN (PS3.5 6.2.2), as it is."""
    reader = DatasetReader(ByteSource(BytesIO(data), len(data)), Warnings())
    tags: dict[int, int] = {}

    def visit(tag: int, position: int) -> bool:
        tags[position] = tag
        return tag in PIXEL_TAGS

    reader.visit = visit
    told: JsonDataset = {}
    with suppress(Part10Error):  # what follows is lost to any reader
        told = reader.read(0, not implicit, little)
    charset = encodings_of(reader.character_set)[0]
    dataset = Dataset()
    for position, (value, end) in reader.places.items():
        tag = tags[position]
        try:
            if told.get(key_of(tag), {}).get("vr") == "UN":
                raise ValueError("it does not fit its VR")  # pydicom takes some of them for something else
            element = read_dataset(BytesIO(data[position:end]), implicit, little).get_item(tag)
            probe = Dataset()
            for known in (0x00080005, 0x00280103):  # what others depend on
                if known in dataset:
                    probe[known] = dataset.get_item(known)
            probe[tag] = element
            _write(probe, implicit, little, charset)
        except Exception:  # noqa: BLE001 - pydicom raises anything of broken elements
            content = data[value:end]
            dataset[tag] = DataElement(tag, "OB", content + bytes(len(content) % 2))
            dataset[tag].VR = "UN"  # given at once, it becomes the VR of the dictionary
        else:
            dataset[tag] = element
    dataset.set_original_encoding(implicit, little, charset)
    return dataset


def _write(dataset: Dataset, implicit: bool, little: bool, charset: str | MutableSequence[str]) -> bytes:
    """Write elements, read in one encoding, in Explicit VR Little Endian."""
    target = DicomBytesIO()
    target.is_implicit_VR, target.is_little_endian = False, True
    dataset.set_original_encoding(implicit, little, charset)
    write_dataset(target, dataset, charset if isinstance(charset, str) else list(charset))
    return target.getvalue()


def write_head(head: Head, transfer_syntax: str) -> bytes:
    """Write preamble, file meta information naming a transfer syntax, and the elements in Explicit VR Little Endian.

    Raises
    ------
    Unwritable
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
    with _converting("what follows the pixel data"):
        return _write(dataset, head.implicit, head.little, head.dataset.original_character_set)


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
