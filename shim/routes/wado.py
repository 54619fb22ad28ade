"""WADO-RS: retrieve instances and their metadata (PS3.18 10.4)."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Blueprint, Response

from shim import retrieve
from shim.errors import DicomWebError
from shim.negotiate import choose, parse_media_type
from shim.routes import common

blueprint = Blueprint("wado", __name__)

JSON = parse_media_type("application/dicom+json")
PLAIN_JSON = parse_media_type("application/json")
SINGLE = parse_media_type("application/dicom")
MULTIPART = parse_media_type('multipart/related; type="application/dicom"')


@blueprint.get("/studies/<study>")
def study(study):
    """Retrieve a study."""
    return instances(study)


@blueprint.get("/studies/<study>/series/<series>")
def series(study, series):
    """Retrieve a series."""
    return instances(study, series)


@blueprint.get("/studies/<study>/series/<series>/instances/<instance>")
def instance(study, series, instance):
    """Retrieve an instance, as multipart or alone."""
    return instances(study, series, instance)


@blueprint.get("/studies/<study>/metadata")
def study_metadata(study):
    """Retrieve the metadata of a study."""
    return metadata(study)


@blueprint.get("/studies/<study>/series/<series>/metadata")
def series_metadata(study, series):
    """Retrieve the metadata of a series."""
    return metadata(study, series)


@blueprint.get("/studies/<study>/series/<series>/instances/<instance>/metadata")
def instance_metadata(study, series, instance):
    """Retrieve the metadata of an instance."""
    return metadata(study, series, instance)


def retriever() -> retrieve.Retriever:
    """Return the reader of the database for this request."""
    return retrieve.Retriever(common.couch(), common.store(), common.authorization())


def instances(study: str, series: str | None = None, instance: str | None = None) -> Response:
    """Answer with whole instances, streamed."""
    common.check_uids(study=study, series=series, instance=instance)
    offered = [MULTIPART, SINGLE] if instance else [MULTIPART]
    chosen = choose(common.accepted(), offered)
    if chosen is None:
        raise common.not_acceptable([str(offer) for offer in offered])
    reader = retriever()
    found = reader.instances(study, series, instance)
    if chosen is SINGLE:
        size, pieces = reader.content(found[0])
        response = Response(pieces(), content_type="application/dicom")
        response.content_length = size
        return response
    parts = []
    for one in found:
        kind = f"application/dicom; transfer-syntax={one.file['transferSyntax']}"
        headers = {"Content-Type": kind, "Content-Location": common.base_url() + one.path}
        # A corrected file is made when its turn comes, and only then is its size known.
        size = None if one.changes else one.file["size"]
        parts.append((headers, size, lambda one=one: reader.content(one)[1]()))
    return common.multipart_answer("application/dicom", parts)


def metadata(study: str, series: str | None = None, instance: str | None = None) -> Response:
    """Answer with the data sets without bulk data, in the DICOM JSON Model."""
    common.check_uids(study=study, series=series, instance=instance)
    chosen = choose(common.accepted(), [JSON, PLAIN_JSON])
    if chosen is None:
        raise common.not_acceptable([str(JSON), str(PLAIN_JSON)])
    chunks = retriever().metadata(study, series, instance, common.base_url())
    first = next(chunks, b"")
    if first.strip() in (b"", b"[]"):
        raise DicomWebError(404, f"there is no {retrieve.describe(study, series, instance)}")
    return Response(_chain(first, chunks), content_type=str(chosen))


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest
