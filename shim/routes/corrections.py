"""What requests about conflicts say, whether as JSON or as a form; docs/conflicts.md tells the routes."""

from __future__ import annotations

import re
from collections.abc import Mapping

import orjson
from flask import Request
from pydicom.datadict import tag_for_keyword

from dicouch.errors import DicomWebError
from dicouch.routes import current
from dicouch.routes.uids import check_uid
from dicouch.server.request_body import RequestBody
from dicouch.services import services
from dicouch.tables import LIMITS
from dicouch.write.conflicts import Conflicts

LARGEST = 1_000_000
MOST: int = LIMITS["mostConflicts"]
STATES = ("open", "fixed")


def decisions() -> Conflicts:
    """Return what reads and decides for this request."""
    return Conflicts(services().couch, current.authorization())


def page_of(query: Mapping[str, str]) -> tuple[str, list | None]:
    """Return which list is asked for, and the key of its first row.

    Raises
    ------
    DicomWebError
        400, naming the parameter.
    """
    state = query.get("state", "open")
    if state not in STATES:
        raise DicomWebError(400, f"state is one of {', '.join(STATES)}, not {state[:40]!r}")
    if "from" not in query:
        return state, None
    try:
        start = orjson.loads(query["from"])
    except orjson.JSONDecodeError:
        start = None
    if not isinstance(start, list) or not all(isinstance(part, str) for part in start) or start[:1] != [state]:
        raise DicomWebError(400, "from is the one that the page before named")
    return state, start


def number(text: str, name: str) -> int:
    """Return a number of rows; DicomWebError 400 when it is none."""
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= MOST):
        raise DicomWebError(400, f"{name} is a number from 1 to {MOST}, not {text[:40]!r}")
    return int(text)


def body_of(sent: Request) -> bytes:
    """Return the whole body of a decision.

    Raises
    ------
    DicomWebError
        413, and 400 when the client went away midway.
    """
    length = sent.content_length or 0
    body = RequestBody(sent.stream).read(LARGEST + 1) if length <= LARGEST else b""
    if max(length, len(body)) > LARGEST:
        raise DicomWebError(413, f"a correction has at most {LARGEST} bytes")
    if len(body) < length:
        raise DicomWebError(400, f"the body ends after {len(body)} of {length} bytes")
    return body


def attribute_of(text: object) -> str:
    """Return a tag given as eight hexadecimal digits or as a keyword; DicomWebError 400."""
    if isinstance(text, str) and re.fullmatch(r"[0-9A-Fa-f]{8}", text):
        return text.upper()
    tag = tag_for_keyword(text) if isinstance(text, str) and text.isidentifier() else None
    if tag is None:
        raise DicomWebError(400, f"tag: {str(text)[:64]!r} is neither a keyword nor eight hexadecimal digits")
    return f"{tag:08X}"


def name_of(by: object) -> str:
    """Return who corrects; where the database does not know the client, the request must say.

    Raises
    ------
    DicomWebError
        400
    """
    if by is not None and not isinstance(by, str):
        raise DicomWebError(400, "by: the name of a person")
    name = (by or "").strip()
    if not name and not current.authorization():
        raise DicomWebError(400, "by: who corrects this?")
    return name


def series_of(series: object) -> str | None:
    """Return the series whose attribute it is; None or empty for the study's."""
    if series in (None, ""):
        return None
    if not isinstance(series, str):
        raise DicomWebError(400, "series: a UID")
    check_uid("series", series)
    return series


def is_patient(scope: object) -> bool:
    """Return whether a correction goes for all studies of the patient."""
    if scope not in ("study", "patient"):
        raise DicomWebError(400, "scope is study or patient")
    return scope == "patient"
