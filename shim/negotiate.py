"""Media types: reading them, reading what a client accepts, and choosing what it gets (RFC 9110 12.5, PS3.18 8.7).

Pure functions; nothing here knows Flask or CouchDB. Parameter values are read more leniently than RFC 9110 writes them:
clients send ``type=application/dicom`` and ``boundary==_a/b`` bare, which are no tokens. (``parse_options_header`` of
Werkzeug cuts the first to ``application`` and drops the second, hence the few lines of our own.)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


class MalformedMediaType(ValueError):
    """A media type or media range cannot be read.

    Parameters
    ----------
    text : str
        The offending piece, as received.
    reason : str
        What is wrong with it.
    """

    def __init__(self, text: str, reason: str):
        shown = text if len(text) <= 200 else text[:200] + "…"
        super().__init__(f"media type {shown!r}: {reason}")
        self.text = text
        self.reason = reason


@dataclass(frozen=True)
class MediaType:
    """A media type with its parameters (RFC 9110 8.3.1).

    Attributes
    ----------
    type, subtype : str
        In lower case; ``*`` in a range.
    params : dict of str to str
        Names in lower case, values unquoted and otherwise as they came.
    """

    type: str
    subtype: str
    params: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def essence(self) -> str:
        """``type/subtype`` without the parameters."""
        return f"{self.type}/{self.subtype}"

    def __str__(self) -> str:
        return "; ".join([self.essence, *(f"{name}={quote(value)}" for name, value in self.params.items())])


def quote(value: str) -> str:
    """A parameter's value as it may stand in a header: bare when it is a token, quoted when it is not."""
    if _TOKEN.fullmatch(value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def parse_media_type(text: str) -> MediaType:
    """Read the value of a ``Content-Type`` header.

    Parameters
    ----------
    text : str
        For example ``multipart/related; type="application/dicom"; boundary=abc``.

    Returns
    -------
    MediaType

    Raises
    ------
    MalformedMediaType
        When there is no ``type/subtype``, or a parameter cannot be read.
    """
    essence, *pieces = _split(text, ";")
    main, slash, sub = essence.partition("/")
    if not (slash and _TOKEN.fullmatch(main) and _TOKEN.fullmatch(sub)):
        raise MalformedMediaType(text, "no type/subtype")
    params: dict[str, str] = {}
    for piece in filter(None, pieces):
        name, equals, value = piece.partition("=")
        name = name.rstrip()
        if not equals or not _TOKEN.fullmatch(name):
            raise MalformedMediaType(text, f"{piece!r} is no parameter")
        params.setdefault(name.lower(), _unquote(value.strip(), text))
    return MediaType(main.lower(), sub.lower(), params)


def _split(text: str, separator: str) -> list[str]:
    """Split at separators outside quoted strings; the pieces come without blanks around them."""
    pieces, start, quoted, i = [], 0, False, 0
    while i < len(text):
        c = text[i]
        if quoted and c == "\\":
            i += 1
        elif c == '"':
            quoted = not quoted
        elif c == separator and not quoted:
            pieces.append(text[start:i].strip())
            start = i + 1
        i += 1
    if quoted:
        raise MalformedMediaType(text, "a quoted string has no end")
    return [*pieces, text[start:].strip()]


def _unquote(value: str, text: str) -> str:
    if not value.startswith('"'):
        if not value or '"' in value:
            raise MalformedMediaType(text, f"{value!r} is no parameter value")
        return value
    if len(value) < 2 or not re.fullmatch(r'"(?:[^"\\]|\\.)*"', value, re.DOTALL):
        raise MalformedMediaType(text, f"{value} is no quoted string")
    return re.sub(r"\\(.)", r"\1", value[1:-1], flags=re.DOTALL)
