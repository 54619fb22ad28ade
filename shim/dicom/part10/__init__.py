"""Reading a DICOM Part 10 file: identifiers, DICOM JSON, and where bulk values and frames lie.

| module | subject |
|---|---|
| `read` | `read_part10`: the steps, the identifiers |
| `model` | the result, the errors, the warnings, the limits |
| `byte_source` | reading a large file through a small buffer |
| `walk` | the one walk over headers of elements, items and fragments |
| `meta`, `inflate` | preamble, File Meta Information, encoding of the data set; deflated files |
| `dataset` | data set, sequences and items |
| `attributes` | one attribute of DICOM JSON: value, inline binary or bulk data |
| `values`, `charset` | values of each VR, text of each character set |
| `resolve`, `dictionary` | VRs that the file does not tell |
| `form` | what pixel data are, where the transfer syntax says otherwise |
| `find_frames` | where frames lie; the bytes of one of them |
| `encode` | DICOM JSON written as bytes of a file |
"""

from __future__ import annotations

from dicouch.dicom.part10.model import MissingIdentifier, Part10, Part10Error, TooMuch, Unreadable
from dicouch.dicom.part10.read import read_part10

__all__ = ["MissingIdentifier", "Part10", "Part10Error", "TooMuch", "Unreadable", "read_part10"]
