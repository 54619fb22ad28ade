"""What a route needs of the request that it answers: the client's credentials, the URL it used, a reader for it."""

from __future__ import annotations

from flask import g, request

from dicouch.errors import DicomWebError
from dicouch.read.retrieve import Retriever
from dicouch.services import services

# Lists of UIDs make queries long; shim/server/gunicorn_conf.py lets longer request lines in, so that this one answers.
LONGEST_QUERY = 128 << 10


def remember_client() -> None:
    """Keep the DICOMweb root and the client's credentials; DicomWebError 414 for a query that is too long."""
    if len(request.query_string) > LONGEST_QUERY:
        raise DicomWebError(414, f"the query has {len(request.query_string)} characters, more than {LONGEST_QUERY}")
    g.base = f"{request.scheme}://{request.host}{request.root_path}{services().config.prefix}"
    g.authorization = request.headers.get("Authorization")


def base_url() -> str:
    """Return the absolute URL of the DICOMweb root as the client sees it."""
    return g.base


def authorization() -> str | None:
    """Return the client's own credentials, handed through to CouchDB."""
    return g.authorization


def reader() -> Retriever:
    """Return what reads the database for this request."""
    shared = services()
    return Retriever(shared.couch, shared.store, authorization())
