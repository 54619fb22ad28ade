"""Content codings: answers in JSON and XML are compressed for who accepts it (RFC 9110 8.4.1, 12.5.3; RFC 8878)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from flask import Response, request
from zstandard import COMPRESSOBJ_FLUSH_BLOCK, ZstdCompressor

# The level of both: the first of gzip costs a quarter of the last, and later ones of zstd gain nothing on JSON.
# docs/decisions/0046-zstd-beside-gzip.md has the figures.
LEVEL = 1
TEXTS = {
    *(f"application/{name}" for name in ("dicom+json", "json", "dicom+xml", "xml", "vnd.sun.wadl+xml")),
    "text/html",
}


def coding() -> str:
    """Return the coding of the answer, ``zstd`` or ``gzip``, or nothing: the one that the client likes best."""
    liked = {name.lower(): quality for name, quality in reversed(request.accept_encodings)}
    others = liked.get("*", 0.0)
    gzip = liked.get("gzip", liked.get("x-gzip", others))
    quality, name = max((liked.get("zstd", others), "zstd"), (gzip, "gzip"))
    return name if quality > 0 and quality >= liked.get("identity", 0.0) else ""


def compressed(pieces: Iterator[bytes], name: str) -> Iterator[bytes]:
    """Yield a body in a coding; each piece can be read when it arrives."""
    if name == "zstd":
        zstd = ZstdCompressor(level=LEVEL).compressobj()
        for piece in pieces:
            yield zstd.compress(piece) + zstd.flush(COMPRESSOBJ_FLUSH_BLOCK)
        yield zstd.flush()
    else:
        gzip = zlib.compressobj(LEVEL, zlib.DEFLATED, zlib.MAX_WBITS | 16)
        for piece in pieces:
            yield gzip.compress(piece) + gzip.flush(zlib.Z_SYNC_FLUSH)
        yield gzip.flush()


def encode(response: Response) -> Response:
    """Compress an answer that is whole and has no validator; `dicouch.routes.metadata` does it by itself."""
    empty = response.status_code in (204, 304)
    if empty or response.mimetype not in TEXTS or "ETag" in response.headers or not response.is_sequence:
        return response
    told = response.headers.get("Vary")
    if told is None or "Accept-Encoding" not in told:
        response.headers["Vary"] = f"{told}, Accept-Encoding" if told else "Accept-Encoding"
    name = coding() if "Accept-Encoding" in request.headers else ""
    if name and not response.headers.get("Content-Encoding"):
        plain = response.get_data()
        made = b"".join(compressed(iter((plain,)), name))
        if len(made) < len(plain):
            response.set_data(made)
            response.headers["Content-Encoding"] = name
    return response
