"""QIDO-RS: search for studies, series and instances (PS3.18 10.6), for patients, and how many there are."""

from __future__ import annotations

from dataclasses import replace

from flask import Blueprint, Response, current_app, request

from dicouch.dicom.media.dicom_xml import dataset_to_xml
from dicouch.dicom.media.negotiate import choose, parse_media_type
from dicouch.read.search import by_extended as search_extended
from dicouch.read.search.instances import InstanceSearch
from dicouch.read.search.patients import patients
from dicouch.read.search.studies import Page, Search
from dicouch.rewrite import query
from dicouch.rewrite.query import SERIES_UID, STUDY_UID, Query
from dicouch.routes import common

blueprint = Blueprint("qido", __name__)

JSON = parse_media_type("application/dicom+json")
PLAIN_JSON = parse_media_type("application/json")
XML = parse_media_type('multipart/related; type="application/dicom+xml"')
OFFERED = [JSON, PLAIN_JSON, XML]

RESOURCES = {
    "/patients": "patient",
    "/studies": "study",
    "/series": "series",
    "/instances": "instance",
    "/studies/<study>/series": "series",
    "/studies/<study>/instances": "instance",
    "/studies/<study>/series/<series>/instances": "instance",
}


def search(level: str, study: str | None = None, series: str | None = None) -> Response:
    """Search for patients, studies, series or instances (PS3.18 10.6.1, Table 10.6.1-1)."""
    chosen = common.negotiated(OFFERED)
    asked = read(study, series)
    searching = begin()
    page = run(searching, level, asked, study, series)
    answer = explained(searching, asked, page) if "explain" in request.args else render(page, chosen)
    for text in warnings(asked, page) + searching.notes:
        common.warn(answer, text)
    return answer


def count(level: str, study: str | None = None, series: str | None = None) -> Response:
    """Answer how many patients, studies, series or instances match: ``{"count": 3}``, as dcm4chee does."""
    if choose(common.accepted(), [PLAIN_JSON, JSON]) is None:
        raise common.not_acceptable([str(PLAIN_JSON)])
    asked = read(study, series)
    searching = begin()
    page = run(searching, level, replace(asked, limit=0, offset=0, limit_given=False), study, series)
    answer = common.json_answer({"count": page.remaining}, media_type=str(PLAIN_JSON))
    for text in warnings(asked, Page()) + searching.notes:
        common.warn(answer, text)
    return answer


def begin() -> Search:
    """Return what searches for this request."""
    # What is explained is how a search runs of which nothing is remembered.
    memory = None if "explain" in request.args else current_app.extensions["dicouch"]["studies"]
    return Search(common.couch(), common.base_url(), common.authorization(), memory)


for path, of_level in RESOURCES.items():
    blueprint.add_url_rule(path, f"search{path}", search, defaults={"level": of_level})
    blueprint.add_url_rule(f"{path}/count", f"count{path}", count, defaults={"level": of_level})


def read(study: str | None, series: str | None) -> Query:
    """Return the request's query; DicomWebError 400 for what is malformed in the path or the parameters."""
    uids = {name: uid for name, uid in (("study", study), ("series", series)) if uid is not None}
    common.check_uids(**uids)
    return query.parse(request.args.items(multi=True), common.config().search_limit)


def run(searching: Search, level: str, asked: Query, study: str | None, series: str | None) -> Page:
    """Search at a level, below what the path names."""
    listed = search_extended.split(asked, level, common.extended())
    asked.drop_below(level)
    path = {tag: uid for tag, uid in ((STUDY_UID, study), (SERIES_UID, series)) if uid is not None}
    for tag, uid in path.items():
        wanted = asked.values(tag) or [uid]
        if uid not in wanted or asked.keys.get(tag, {}).get("empty"):
            return Page()  # the path and the key contradict each other
        asked.keys[tag] = {"vr": "UI", "values": [uid]}
    if not search_extended.resolve(searching, asked, listed, common.indexes()):
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


def render(page: Page, chosen) -> Response:
    """Return the rows as JSON or as one XML part each (PS3.18 Table 10.6.4-1)."""
    if chosen is XML:
        texts = [dataset_to_xml(row) for row in page.rows]
        parts = [({"Content-Type": "application/dicom+xml"}, len(text), lambda text=text: (text,)) for text in texts]
        return common.multipart_answer("application/dicom+xml", parts) if parts else Response(status=204)
    return common.json_answer(page.rows, media_type=str(chosen))


def explained(searching: Search, asked: Query, page: Page) -> Response:
    """Return how the search was run instead of what it found: what CouchDB was asked, and what it read for it."""
    keys = {f"{query.describe(tag)}": key for tag, key in asked.keys.items()}
    told = {"keys": keys, "include": asked.include, "offset": asked.offset, "limit": asked.limit}
    found = {"rows": len(page.rows), "remaining": page.remaining, "ignored": asked.unknown}
    return common.json_answer({**told, "requests": searching.steps, **found}, media_type=str(PLAIN_JSON))


def warnings(asked: Query, page: Page) -> list[str]:
    """Return the texts of the answer's ``Warning`` headers (PS3.18 8.3, 8.3.4.4.1)."""
    texts = []
    if page.remaining:
        texts.append(f"There are {page.remaining} additional results that can be requested")
    if asked.unknown:
        texts.append(f"The following parameters are not supported and were ignored: {query.named(asked.unknown)}")
    return texts
