"""What became of one instance of a store request, and the codes that say so."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

# Failure and warning reasons (PS3.18 Table I.2-2, PS3.4 Table GG.4-2, PS3.7 C).
PROCESSING_FAILURE = 0x0110
DUPLICATE = 0x0111
UNSUPPORTED_CLASS = 0x0122
NOT_AUTHORIZED = 0x0124
OUT_OF_RESOURCES = 0xA700
WRONG_STUDY = 0xA901
COERCED = 0xB000
MISMATCH = 0xB007

# What the database's status means for an instance; anything else is a processing failure.
FAILURES = {
    401: NOT_AUTHORIZED,
    403: NOT_AUTHORIZED,
    413: OUT_OF_RESOURCES,
    503: OUT_OF_RESOURCES,
    507: OUT_OF_RESOURCES,
}
# SOP Classes of objects that belong to no study (PS3.4 GG.3, PS3.3 A.3): directories, hanging protocols, palettes, …
WITHOUT_STUDY = re.compile(
    r"1\.2\.840\.10008\.(1\.3\.10|5\.1\.4\.(38\.1|39\.1|43\.1|44\.1|45\.1|1\.1\.(200\.[137]|201\.1)))"
)


@dataclass
class Outcome:
    """What became of one instance of a request.

    Attributes
    ----------
    study, series, instance, sop_class : str
        Empty where they could not be read.
    failure, warning : int
        Failure Reason (0008,1197) and Warning Reason (0008,1196), 0 for none.
    also : str
        A second warning reason and what it is about.
    too_large : bool
        Whether it passed a limit of size.
    elsewhere : str
        The resource of another instance with the same SOP Instance UID, empty if there is none.
    refused : int
        401 or 403 when the database lets the client store nothing.
    rebuild : bool
        Whether it took the place of one that had brought other attributes to the headers.
    merged : list of bytes
        What it brought to its headers; see `dicouch.write.headers.Headers.merge`.
    number : int
        Position of the part in the request, 0 where it is not of one.
    variants : list of str
        Tags whose values differ within the study or series.
    """

    study: str = ""
    series: str = ""
    instance: str = ""
    sop_class: str = ""
    failure: int = 0
    warning: int = 0
    comment: str = ""
    also: str = ""
    too_large: bool = False
    elsewhere: str = ""
    refused: int = 0
    rebuild: bool = False
    number: int = 0
    merged: list[bytes] = field(default_factory=list)
    variants: list[str] = field(default_factory=list)

    @property
    def place(self) -> tuple[str, str, str]:
        """The three UIDs."""
        return self.study, self.series, self.instance
