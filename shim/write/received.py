"""One part of a store request, read as a Part 10 file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

from dicouch.dicom.part10 import MissingIdentifier, Part10, Part10Error, TooMuch, read_part10
from dicouch.write.outcome import MISMATCH, UNSUPPORTED_CLASS, WITHOUT_STUDY, WRONG_STUDY, Outcome


@dataclass
class Received:
    """One part of a request, read: what could not be has an `outcome` that says why."""

    read: Part10 | None
    file: BinaryIO
    size: int
    sha256: str
    outcome: Outcome
    number: int
    """Position in the request."""
    made: int = 0
    """Bytes of the header, where this server made it: what is stored is compared by the data set behind it."""

    @property
    def part10(self) -> Part10:
        """What was read; only of a part that could be."""
        assert self.read is not None
        return self.read


def read_instance(file: BinaryIO, size: int, sha256: str, number: int, study: str | None) -> Received:
    """Read one Part 10 file; failures are told in its outcome, not raised.

    Parameters
    ----------
    file : file object
        Seekable; read from its beginning.
    number : int
        Position in the request.
    study : str or None
        The study that the request names; an instance of another is refused (PS3.18 10.5.1).
    """
    try:
        read = read_part10(file, size)
    except Part10Error as problem:
        return Received(None, file, size, sha256, _unreadable(problem), number)
    outcome = Outcome(read.study_uid, read.series_uid, read.sop_instance_uid, read.sop_class_uid)
    if study is not None and read.study_uid != study:
        outcome.failure, outcome.comment = WRONG_STUDY, "not of the study that the request names"
    elif read.warnings:
        outcome.warning, outcome.comment = MISMATCH, "; ".join(read.warnings[:5])
    return Received(read, file, size, sha256, outcome, number)


def _unreadable(problem: Part10Error) -> Outcome:
    """Return what becomes of a file that cannot be stored, with what could be read of it."""
    outcome = Outcome(failure=problem.failure_reason, comment=problem.reason, too_large=isinstance(problem, TooMuch))
    names = ("study_uid", "series_uid", "sop_instance_uid", "sop_class_uid")
    outcome.study, outcome.series, outcome.instance, outcome.sop_class = (
        problem.identifiers.get(name, "") for name in names
    )
    if isinstance(problem, MissingIdentifier) and not outcome.study and WITHOUT_STUDY.fullmatch(outcome.sop_class):
        outcome.failure, outcome.comment = UNSUPPORTED_CLASS, "objects of this SOP Class belong to no study"
    return outcome
