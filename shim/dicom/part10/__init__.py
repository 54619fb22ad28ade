"""Reading a DICOM Part 10 file: identifiers, DICOM JSON, and where bulk values and frames lie.

| module | subject |
|---|---|
| `read` | `read_part10`: the steps, the identifiers, deflated files |
| `model` | the result, the errors, the limits |
| `window` | reading a large file through a small buffer |
| `meta` | preamble, File Meta Information, encoding of the data set |
| `walk` | the pass over elements, sequences and items |
| `elements` | one element of DICOM JSON: value, inline binary or bulk data |
| `values`, `charset` | values of each VR, text of each character set |
| `resolve`, `dictionary` | VRs that the file does not tell |
| `fragments`, `frames` | encapsulated values, frames |
"""

from dicouch.dicom.part10.model import MissingIdentifier, Part10, Part10Error, Unreadable
from dicouch.dicom.part10.read import read_part10

__all__ = ["MissingIdentifier", "Part10", "Part10Error", "Unreadable", "read_part10"]
