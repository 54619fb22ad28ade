"""The pictures that SlicerChronicle attached to an instance: `image32.png` to `image512.png`, so many pixels wide."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import orjson
import requests
from PIL import Image

from dicouch.couch.client import Couch, segment
from dicouch.couch.response import CouchError
from dicouch.dicom.media.multipart_writer import couch_multipart
from dicouch.errors import DicomWebError
from dicouch.scripts.connection import client_of, reason
from dicouch.scripts.dicomfiles import uids_of

WIDTHS = (32, 64, 128, 256, 512)
NAMES = [f"image{width}.png" for width in WIDTHS]
KIND = "image/png"
ATTEMPTS = 5
TIMEOUT = (10, 120)
# What Pillow raises, besides OSError, of pictures that are too large or not whole.
BROKEN = (Image.DecompressionBombError, SyntaxError, ValueError)
IDENTIFIERS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


class Pictures:
    """Attaches pictures, which the server renders, to the documents of instances; one per thread."""

    def __init__(self, couch: Couch, url: str) -> None:
        self._couch = couch
        self._url, self._session = client_of(url)

    def attach(self, path: Path) -> str:
        """Attach the pictures of the instance that a file has; return why that was not possible, empty if it was.

        What nothing can be drawn of has no pictures, which is no problem; what has them already keeps them.
        """
        try:
            uids = uids_of(path, IDENTIFIERS)
        except ValueError as problem:
            return str(problem)
        try:
            document = self._couch.get(":".join(uids))
            if document is None or not set(NAMES) - document.get("_attachments", {}).keys():
                return ""
            answer = self._session.get(
                f"{self._url}/studies/{uids[0]}/series/{uids[1]}/instances/{uids[2]}/rendered",
                headers={"Accept": KIND},
                timeout=TIMEOUT,
            )
            if answer.status_code in (404, 406):
                return ""
            if answer.status_code != 200:
                return f"{answer.status_code} {reason(answer)}"
            self._write(document, made_of(answer.content))
        except (requests.RequestException, CouchError, DicomWebError, OSError, *BROKEN) as problem:
            return str(problem)
        return ""

    def _write(self, document: dict, made: dict[str, bytes]) -> None:
        """Write all pictures at once: each write has the indexes look at the document again."""
        described = {name: {"follows": True, "content_type": KIND, "length": len(data)} for name, data in made.items()}
        current: dict | None = document
        for attempt in range(ATTEMPTS):
            if current is None or current["file"]["sha256"] != document["file"]["sha256"]:
                return  # gone, or another image by now
            kept = {name: stub for name, stub in current.get("_attachments", {}).items() if name not in made}
            text = orjson.dumps({**current, "_attachments": {**kept, **described}})
            headers, pieces = couch_multipart(text, [(BytesIO(data), len(data)) for data in made.values()])
            try:
                self._couch.request("PUT", segment(document["_id"]), body=pieces, headers=headers).read()
            except CouchError as problem:
                if problem.status != 409 or attempt == ATTEMPTS - 1:
                    raise
                current = self._couch.get(document["_id"])
            else:
                return


def made_of(rendered: bytes) -> dict[str, bytes]:
    """Return the pictures by their names, of a rendered image."""
    made = {}
    with Image.open(BytesIO(rendered)) as image:
        image.load()
        for name, width in zip(NAMES, WIDTHS, strict=True):
            height = max(1, int(width * image.height / image.width))
            buffer = BytesIO()
            image.resize((width, height), Image.Resampling.LANCZOS).save(buffer, "PNG")
            made[name] = buffer.getvalue()
    return made
