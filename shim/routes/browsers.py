"""What a browser may do with an answer: whether it shows it, under which name it saves it (RFC 6266)."""

from __future__ import annotations

import re
from mimetypes import guess_extension

from flask import Response, request

# What browsers show without running any of it, or do not show at all. PDF is shown by viewers with a sandbox of their
# own, which do not work in another. XML is not among them: style sheets and XHTML run scripts.
HARMLESS = {
    *(f"application/{name}" for name in ("dicom", "dicom+json", "json", "octet-stream", "pdf", "zip")),
    *(f"image/{name}" for name in ("bmp", "gif", "jpeg", "png", "tiff", "webp")),
    *(f"image/{name}" for name in ("dicom-rle", "jls", "jp2", "jphc", "jpx", "jxl")),
    *("multipart/related", "text/event-stream", "text/plain", "video/h265", "video/mp4", "video/mpeg"),
}
# Of what gets a name; the first two are for programs and disks, browsers show the others.
FILES = {"application/dicom": ".dcm", "application/zip": ".zip"}
SHOWN = {
    **{"image/jpeg": ".jpg", "image/png": ".png", "image/gif": ".gif", "image/jp2": ".jp2"},
    **{"text/html": ".html", "text/plain": ".txt", "application/pdf": ".pdf"},
    **{"video/mp4": ".mp4", "video/mpeg": ".mpg"},
}


def add_headers(response: Response) -> Response:
    """Let no browser run what others stored, and name what it saves.

    The pages have the origin of the server, and so the rights of who looks at them. What is neither harmless nor has a
    policy of its own, as the pages and reports that are made here, is saved and not shown.
    """
    response.headers["X-Content-Type-Options"] = "nosniff"
    kind = response.mimetype
    if not kind or request.method == "OPTIONS" or response.status_code == 204 or 300 <= response.status_code < 400:
        return response
    active = kind not in HARMLESS and not response.headers.get("Content-Security-Policy")
    if active:
        response.headers["Content-Security-Policy"] = "sandbox"
    if active or (response.status_code in (200, 206) and (kind in FILES or kind in SHOWN)):
        _name(response, "attachment" if active or kind in FILES else "inline", kind)
    return response


def _name(response: Response, disposition: str, kind: str) -> None:
    """Add a name of UIDs, which are all that is known of a resource before it is read."""
    path = request.view_args or {}
    uid = next((path[level] for level in ("instance", "series", "study") if level in path), "")
    stem = "-".join(filter(None, (uid or request.args.get("objectUID", "").strip(), path.get("frames"))))
    if stem:
        extension = FILES.get(kind) or SHOWN.get(kind) or guess_extension(kind) or ".bin"
        name = re.sub("[^A-Za-z0-9.-]", "_", stem) + extension
        response.headers.set("Content-Disposition", disposition, filename=name)
    else:
        response.headers["Content-Disposition"] = disposition
