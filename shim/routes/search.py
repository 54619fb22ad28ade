"""QIDO-RS: search for studies, series and instances (PS3.18 10.6), for patients, and how many there are."""

from __future__ import annotations

from dataclasses import replace

from flask import Response, request

from dicouch.dicom.media.dicom_xml import dataset_to_xml
from dicouch.dicom.media.negotiate import MediaType, choose, parse_media_type
from dicouch.errors import not_acceptable
from dicouch.read.search import by_extended as search_extended
from dicouch.read.search.instances import InstanceSearch
from dicouch.read.search.patients import patients
from dicouch.read.search.studies import Page, Search
from dicouch.rewrite import query
from dicouch.rewrite.query import SERIES_UID, STUDY_UID, Query
from dicouch.routes import accept, answers, current
from dicouch.services import services

JSON = parse_media_type("application/dicom+json")
PLAIN_JSON = parse_media_type("application/json")
XML = parse_media_type('multipart/related; type="application/dicom+xml"')
OFFERED = [JSON, PLAIN_JSON, XML]


def search(level: str, study: str | None = None, series: str | None = None) -> Response:
    """Search for patients, studies, series or instances (PS3.18 10.6.1, Table 10.6.1-1)."""
    chosen = accept.negotiated(OFFERED)
    asked = query.parse(request.args.items(multi=True), services().config.search_limit)
    searching = begin()
    page = run(searching, level, asked, study, series)
    answer = explained(searching, asked, page) if "explain" in request.args else render(page, chosen)
    for text in warnings(asked, page) + searching.notes:
        answers.warn(answer, text)
    return answer


def count(level: str, study: str | None = None, series: str | None = None) -> Response:
    """Answer how many patients, studies, series or instances match: ``{"count": 3}``, as dcm4chee does."""
    if choose(accept.accepted(), [PLAIN_JSON, JSON]) is None:
        raise not_acceptable([str(PLAIN_JSON)])
    asked = query.parse(request.args.items(multi=True), services().config.search_limit)
    searching = begin()
    page = run(searching, level, replace(asked, limit=0, offset=0, limit_given=False), study, series)
    answer = answers.json_answer({"count": page.remaining}, media_type=str(PLAIN_JSON))
    for text in warnings(asked, Page()) + searching.notes:
        answers.warn(answer, text)
    return answer


def begin() -> Search:
    """Return what searches for this request."""
    # What is explained is how a search runs of which nothing is remembered.
    memory = None if "explain" in request.args else services().studies
    return Search(services().couch, current.base_url(), current.authorization(), memory)


def run(searching: Search, level: str, asked: Query, study: str | None, series: str | None) -> Page:
    """Search at a level, below what the path names."""
    listed = search_extended.split(asked, level, services().extended)
    asked.drop_below(level)
    path = {tag: uid for tag, uid in ((STUDY_UID, study), (SERIES_UID, series)) if uid is not None}
    for tag, uid in path.items():
        wanted = asked.values(tag) or [uid]
        if uid not in wanted or asked.keys.get(tag, {}).get("empty"):
            return Page()  # the path and the key contradict each other
        asked.keys[tag] = {"vr": "UI", "values": [uid]}
    if not search_extended.resolve(searching, asked, listed, services().indexes):
        return Page()
    for tag in path:
        del asked.keys[tag]
    if level == "patient":
        return patients(searching, asked)
    if level == "study":
        return searching.studies(asked)
    if level == "series":
        return searching.series(asked, study)
    return InstanceSearch(searching).run(asked, study, series)


def render(page: Page, chosen: MediaType) -> Response:
    """Return the rows as JSON or as one XML part each (PS3.18 Table 10.6.4-1)."""
    if chosen is XML:
        texts = [dataset_to_xml(row) for row in page.rows]
        parts = [({"Content-Type": "application/dicom+xml"}, len(text), lambda text=text: (text,)) for text in texts]
        return answers.multipart_answer("application/dicom+xml", parts) if parts else Response(status=204)
    return answers.json_answer(page.rows, media_type=str(chosen))


def explained(searching: Search, asked: Query, page: Page) -> Response:
    """Return how the search was run instead of what it found: what CouchDB was asked, and what it read for it."""
    keys = {f"{query.describe(tag)}": key for tag, key in asked.keys.items()}
    told = {"keys": keys, "include": asked.include, "offset": asked.offset, "limit": asked.limit}
    found = {"rows": len(page.rows), "remaining": page.remaining, "ignored": asked.unknown}
    walked = [query.describe(tag) for tag in searching.walked]
    steps = {"requests": searching.steps, "walked": walked}
    return answers.json_answer({**told, **steps, **found}, media_type=str(PLAIN_JSON))


def warnings(asked: Query, page: Page) -> list[str]:
    """Return the texts of the answer's ``Warning`` headers (PS3.18 8.3, 8.3.4.4.1)."""
    texts = []
    if page.remaining:
        texts.append(f"There are {page.remaining} additional results that can be requested")
    if asked.unknown:
        texts.append(f"The following parameters are not supported and were ignored: {query.named(asked.unknown)}")
    return texts
