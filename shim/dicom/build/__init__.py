"""Building the Part 10 file of an instance from metadata and bulk data (PS3.18 10.5.1.4, 10.5.2).

| module | subject |
|---|---|
| `request` | `Assembly`, `assemble`: which part of a request belongs to which instance |
| `instance` | `build`: File Meta Information, data set, bulk data |
| `encode` | DICOM JSON written as Explicit VR Little Endian |
| `pixels` | pixel data: transfer syntax, description, lengths, encapsulation |
| `codestream`, `pictures` | what compressed images and videos say of themselves; PNG and GIF |
| `model` | errors, received bulk data, the files being read and written |
"""

from dicouch.dicom.build.model import BuildError
from dicouch.dicom.build.request import DICOM, METADATA, METADATA_LIMIT, Assembly, assemble

__all__ = ["DICOM", "METADATA", "METADATA_LIMIT", "Assembly", "BuildError", "assemble"]
