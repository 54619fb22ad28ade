"""Media types: reading them, reading what a client accepts, and choosing what it gets (RFC 9110 12.5, PS3.18 8.7).

Parameter values are read more leniently than RFC 9110 writes them: clients send ``type=application/dicom`` and
``boundary==_a/b`` bare, which are no tokens. (``parse_options_header`` of Werkzeug cuts the first to ``application``
and drops the second.)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from werkzeug.datastructures import CharsetAccept
from werkzeug.http import parse_accept_header, quote_header_value

from dicouch.dicom.errors import DicomError
from dicouch.dicom.syntaxes import EXPLICIT_LITTLE

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_LONGEST_KEPT = 200
_WEIGHT = re.compile(r"[01]|[01]?\.\d*")  # ".2" is what Java's HttpURLConnection sends

# PS3.18 8.7.3.5 and Table 8.7.4-1, for types that are only one of the two. JPEG, JPEG 2000 and video are both: pixel
# data as it is stored, or the product of rendering.
_DICOM = {"application/dicom", "application/dicom+json", "application/dicom+xml"}
_BULKDATA = {"application/octet-stream", *(f"image/{name}" for name in ("dicom-rle", "jls", "jpx", "jphc"))}
_RENDERED = {"image/gif", "image/png", "text/html", "text/plain", "text/xml", "text/rtf", "application/pdf"}
# Browsers that draw JPEG XL list it beside other images.
_PIXELS_OR_RENDERED = {"image/jpeg", "image/jp2", "image/jxl", "video/mpeg", "video/mp4", "video/h265"}

# What clients call media types besides; those of JPEG-LS and RLE had these names in PS3.18 until 2017.
_OTHER_NAMES = {
    ("image", "jpg"): "jpeg",
    ("image", "pjpeg"): "jpeg",
    ("image", "x-jls"): "jls",
    ("image", "x-dicom-rle"): "dicom-rle",
    ("video", "mpeg2"): "mpeg",
}


class MalformedMediaType(DicomError):
    """A media type, media range or character set (`text`, as received) cannot be read."""

    def __init__(self, text: str, reason: str) -> None:
        shown = text if len(text) <= 200 else text[:200] + "…"
        super().__init__(f"{shown!r}: {reason}")


@dataclass(frozen=True)
class MediaType:
    """A media type with its parameters (RFC 9110 8.3.1).

    Type, subtype (``*`` in a range) and the parameters' names are in lower case, values unquoted and otherwise as they
    came. What `stands_in` is what there is for who names no transfer syntax, where Explicit VR Little Endian is not.
    """

    type: str
    subtype: str
    params: Mapping[str, str] = field(default_factory=dict, hash=False)
    stands_in: bool = field(default=False, kw_only=True)

    @cached_property
    def essence(self) -> str:
        """``type/subtype`` without the parameters."""
        return f"{self.type}/{self.subtype}"

    @property
    def is_multipart(self) -> bool:
        return self.type == "multipart"

    @cached_property
    def item_type(self) -> str:
        """What each part of a multipart type is, or the type itself; ``*/*`` when that is left open."""
        if not self.is_multipart:
            return self.essence
        return parse_media_type(self.params["type"]).essence if "type" in self.params else "*/*"

    @cached_property
    def transfer_syntax(self) -> str | None:
        """The ``transfer-syntax`` parameter: a UID, ``*``, or None (PS3.18 8.7.3.5.2)."""
        named = self.params.get("transfer-syntax")
        if named is None and self.is_multipart and "type" in self.params:
            return parse_media_type(self.params["type"]).transfer_syntax
        return named

    def __str__(self) -> str:
        return "; ".join(
            [self.essence, *(f"{name}={quote_header_value(value)}" for name, value in self.params.items())]
        )


@dataclass(frozen=True)
class MediaRange(MediaType):
    """One element of an ``Accept`` header or of an ``accept`` query parameter.

    Attributes
    ----------
    q
        Weight, from 0 (not acceptable) to 1.
    from_query
        Whether it came in the query, which counts before the header (PS3.18 8.7.8.1).
    """

    q: float = 1.0
    from_query: bool = False

    @cached_property
    def specificity(self) -> int:
        """How much the range says (RFC 9110 12.5.1): ``*/*``, then ``image/*``, then whole types, then parameters."""
        if self.type == "*":
            return 0
        if self.subtype == "*":
            return 1
        return 2 + ("*" not in self.item_type) + (self.transfer_syntax not in (None, "*"))

    def matches(self, media_type: MediaType) -> bool:
        """Whether the range accepts a media type, its weight left aside.

        Of the parameters only ``type`` and ``transfer-syntax`` are looked at. A range of ``application/dicom`` or
        ``application/octet-stream`` that names no transfer syntax means Explicit VR Little Endian (PS3.18 8.7.3.5.2),
        unless the pixel data cannot be had in it (8.7.3, 8.7.3.3); for a compressed type it accepts any, as clients
        that ask for ``image/jpeg`` expect.
        """
        if not _covers(self.essence, media_type.essence):
            return False
        if "*" in self.essence:
            return True
        if self.is_multipart and not _covers(self.item_type, media_type.item_type):
            return False
        asked, offered = self.transfer_syntax, media_type.transfer_syntax
        if asked is None and self.item_type in ("application/dicom", "application/octet-stream"):
            asked = None if media_type.stands_in else EXPLICIT_LITTLE
        return asked in (None, "*", offered) or offered is None


def _covers(essence: str, other: str) -> bool:
    main, sub = essence.split("/")
    other_main, other_sub = other.split("/")
    return main in ("*", other_main) and sub in ("*", other_sub)


def parse_media_type(text: str) -> MediaType:
    """Read the value of a ``Content-Type`` header.

    Raises
    ------
    MalformedMediaType
        When there is no ``type/subtype``, or a parameter cannot be read.
    """
    # An answer takes dozens of them, and clients send the same ones again and again.
    return (_read_type if len(text) <= _LONGEST_KEPT else _read_type.__wrapped__)(text)


@lru_cache(1024)
def _read_type(text: str) -> MediaType:
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
    main, sub = main.lower(), sub.lower()
    return MediaType(main, _OTHER_NAMES.get((main, sub), sub), params)


def parse_accept(
    header_values: Iterable[str], accept_params: Iterable[str] = (), *, strict: bool = False
) -> list[MediaRange]:
    """Read what a client accepts, in the order received, the query's first; nothing: it accepts anything.

    What cannot be read in a header is passed over: some clients put names of their own there.

    Parameters
    ----------
    header_values
        The values of all ``Accept`` headers.
    accept_params
        The values of all ``accept`` query parameters, percent-decoded (PS3.18 8.3.3.1).
    strict
        Whether nothing is passed over: for other parameters of a query.

    Raises
    ------
    MalformedMediaType
        Naming the element of the query that cannot be read; a wildcard is one.
    """
    found = [
        _media_range(element, True)
        for value in accept_params
        for element in _split(_with_plus_signs(value), ",")
        if element
    ]
    for value in map(_with_plus_signs, header_values) if strict else header_values:
        try:
            elements = _split(value, ",")
        except MalformedMediaType:
            if strict:
                raise
            elements = [element.strip() for element in value.split(",")]
        for element in filter(None, elements):
            try:
                found.append(_media_range(element, False))
            except MalformedMediaType:
                if strict:
                    raise
    return found


def _with_plus_signs(value: str) -> str:
    """Undo what form decoding makes of the plus sign in application/dicom+json, which few clients escape."""
    return re.sub(r"(?<=\w) (?=(?:json|xml)\b)", "+", value)


def _media_range(element: str, from_query: bool) -> MediaRange:
    # A bare "*" is no media range, but Java's HttpURLConnection sends one.
    text = re.sub(r"^\*\s*(?=;|$)", "*/*", element)
    media_type = parse_media_type(text)
    params = dict(media_type.params)
    weight = params.pop("q", "1")
    if not _WEIGHT.fullmatch(weight) or weight == "." or float(weight) > 1:
        raise MalformedMediaType(element, f"q={weight} is no weight between 0 and 1")
    if media_type.type == "*" and media_type.subtype != "*":
        raise MalformedMediaType(element, "a wildcard type needs a wildcard subtype")
    made = MediaRange(media_type.type, media_type.subtype, params, float(weight), from_query)
    if from_query and "*" in made.essence:
        raise MalformedMediaType(element, "the accept query parameter takes no wildcards (PS3.18 8.3.3.1)")
    if made.is_multipart and "type" in params:
        parse_media_type(params["type"])  # so that a malformed one is found here
    return made


def choose(ranges: Sequence[MediaRange], available: Sequence[MediaType]) -> MediaType | None:
    """The media type of the answer, of those available (PS3.18 8.7.8.1); None when nothing is acceptable (406).

    The query's media types decide; when none of them is available, the header's do. Each available type has the weight
    of the most specific range that matches it; the highest weight wins, then the more specific range, then the order of
    `available`. A type with a ``transfer-syntax`` is one in that syntax.
    """
    if not ranges:
        return available[0] if available else None
    place = _place(tuple(ranges), tuple(available))
    return None if place is None else available[place]


# A viewer says the same thousands of times, of images that are alike.
@lru_cache(1024)
def _place(ranges: tuple[MediaRange, ...], available: tuple[MediaType, ...]) -> int | None:
    for from_query in (True, False):
        best, best_key = None, (0.0, 0)
        group = [one for one in ranges if one.from_query == from_query]
        for place, media_type in enumerate(available):
            specificity, q = max(((one.specificity, one.q) for one in group if one.matches(media_type)), default=(0, 0))
            if q > 0 and (q, specificity) > best_key:
                best, best_key = place, (q, specificity)
        if best is not None:
            return best
    return None


def mixes_dicom_and_rendered(ranges: Iterable[MediaRange]) -> bool:
    """Whether one list asks for DICOM and for rendered media types, which is a 400 (PS3.18 8.7.5).

    Wildcards are neither. A ``multipart/related`` of JPEG, JPEG 2000, JPEG XL or video is pixel data as well as
    rendered; the same as a single part is rendered beside ``application/dicom…``, but not beside other bulk data. Query
    and header are two lists: ``?accept=image/jpeg`` overrules the header of a client that always sends the same one.
    """
    for from_query in (True, False):
        group = [r for r in ranges if r.from_query == from_query and r.q > 0]
        types = {r.item_type for r in group}
        single = {r.item_type for r in group if not r.is_multipart}
        if types & (_DICOM | _BULKDATA) and types & _RENDERED or types & _DICOM and single & _PIXELS_OR_RENDERED:
            return True
    return False


def accepts_utf8(header_values: Iterable[str], charset_params: Iterable[str] = ()) -> bool:
    """Whether text may be answered in UTF-8, the one character set there is (PS3.18 8.8).

    The ``charset`` query parameters count before the ``Accept-Charset`` headers.

    Raises
    ------
    MalformedMediaType
        When the query names no supported character set: a 400 (PS3.18 8.3.3.2).
    """
    in_query = ",".join(charset_params)
    if in_query.strip(" ,"):
        names = {name.lower().replace("_", "-").replace(" ", "-") for name, q in parse_accept_header(in_query) if q}
        if not names & {"utf-8", "utf8", "iso-ir-192"}:
            raise MalformedMediaType(in_query, "the only supported character set is utf-8")
        return True
    accepted = parse_accept_header(",".join(header_values), CharsetAccept)
    return not accepted or accepted.quality("utf-8") > 0


def _split(text: str, separator: str) -> list[str]:
    """Split at separators outside quoted strings; the pieces come without blanks around them."""
    pieces = [""]
    for token in re.findall(rf'"(?:[^"\\]|\\.)*"|[^"{separator}]+|.', text, re.DOTALL):
        if token == '"':
            raise MalformedMediaType(text, "a quoted string has no end")
        if token == separator:
            pieces.append("")
        else:
            pieces[-1] += token
    return [piece.strip() for piece in pieces]


def _unquote(value: str, text: str) -> str:
    if not value.startswith('"'):
        if not value or '"' in value:
            raise MalformedMediaType(text, f"{value!r} is no parameter value")
        return value
    if not re.fullmatch(r'"(?:[^"\\]|\\.)*"', value, re.DOTALL):
        raise MalformedMediaType(text, f"{value} is no quoted string")
    return re.sub(r"\\(.)", r"\1", value[1:-1], flags=re.DOTALL)
