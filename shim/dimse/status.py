"""Statuses of responses (PS3.7 C, PS3.4 B.2.3, C.4)."""

from __future__ import annotations

from pydicom import Dataset

from dicouch.errors import shortened
from dicouch.write.outcome import FAILURES

SUCCESS, PENDING, CANCELLED = 0x0000, 0xFF00, 0xFE00
NOT_AUTHORIZED = 0x0124
# Of a data set in C-STORE, of an identifier in the others.
DOES_NOT_MATCH = 0xA900
UNABLE = 0xC001
SOME_FAILED, NOT_COUNTED, ALL_FAILED, UNKNOWN_DESTINATION = 0xB000, 0xA701, 0xA702, 0xA801


def status(code: int, comment: str = "") -> Dataset:
    """Return a status with its Error Comment, an LO of ASCII (PS3.7 C)."""
    made = Dataset()
    made.Status = code
    if comment:
        made.ErrorComment = shortened(comment.replace("\\", "/").encode("ascii", "replace").decode(), 64)
    return made


def status_of(http: int, otherwise: int) -> int:
    """Return what a status of the database means."""
    return FAILURES.get(http, otherwise)
