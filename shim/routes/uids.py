"""The UIDs of a request: those that cannot be UIDs are refused before any route runs."""

from __future__ import annotations

from flask import request

from dicouch.dicom.uids import series_uid_problem, uid_problem
from dicouch.errors import DicomWebError


def check_path() -> None:
    """Refuse a path whose UIDs cannot be UIDs; see `check_uid`."""
    for level, uid in (request.view_args or {}).items():
        if level in ("study", "series", "instance"):
            check_uid(level, uid)


def check_uid(level: str, uid: str) -> None:
    """Refuse what cannot be a UID: DicomWebError 400, naming the UID and what is wrong with it."""
    problem = series_uid_problem(uid) if level == "series" else uid_problem(uid)
    if problem:
        raise DicomWebError(400, f"the {level} UID {uid[:80]!r} {problem}")
