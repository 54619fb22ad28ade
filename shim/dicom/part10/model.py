"""What reading a Part 10 file gives, how it fails, and the limits it keeps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dicouch.dicom.errors import CANNOT_UNDERSTAND, MISSING_ATTRIBUTE, OUT_OF_RESOURCES, DicomError
from dicouch.dicom.json_model import JsonDataset
from dicouch.dicom.part10.dictionary import label

INLINE_BINARY_LIMIT = 1024
"""Longest value of OB, OD, OF, OL, OV, OW and UN (bytes) that stays in the data set as InlineBinary."""

INLINE_LIMIT = 64 * 1024
"""Longest value of every other VR (bytes) that stays in the data set; also the most that a 16-bit length can say."""

INLINE_SOFT_TOTAL = 8 * 1024 * 1024
"""After so many bytes of values in the data set, `INLINE_SOFT_LIMIT` holds for every VR that may be bulk data."""

INLINE_SOFT_LIMIT = 256
"""See `INLINE_SOFT_TOTAL`; bytes."""

INLINE_HARD_TOTAL = 32 * 1024 * 1024
"""A file with more bytes than this in small values is refused: in memory they take up to twenty times as much."""

MAX_MEMORY = 384 * 1024 * 1024
"""About the most memory (bytes) that the elements, items and fragments of one file may take together."""

MAX_SECONDS = 60
"""Most time of a processor that reading one file may take."""

MAX_DEPTH = 64
"""Deepest nesting of sequences. A level of DICOM JSON is three levels of JSON, and common JSON writers stop at 254."""

MAX_WARNINGS = 50
"""Most warnings kept for one file; one more gives the number of the others."""

MAX_WARNING_LENGTH = 200
"""Longest warning; it may quote the file."""

Bulk = dict[str, dict[str, Any]]
"""Where bulk values lie, by path; see `Part10`."""


Mend = tuple[int, int, str]
"""Start and end of a part of a file, and base64 of what is sent in its place."""


class Part10Error(DicomError):
    """A file that cannot be stored.

    `identifiers` are those that could be read, by the names that `Part10` gives them.
    """

    def __init__(self, reason: str, failure_reason: int = CANNOT_UNDERSTAND) -> None:
        super().__init__(reason, failure_reason)
        self.identifiers: dict[str, str] = {}


class Unreadable(Part10Error):
    """Not a DICOM file, or one that cannot be read within the limits of this module."""


class TooMuch(Unreadable):
    """A file that passes a limit of this module, however often it is sent."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, OUT_OF_RESOURCES)


class MissingIdentifier(Part10Error):
    """One of the UIDs that name an instance is missing (0120H), empty (0121H) or unusable (0106H)."""

    def __init__(self, tag: str, reason: str, failure_reason: int = MISSING_ATTRIBUTE) -> None:
        super().__init__(reason, failure_reason)
        self.tag = tag


@dataclass
class Part10:
    """One DICOM Part 10 file, read into what the instance document needs.

    Attributes
    ----------
    study_uid, series_uid, sop_instance_uid, sop_class_uid : str
        The identifiers, as the data set gives them, trailing padding stripped.
    transfer_syntax : str
        Transfer syntax UID of the file (0002,0010), or the one the data set was found to be in.
    dataset : dict
        The DICOM JSON Model (PS3.18 F.2) with relative ``BulkDataURI``. Read-only below the first level: equal
        elements of sequence items may be one and the same object.
    bulk : dict
        Path of each ``BulkDataURI`` to ``{"offset": int, "length": int, "vr": str}``, bytes from the start of the file;
        also ``"encapsulated": True`` when the value is a list of fragments (PS3.5 A.4).
    frames : dict or None
        Where the frames of the pixel data lie; see `dicouch.dicom.part10.find_frames`.
    deflated : bool
        True when ranges count in the inflated stream (the file with its data set inflated in place).
    character_set : list of str
        Specific Character Set (0008,0005) of the file; the text in `dataset` is Unicode already.
    warnings : list of str
        What in the file breaks the standard.
    ordered : bool
        Whether the elements of its top level are in ascending order, each there once (PS3.5 7.1).
    mended : list
        What is sent in place of parts of the file, so that it is one in `transfer_syntax`: start, end, base64.
    recoded : bool
        Its data set has to be written anew for that.
    """

    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax: str
    dataset: JsonDataset
    bulk: Bulk
    frames: dict[str, Any] | None
    deflated: bool = False
    character_set: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    ordered: bool = True
    mended: list[Mend] = field(default_factory=list)
    recoded: bool = False


class Warnings:
    """A bounded collection of distinct warnings, in order of appearance; `damage` is the first of the bad ones."""

    def __init__(self) -> None:
        self.damage = ""
        self._seen: dict[str, None] = {}
        self._dropped = 0

    def add(self, sentence: str, *, first: bool = False) -> None:
        """Keep a warning, once; before all others what an answer has to say."""
        if len(sentence) > MAX_WARNING_LENGTH:
            sentence = f"{sentence[: MAX_WARNING_LENGTH - 1]}…"
        if sentence in self._seen:
            return
        if first:
            self._seen = {sentence: None, **self._seen}
        elif len(self._seen) < MAX_WARNINGS:
            self._seen[sentence] = None
        else:
            self._dropped += 1

    def about(self, tag: int, problem: str) -> None:
        """Keep a warning about an attribute."""
        self.add(f"{label(tag)} {problem}.")

    def broken(self, tag: int, problem: str) -> None:
        """Keep a warning about an attribute behind which nothing may be read any more."""
        self.damage = self.damage or f"{label(tag)} {problem}"
        self.about(tag, problem)

    def sentences(self) -> list[str]:
        """Return the warnings, the last one saying how many were left out, if any."""
        more = [f"{self._dropped} more warnings"] if self._dropped else []
        return [*self._seen, *more]
