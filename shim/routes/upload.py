"""The page to upload files: its form for browsers without scripts; with them it stores through STOW-RS by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from flask import Blueprint, Response, request
from werkzeug.http import parse_options_header

from dicouch.dicom.errors import CANNOT_UNDERSTAND
from dicouch.dicom.media.multipart import MalformedMultipart, ReceivedPart, iter_parts
from dicouch.errors import DicomWebError
from dicouch.routes import pages, store
from dicouch.services import services
from dicouch.write.answer import status_of
from dicouch.write.outcome import Outcome
from dicouch.write.upload import receive

blueprint = Blueprint("ui_upload", __name__, url_prefix="/ui")

PLACE = "upload"
# Files of which a page tells what became of them, failures first, and studies that it links to.
MOST_TOLD, MOST_STUDIES = 1000, 200
# Bytes of a field of the form that is no file.
LONGEST_FIELD = 1000


@blueprint.get("/upload")
def upload() -> Response:
    """Show the page."""
    return _page()


@blueprint.post("/upload")
def store_form() -> Response:
    """Store the files of a form (RFC 7578), and tell what became of each."""
    if request.mimetype != "multipart/form-data":
        raise DicomWebError(415, "the form comes as multipart/form-data")
    names: dict[int, str] = {}
    config = services().config
    try:
        parts = iter_parts(
            store.whole_body(config),
            request.headers["Content-Type"],
            max_part_size=config.max_instance_size,
            max_parts=config.max_instances,
            directory=config.spool_dir,
        )
    except MalformedMultipart as problem:
        raise DicomWebError(400, problem.reason) from problem
    outcomes, complaint = receive(iter_files(parts, names), store.new_upload(None, None))
    if not outcomes:
        return _page(400, problem=complaint or "no file was chosen")
    response = _page(status_of(outcomes, complaint), results=_results(outcomes, complaint, names))
    store.tell_what_to_do(response)
    return response


def iter_files(parts: Iterator[ReceivedPart], names: dict[int, str]) -> Iterator[ReceivedPart | Outcome]:
    """Yield the files of a form, and take note of their names by their numbers.

    Raises
    ------
    DicomWebError
        403 when the first part is not the token of the page.
    """
    known = False
    for part in parts:
        options = parse_options_header(part.headers.get("content-disposition", ""))[1]
        if options.get("name") == "token" and part.file is not None and part.size < LONGEST_FIELD:
            with part:
                known = pages.is_of_page(part.file.read().decode(errors="replace"), PLACE)
        elif not known:
            part.close()
            raise DicomWebError(403, "the form was not of this page, or of before the server started: load it again")
        elif not options.get("filename"):
            part.close()  # a field where nothing was chosen
        else:
            names[part.number] = options["filename"]
            if part.size:
                yield part
            else:
                part.close()
                yield Outcome(failure=CANNOT_UNDERSTAND, comment="the file is empty", number=part.number)


def _results(outcomes: list[Outcome], complaint: str, names: dict[int, str]) -> dict[str, object]:
    """Return what the page tells of a form."""
    told = [one for one in sorted(outcomes, key=lambda one: not one.failure) if one.failure or one.comment]
    failed = sum(1 for one in outcomes if one.failure)
    studies = Counter(one.study for one in outcomes if not one.failure)
    return {
        "stored": len(outcomes) - failed,
        "failed": failed,
        "complaint": complaint,
        "studies": studies.most_common(MOST_STUDIES),
        "told": [
            {
                "name": names.get(one.number, ""),
                "code": one.failure or one.warning,
                "comment": one.comment[:500],
                "isStored": not one.failure,
            }
            for one in told[:MOST_TOLD]
        ],
    }


def _page(status: int = 200, **given: object) -> Response:
    target = f"{request.root_path}{services().config.prefix}/studies"
    return pages.shown(PLACE, status, target=target, token=pages.token(PLACE), **given)
