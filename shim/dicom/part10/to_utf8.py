"""A file with its texts in UTF-8: for a correction that needs characters its character set lacks."""

import io
import warnings

from pydicom import config, dcmread
from pydicom.errors import InvalidDicomError
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from dicouch.dicom.part10.meta import Meta

# What pydicom raises for files that it cannot read or write.
_PROBLEMS = (AttributeError, InvalidDicomError, LookupError, NotImplementedError, OSError, TypeError, ValueError)


def to_utf8(head: bytes, meta: Meta) -> bytes | None:
    """Return a file with all its texts in UTF-8, ``ISO_IR 192`` (PS3.3 C.12.1.1.2).

    Parameters
    ----------
    head : bytes
        The file, as far as its pixel data.
    meta : Meta
        How its data set is encoded.

    Returns
    -------
    bytes or None
        None where pydicom can not read or write it.
    """
    source = io.BytesIO(head)
    target = DicomBytesIO()
    target.is_implicit_VR, target.is_little_endian = not meta.explicit, meta.little
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with config.disable_value_validation():
                dataset = dcmread(source, force=True)
                dataset.decode()
                dataset.SpecificCharacterSet = "ISO_IR 192"
                write_dataset(target, dataset)
        except _PROBLEMS:
            return None
    return head[: meta.start] + target.getvalue()
