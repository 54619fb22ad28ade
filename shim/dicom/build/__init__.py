"""Building the Part 10 file of an instance from metadata and bulk data (PS3.18 10.5.1.4, 10.5.2).

| module | subject |
|---|---|
| `instance` | `build`: File Meta Information, data set, bulk data |
| `pixels` | pixel data: transfer syntax, description, lengths, encapsulation; PNG and GIF |
| `model` | the error, received bulk data, the files being read and written |
"""

from __future__ import annotations

from dicouch.dicom.build.instance import build
from dicouch.dicom.build.model import BuildError, Bulk, Scratch, Target

__all__ = ["BuildError", "Bulk", "Scratch", "Target", "build"]
