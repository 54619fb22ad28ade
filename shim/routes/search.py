"""QIDO-RS: search for studies, series and instances (PS3.18 10.6), patients and workitems (11.9), and count them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import orjson
from flask import Response, request

from dicouch.couch.memory import DATABASE, WORKLIST
from dicouch.dicom.media.dicom_xml import dataset_to_xml
from dicouch.dicom.media.negotiate import MediaType, choose, parse_media_type
from dicouch.errors import not_acceptable
from dicouch.read.search.levels import run
from dicouch.read.search.studies import Page, Search
from dicouch.rewrite import query
from dicouch.rewrite.query import STUDY_UID, Query
from dicouch.routes import answers, current
from dicouch.services import services

JSON = parse_media_type("application/dicom+json")
PLAIN_JSON = parse_media_type("application/json")
XML = parse_media_type('multipart/related; type="application/dicom+xml"')
OFFERED = [JSON, PLAIN_JSON, XML]


@dataclass(frozen=True)
class Result:
    """What a search comes to.

    Attributes
    ----------
    rows : bytes
        JSON array in the DICOM JSON Model.
    remaining : int
        How many further rows there are.
    warnings : list of str
        Texts of ``Warning`` headers.
    """

    rows: bytes
    remaining: int
    warnings: list[str]

    def packed(self) -> bytes:
        """Return it as bytes, a line for all but the rows."""
        return orjson.dumps([self.remaining, self.warnings]) + b"\n" + self.rows

    @classmethod
    def unpacked(cls, packed: bytes) -> Result:
        """Return what `packed` was made of."""
        head, _, rows = packed.partition(b"\n")
        return cls(rows, *orjson.loads(head))


def search(level: str, study: str | None = None, series: str | None = None) -> Response:
    """Search for patients, studies, series or instances (PS3.18 10.6.1, Table 10.6.1-1)."""
    chosen = current.negotiated(OFFERED)
    asked = query.parse(request.args.items(multi=True), services().config.search_limit)
    if "explain" in request.args:
        return explained(level, asked, study, series)
    found = result("rows", level, asked, study, series)
    return warned(found, render(found.rows, chosen))


def count(level: str, study: str | None = None, series: str | None = None) -> Response:
    """Answer how many patients, studies, series or instances match: ``{"count": 3}``, as dcm4chee does."""
    if choose(current.accepted(), [PLAIN_JSON, JSON]) is None:
        raise not_acceptable([str(PLAIN_JSON)])
    asked = query.parse(request.args.items(multi=True), services().config.search_limit)
    asked = replace(asked, limit=0, offset=0, limit_given=False)
    found = result("count", level, asked, study, series)
    return warned(found, answers.json_answer({"count": found.remaining}, media_type=str(PLAIN_JSON)))


def result(
    kind: str,
    level: str,
    asked: Query,
    study: str | None = None,
    series: str | None = None,
    told: Iterable[tuple[str, str]] | None = None,
) -> Result:
    """Recall what a search came to, or run it.

    Parameters
    ----------
    kind : str
        ``rows`` or ``count``.
    level : str
    asked : Query
    study, series : str or None
        Of the path.
    told : iterable of (str, str), optional
        The query parameters that `asked` was read from, where they are not those of the request.
    """
    memory, authorization, base = services().memory, current.authorization(), current.base_url()
    scope = WORKLIST if level == "workitem" else study or study_of(level, asked) or DATABASE
    key = kind, level, study, series, tuple(request.args.items(multi=True) if told is None else told), base
    kept = memory.shared(scope, key, authorization)
    if kept is not None:
        return Result.unpacked(kept)
    token = memory.token(scope)
    searching = Search(services().couch, base, authorization, memory)
    page = run(searching, level, asked, services().extended, study, series)
    texts = warnings(asked, page if kind == "rows" else Page()) + searching.notes
    found = Result(orjson.dumps(page.rows), page.remaining, texts)
    if searching.settled:
        memory.share(scope, key, authorization, found.packed(), token)
    return found


def study_of(level: str, asked: Query) -> str | None:
    """Return the one study of which a search can find anything; None when there may be others."""
    studies = asked.values(STUDY_UID) if level != "patient" else []
    return studies[0] if len(studies) == 1 else None


def render(rows: bytes, chosen: MediaType) -> Response:
    """Return the rows as JSON or as one XML part each (PS3.18 Table 10.6.4-1)."""
    if chosen is not XML:
        return Response(rows, content_type=str(chosen))
    texts = [dataset_to_xml(row) for row in orjson.loads(rows)]
    parts = [({"Content-Type": "application/dicom+xml"}, len(text), lambda text=text: (text,)) for text in texts]
    return answers.multipart_answer("application/dicom+xml", parts) if parts else Response(status=204)


def explained(level: str, asked: Query, study: str | None, series: str | None) -> Response:
    """Return how the search was run instead of what it found: what CouchDB was asked, and what it read for it.

    Nothing is remembered in it.
    """
    searching = Search(services().couch, current.base_url(), current.authorization())
    page = run(searching, level, asked, services().extended, study, series)
    keys = {f"{query.describe(tag)}": key for tag, key in asked.keys.items()}
    told = {"keys": keys, "include": asked.include, "offset": asked.offset, "limit": asked.limit}
    found = {"rows": len(page.rows), "remaining": page.remaining, "ignored": asked.unknown}
    walked = [query.describe(tag) for tag in searching.walked]
    steps = {"requests": searching.steps, "walked": walked}
    answer = answers.json_answer({**told, **steps, **found}, media_type=str(PLAIN_JSON))
    return warned(Result(b"", 0, warnings(asked, page) + searching.notes), answer)


def warned(found: Result, answer: Response) -> Response:
    """Return an answer with the warnings of a search."""
    for text in found.warnings:
        answers.warn(answer, text)
    return answer


def warnings(asked: Query, page: Page) -> list[str]:
    """Return the texts of the answer's ``Warning`` headers (PS3.18 8.3, 8.3.4.4.1)."""
    texts = []
    if page.remaining:
        texts.append(f"There are {page.remaining} additional results that can be requested")
    if asked.unknown:
        texts.append(f"The following parameters are not supported and were ignored: {query.named(asked.unknown)}")
    return texts
