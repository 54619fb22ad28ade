"""The inflated stream of a deflated file, in which its byte ranges count."""

from collections.abc import Iterable
from tempfile import SpooledTemporaryFile
from typing import BinaryIO

from dicouch.dicom.part10.meta import read_meta
from dicouch.dicom.part10.model import Warnings
from dicouch.dicom.part10.read import _inflate
from dicouch.dicom.part10.window import Window

_SPOOLED = 8 * 1024 * 1024


def open_inflated(pieces: Iterable[bytes]) -> BinaryIO:
    """Return a file with the data set inflated in place (PS3.5 A.5).

    Parameters
    ----------
    pieces : iterable of bytes
        The Part 10 file, piece by piece.
    """
    inflated = SpooledTemporaryFile(max_size=_SPOOLED)  # the caller closes it
    with SpooledTemporaryFile(max_size=_SPOOLED) as source:
        for piece in pieces:
            source.write(piece)
        window = Window(source, source.tell())
        warnings = Warnings()
        _inflate(window, read_meta(window, warnings).start, inflated, warnings)
    return inflated
