"""QIDO-RS: search for studies, series and instances (PS3.18 10.6)."""

from __future__ import annotations

from flask import Blueprint, Response, request

from shim import query
from shim.dicom_xml import dataset_to_xml
from shim.negotiate import choose, parse_media_type
from shim.routes import common
from shim.search import Page, Search

blueprint = Blueprint("qido", __name__)

JSON = parse_media_type("application/dicom+json")
PLAIN_JSON = parse_media_type("application/json")
XML = parse_media_type('multipart/related; type="application/dicom+xml"')
OFFERED = [JSON, PLAIN_JSON, XML]


@blueprint.get("/studies")
def studies():
    """Search for studies (PS3.18 10.6.1.1)."""
    return answer(lambda search, asked: search.studies(asked))


@blueprint.get("/series")
def series():
    """Search for series of all studies."""
    return answer(lambda search, asked: search.series(asked))


@blueprint.get("/instances")
def instances():
    """Search for instances of all studies."""
    return answer(lambda search, asked: search.instances(asked))


@blueprint.get("/studies/<study>/series")
def study_series(study):
    """Search for series of a study."""
    common.check_uids(study=study)
    return answer(lambda search, asked: search.series(asked, study))


@blueprint.get("/studies/<study>/instances")
def study_instances(study):
    """Search for instances of a study."""
    common.check_uids(study=study)
    return answer(lambda search, asked: search.instances(asked, study))


@blueprint.get("/studies/<study>/series/<series>/instances")
def series_instances(study, series):
    """Search for instances of a series."""
    common.check_uids(study=study, series=series)
    return answer(lambda search, asked: search.instances(asked, study, series))


def answer(run) -> Response:
    """Negotiate, search, and answer with the rows in the chosen representation."""
    chosen = choose(common.accepted(), OFFERED)
    if chosen is None:
        raise common.not_acceptable([str(offer) for offer in OFFERED])
    asked = query.parse(request.args.items(multi=True), common.config().search_limit)
    page = run(Search(common.couch(), common.base_url(), common.authorization()), asked)
    response = render(page, chosen)
    for text in warnings(asked, page):
        common.warn(response, text)
    return response


def render(page: Page, chosen) -> Response:
    """Return the rows as JSON or as one XML part each (PS3.18 Table 10.6.4-1)."""
    if chosen is XML:
        texts = [dataset_to_xml(row) for row in page.rows]
        parts = [({"Content-Type": "application/dicom+xml"}, len(text), lambda text=text: (text,)) for text in texts]
        return common.multipart_answer("application/dicom+xml", parts) if parts else Response(status=204)
    return common.json_answer(page.rows, media_type=str(chosen))


def warnings(asked: query.Query, page: Page) -> list[str]:
    """Return the texts of the answer's ``Warning`` headers (PS3.18 8.3, 8.3.4.4.1)."""
    texts = []
    if page.remaining:
        texts.append(f"There are {page.remaining} additional results that can be requested")
    if asked.unknown:
        names = ", ".join(name[:64] for name in asked.unknown[:10])
        texts.append(f"The following parameters are not supported and were ignored: {names}")
    return texts
