"""What a request for the change feed asks for, in the form of Microsoft's DICOM server (version 2 of its API). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from dicouch.errors import DicomWebError

DEFAULT, MOST = 100, 200
# ISO 8601 as .NET writes it: the fraction may have seven digits, and an offset is needed, else nobody knows which hour.
TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,9}))?(Z|[+-]\d\d:?\d\d)", re.ASCII | re.IGNORECASE
)


@dataclass(frozen=True)
class Asked:
    """What a client asks of the change feed.

    Attributes
    ----------
    offset : int
        How many changes of the answer to pass over. The log is numbered from 1 without gaps, so that, of all changes,
        these are the ones up to that `sequence`: what version 1 of the API means by it.
    start, end : str
        The first time, and the first that is too late; empty where there is none.
    metadata : bool
        Whether data sets are asked for.
    """

    offset: int = 0
    limit: int = DEFAULT
    start: str = ""
    end: str = ""
    metadata: bool = True

    @property
    def in_window(self) -> bool:
        """Whether times bound the answer."""
        return bool(self.start or self.end)


def parse(given: Iterable[tuple[str, str]]) -> Asked:
    """Read query parameters; their names are read in any case, others than those of the feed are ignored.

    Raises
    ------
    DicomWebError
        400 for a value that makes no sense; the message names the parameter.
    """
    told = {name.lower(): (name, value.strip()) for name, value in given}
    asked = Asked(
        _number(told, "offset", 0, 0, 2**63 - 1),
        _number(told, "limit", DEFAULT, 1, MOST),
        _time(told, "starttime"),
        _time(told, "endtime"),
        _flag(told, "includemetadata"),
    )
    if asked.start and asked.end and asked.end <= asked.start:
        raise DicomWebError(400, f"endTime must be later than startTime, not {told['endtime'][1][:40]!r}")
    return asked


def _number(told: dict[str, tuple[str, str]], key: str, default: int, least: int, most: int) -> int:
    name, text = told.get(key, (key, ""))
    if key not in told:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most):
        bounds = f"from {least} to {most}" if most < 2**63 - 1 else f"from {least} on"
        raise DicomWebError(400, f"{name} must be a whole number {bounds}, not {text[:40]!r}")
    return int(text)


def _flag(told: dict[str, tuple[str, str]], key: str) -> bool:
    name, text = told.get(key, (key, "true"))
    if text.lower() not in ("true", "false"):
        raise DicomWebError(400, f"{name} must be true or false, not {text[:40]!r}")
    return text.lower() == "true"


def _time(told: dict[str, tuple[str, str]], key: str) -> str:
    """Return a time in UTC with microseconds; a URL's ``+`` that came as a blank is taken for what was meant."""
    if key not in told:
        return ""
    name, text = told[key]
    match = TIME.fullmatch(re.sub(r" (?=\d\d:?\d\d$)", "+", text))
    try:
        if match is None:
            raise ValueError
        day, clock, fraction, offset = match.groups()
        read = datetime.fromisoformat(f"{day}T{clock}{offset.upper()}").astimezone(UTC)
        return read.strftime(f"%Y-%m-%dT%H:%M:%S.{fraction or '':0<6.6}Z").zfill(27)
    except (ValueError, OverflowError):
        raise DicomWebError(
            400, f"{name} must be a time with its offset from UTC, such as 2026-11-27T08:00:00Z, not {text[:40]!r}"
        ) from None
