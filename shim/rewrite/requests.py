"""DICOMweb request in, CouchDB request out. Pure functions, no I/O.

`dicouch.rewrite.plan` chooses the index of a search for studies; all matching is the list function's.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

import orjson

from dicouch.rewrite.plan import Range, between, one_key
from dicouch.rewrite.query import Query
from dicouch.tables import HIGH, LIMITS, ROW_TAGS

DESIGN = "_design/dicom"
# Instance Number of what has none, as ``views/lib/rows.js`` sorts it.
LAST: int = LIMITS["lastNumber"]
LISTS = {"study": "studies", "series": "series", "instance": "instances"}
# A request line longer than this goes as a POST: CouchDB refuses request targets over 8 KB.
LONGEST_QUERY = 6000


@dataclass(frozen=True)
class CouchRequest:
    """One request to the database: its path is percent-encoded, parameters that are no strings are sent as JSON."""

    method: str
    path: str
    params: dict[str, Any] = field(default_factory=dict)
    body: object = None


def as_json(value: object) -> str:
    """Return `value` as JSON text, as CouchDB wants keys in a URL."""
    return orjson.dumps(value).decode("utf-8")


@dataclass(frozen=True)
class Paging:
    """Which rows of a list are wanted."""

    offset: int
    limit: int
    # Whether to go on counting behind the page.
    rest: bool = False
    # UIDs of the studies (for series) or series (for instances) whose rows are wanted, in order.
    among: list[str] | None = None
    # Whether each row shall say its place, as ``order``: to put those of several ranges together.
    ordered: bool = False


def _view(name: str, params: dict[str, Any]) -> CouchRequest:
    return CouchRequest("GET", f"{DESIGN}/_view/{name}", params)


def _list(name: str, study: str, series: str | None = None, instance: str | None = None, **more: str) -> CouchRequest:
    """Return the request that runs a list function over the documents of a resource's instances."""
    params = {"include_docs": "true", **more, **ids(study, series, instance)}
    return CouchRequest("GET", f"{DESIGN}/_list/{name}/_all_docs", params)


def list_request(
    name: str,
    chosen: Range,
    query: dict[str, Any],
    *,
    limit: int | None = None,
    skip: int = 0,
) -> CouchRequest:
    """Return the request that runs a list function over a range of an index.

    `query` is what the function reads, see ``lib/search/search.js``; `limit` and `skip` are of the view's rows, where
    the range decides which studies match.
    """
    path = f"{DESIGN}/_list/{name}/{chosen.view}"
    params = {"reduce": "false", **chosen.params}
    if chosen.view == "_all_docs":
        del params["reduce"]
    if chosen.documents:
        params["include_docs"] = "true"
    if limit is not None:
        params.update(limit=limit, skip=skip)
    if chosen.keys is not None:
        return CouchRequest("POST", path, params, {"keys": chosen.keys, "query": query})
    q = as_json(query)
    if len(urlencode({"q": q})) > LONGEST_QUERY:
        return CouchRequest("POST", path, params, {"query": query})
    return CouchRequest("GET", path, {**params, "q": q})


def residual(query: Query, chosen: Range, level: str) -> dict[str, Any]:
    """Return the matching keys of `level` that the range does not decide."""
    return {tag: key for tag, key in query.of_level(level).items() if tag not in chosen.covered}


def search(level: str, query: Query, chosen: Range, paging: Paging, *, fields: dict[str, Any] | None) -> CouchRequest:
    """Return the request for one page of studies, series or instances.

    `fields` is what the rows have, as ``lib/search/fields.js`` reads it; None for ids alone.
    """
    page: dict[str, Any] = {"match": residual(query, chosen, level), "fields": fields, "offset": paging.offset}
    page.update(limit=paging.limit, sort=chosen.sort)
    page |= {"among": paging.among} if paging.among is not None else {}
    page |= {"ordered": True} if paging.ordered else {}
    if decides(query, chosen, level):
        # The view itself counts the rows off: the database reads no more than the page.
        return list_request(LISTS[level], chosen, {**page, "offset": 0}, limit=paging.limit, skip=paging.offset)
    return list_request(LISTS[level], chosen, {**page, "rest": paging.rest})


def rows(chosen: Range, limit: int | None = None, skip: int = 0) -> CouchRequest:
    """Return the request for rows of an index as they are, with the documents where the rows have no value."""
    page: dict[str, Any] = {} if limit is None else {"limit": limit, "skip": skip}
    if chosen.documents:
        page["include_docs"] = "true"
    if chosen.keys is not None:
        return CouchRequest("POST", f"{DESIGN}/_view/{chosen.view}", {"reduce": "false", **page}, {"keys": chosen.keys})
    return _view(chosen.view, {"reduce": "false", **chosen.params, **page})


def matching(match: dict[str, Any], datasets: list[dict[str, Any]]) -> CouchRequest:
    """Return the request that tells which of some data sets match; see ``shows/matching.js``."""
    return CouchRequest("POST", f"{DESIGN}/_show/matching", body={"match": match, "datasets": datasets})


def decides(query: Query, chosen: Range, level: str) -> bool:
    """Return whether the rows of a range are those of the answer, in its order."""
    match = residual(query, chosen, level)
    everything = all("values" in key and not key.get("empty") and not query.values(tag) for tag, key in match.items())
    return everything and not chosen.sort and chosen.keys is None


def patients(query: Query, chosen: Range, paging: Paging) -> CouchRequest:
    """Return the request for one page of patients; see ``lib/search/patients.js``."""
    match = {tag: key for tag, key in query.keys.items() if tag not in chosen.covered}
    include = "all" if query.include == "all" else {**dict.fromkeys(query.keys, True), **query.include}
    page = {"match": match, "fields": {"include": include}, "offset": paging.offset, "limit": paging.limit}
    return list_request("patients", chosen, {**page, "sort": chosen.sort, "rest": paging.rest})


def indexed_members(design: str, chosen: Range, depth: int, leaf: dict[str, Any]) -> CouchRequest:
    """Return the request for what an index of another design document has in a range; see ``lib/search/members.js``."""
    path = f"{DESIGN}/_list/members/{design.removeprefix('_design/')}/{chosen.view}"
    page = {"reduce": "true", "group_level": depth + 1, "q": as_json({"depth": depth, "leaf": leaf})}
    return CouchRequest("GET", path, {**page, **chosen.params})


def members(ids_range: dict[str, Any], depth: int, carrier: str, match: dict[str, Any]) -> CouchRequest:
    """Return the request for the ids of what matches, found by reading the documents; see ``lib/search/members.js``."""
    query = {"depth": depth, "type": carrier, "match": match}
    return list_request("members", Range("_all_docs", ids_range, documents=True), query)


def series_range(studies: list[str]) -> Range:
    """Return the index rows of the series of some studies; those of one study come in order."""
    if len(studies) == 1:
        return Range("series_in_order", between(studies, studies), study=studies[0])
    return Range("series_by_study", keys=studies, sort=True)


def instance_range(study: str, series: str | None, query: Query) -> Range:
    """Return the index rows of the instances of a series, or of a study in order of series UIDs."""
    place = [study, series] if series else [study]
    return Range("instances_by_series", between(place, place), documents=needs_document(query), sort=series is None)


def matches_document(query: Query) -> bool:
    """Return whether an instance search decides by more than the index rows carry."""
    return any(tag not in ROW_TAGS for tag in query.of_level("instance"))


def needs_document(query: Query) -> bool:
    """Return whether an instance search asks for more than the index rows carry."""
    asked = query.include_of("instance")
    return asked == "all" or any(tag not in ROW_TAGS for tag in asked)


def count(chosen: Range) -> CouchRequest:
    """Return the request that counts the rows of a range, with the view's ``_count``."""
    return _view(chosen.view, {"reduce": "true", **chosen.params})


def count_ranges(view: str, ranges: list[Range]) -> CouchRequest:
    """Return the request that counts the rows of several ranges of one index."""
    queries = [{"reduce": True, **one.params} for one in ranges]
    return CouchRequest("POST", f"{DESIGN}/_view/{view}/queries", {}, {"queries": queries})


def totals() -> CouchRequest:
    """Return the request for ``[series, instances, bytes]`` of the database, the last two twice what there is."""
    return _view("counts", {"reduce": "true"})


def years(months: bool = False) -> CouchRequest:
    """Return the request that counts the studies of each year and modality, or of each month of these."""
    return _view("studies_by_year", {"group_level": 3 if months else 2})


def counts(ids: list[str]) -> CouchRequest:
    """Return the request for ``[series, instances, bytes]`` below the studies or series with these document ids."""
    return CouchRequest("POST", f"{DESIGN}/_view/counts", {"group": "true"}, {"keys": ids})


def counts_of(study: str) -> CouchRequest:
    """Return the request that counts series and instances of a study and of each of its series."""
    return _view("counts", {"group": "true", **ids(study)})


def information() -> CouchRequest:
    """Return the request for what the database says of itself, its sequence among it."""
    return CouchRequest("GET", "")


def state_of(information: dict[str, Any]) -> tuple[str, str]:
    """Return what names the state of a database in the answer to `information`.

    The sequence alone does not: a database that was deleted and made anew may count the same numbers again. It has
    another start time; and where two were made within a second, Apache CouchDB's sequences differ.
    """
    return str(information["instance_start_time"]), str(information["update_seq"])


def changes(since: object, limit: int, *, style: str = "main_only") -> CouchRequest:
    """Return the request for the ids of documents that were written after a sequence; `style` as CouchDB has it."""
    params = {"since": since, "limit": limit, **({"style": style} if style != "main_only" else {})}
    return CouchRequest("GET", "_changes", params)


def index_state(design: str = DESIGN) -> CouchRequest:
    """Return the request for how far the index of a design document is."""
    return CouchRequest("GET", f"{design}/_info")


def indexed() -> CouchRequest:
    """Return the request that is answered when the index has all that was written before it."""
    return _view("studies_by_uid", {"reduce": "false", "limit": 0})


def reads_index(request: CouchRequest) -> bool:
    """Return whether a request reads the index of the design document, and that alone."""
    kind, _, rest = request.path.removeprefix(f"{DESIGN}/").partition("/")
    view = rest.partition("/")[2]
    return kind == "_view" or (kind == "_list" and view != "_all_docs" and "/" not in view)


def as_it_is(request: CouchRequest) -> CouchRequest:
    """Return a request that waits for no update of the index that it reads."""
    return replace(request, params={**request.params, "update": "false"})


def instances(study: str, series: str | None = None, **params: object) -> CouchRequest:
    """Return the request for the index rows of the instances of a study or series, in order; `params` narrow it."""
    place = [study, series] if series else [study]
    return _view("instances_by_series", {**between(place, place), "reduce": "false", **params})


def series_of(study: str) -> CouchRequest:
    """Return the request for the index rows of the series of a study."""
    return _view("series_by_study", {**one_key(study), "reduce": "false"})


def count_of(study: str, series: str) -> CouchRequest:
    """Return the request that counts the instances of a series."""
    return _view("instances_by_series", between([study, series], [study, series]))


def instance_at(study: str, series: str, place: int) -> CouchRequest:
    """Return the request for the index row of the instance at a place (from 0) in the order of a series.

    Without its document: CouchDB reads the documents of the rows that it skips, too.
    """
    return instances(study, series, skip=place, limit=1)


def instances_with(uids: list[str]) -> CouchRequest:
    """Return the request for the index rows of all instances with these SOP Instance UIDs, of the index as it is."""
    params = {"reduce": "false", "update": "false"}
    return CouchRequest("POST", f"{DESIGN}/_view/instances_by_uid", params, {"keys": uids})


def instances_between(first: str, last: str, most: int) -> CouchRequest:
    """Return the request for up to `most` index rows between two SOP Instance UIDs, of the index as it is."""
    keys = {"startkey": as_json(first), "endkey": as_json(last)}
    return _view("instances_by_uid", {**keys, "reduce": "false", "update": "false", "limit": most})


def with_headers(study: str, series: str, instance: str) -> CouchRequest:
    """Return the request for an instance's document and its study's and series' headers: one, and no index is read."""
    return documents([f"{study}:{series}:{instance}", f"{study}:study", f"{study}:{series}"])


def documents(ids: list[str]) -> CouchRequest:
    """Return the request for documents by their ids."""
    return CouchRequest("POST", "_all_docs", {"include_docs": "true"}, {"keys": ids})


def behind(study: str, series: str, number: float | None, count: int) -> CouchRequest:
    """Return the request for the index rows of instances of a series from an Instance Number on; None is the last."""
    return instances(study, series, startkey=[study, series, LAST if number is None else number], limit=count)


def onwards(study: str, series: str, count: int) -> CouchRequest:
    """Return the request for the index rows of the first instances of a series, and of those of the study behind it."""
    return instances(study, startkey=[study, series], limit=count)


def corrections(study: str) -> CouchRequest:
    """Return the request for what people fixed in the headers of a study."""
    return _view("corrections_by_study", one_key(study))


def corrections_of(studies: list[str]) -> CouchRequest:
    """Return the request for what people fixed in the headers of several studies."""
    return CouchRequest("POST", f"{DESIGN}/_view/corrections_by_study", {}, {"keys": studies})


def logged_at(log: str, time: str) -> list[Any]:
    """Return where a time (with microseconds) stands in ``changes_by_time``; empty: the beginning."""
    return [log, time[:10], time[11:16], time[17:19], time[20:]] if time else [log]


def logged_between(start: list[Any], end: list[Any], skip: int, limit: int) -> CouchRequest:
    """Return the request for entries of the log of changes between two places of ``changes_by_time``."""
    page = {"reduce": "false", "skip": skip, "limit": limit}
    return _view("changes_by_time", {"startkey": as_json(start), "endkey": as_json(end), **page})


def count_logged(start: list[Any], end: list[Any], level: int) -> CouchRequest:
    """Return the request that counts entries between two places by day (2), minute (3) or second (4)."""
    return _view("changes_by_time", {"startkey": as_json(start), "endkey": as_json(end), "group_level": level})


def instance_files(study: str, series: str | None, instance: str | None) -> CouchRequest:
    """Return the request for id, revision and ``file`` of every instance of a resource, read from the documents."""
    return _list("files", study, series, instance)


def ids(study: str, series: str | None = None, instance: str | None = None) -> dict[str, Any]:
    """Return the range of document ids of a resource's instances; headers may lie in it, too."""
    return {name: as_json(value) for name, value in _span(study, series, instance).items()}


def _span(study: str, series: str | None, instance: str | None) -> dict[str, Any]:
    prefix = ":".join(part for part in (study, series, instance) if part)
    return {"key": prefix} if instance else {"startkey": prefix + ":", "endkey": prefix + ":" + HIGH}


def made_of(study: str, series: str | None, instance: str | None, *, documents: bool) -> CouchRequest:
    """Return the request for all that the metadata of a resource are made of: its headers, then the range of ids.

    With `documents` these are read, else ids and revisions alone.
    """
    headers = [f"{study}:study", *([f"{study}:{series}"] if series else [])]
    wanted = {"include_docs": True} if documents else {}
    queries = [{"keys": headers, **wanted}, {**_span(study, series, instance), **wanted}]
    return CouchRequest("POST", "_all_docs/queries", {}, {"queries": queries})


def documents_of(study: str) -> CouchRequest:
    """Return the request for ids and revisions of all documents of a study, its headers among them."""
    return CouchRequest("GET", "_all_docs", ids(study))


def revisions(wanted: list[dict[str, str]]) -> CouchRequest:
    """Return the request for documents in the revisions that are named, with the history of each."""
    return CouchRequest("POST", "_bulk_get", {"revs": "true", "latest": "true"}, {"docs": wanted})


def documents_from(study: str, series: str | None, document_id: str, most: int | None = None) -> CouchRequest:
    """Return the request for the documents of a study or series from one on, or for the first of them."""
    params = {"include_docs": "true", **ids(study, series), "startkey": as_json(document_id)}
    return CouchRequest("GET", "_all_docs", params if most is None else {**params, "limit": most})


def rebuilt_headers(study: str) -> CouchRequest:
    """Return the request that makes the headers of a study anew from its instances; see ``lists/headers.js``."""
    return _list("headers", study)


def reconciled_headers(study: str, leaves: dict[str, Any], partial: bool) -> CouchRequest:
    """Return the request that makes one header of several that came by replication; see ``lib/headers/rebuild.js``."""
    asked = _list("headers", study)
    query = {"leaves": leaves, "partial": partial}
    return CouchRequest("POST", asked.path, {**asked.params, "conflicts": "true"}, {"query": query})


def metadata(study: str, series: str | None, instance: str | None, base: str, corrected: list[Any]) -> CouchRequest:
    """Return the request for the metadata of an instance, a series or a study (PS3.18 10.4.1.1.2)."""
    return _with_corrections(_list("metadata", study, series, instance, base=base), corrected)


def corrected_rows(ids: list[str], fields: dict[str, Any], corrected: dict[str, list[Any]]) -> CouchRequest:
    """Return the request for rows of whole instances, by document id, with what people fixed in them.

    `corrected` has the values of ``corrections_by_study`` for each study; `fields` are as for `search`.
    """
    # To the last row: CouchDB at times answers 500 to a list that leaves keys of _all_docs unread.
    page = {"match": {}, "fields": fields, "offset": 0, "limit": len(ids), "rest": True, "corrections": corrected}
    return list_request(LISTS["instance"], Range("_all_docs", keys=ids, documents=True), page)


def modifications(study: str, series: str | None, instance: str | None, corrected: list[Any]) -> CouchRequest:
    """Return the request for the attributes of each instance that people fixed; see ``lists/modifications.js``."""
    return _with_corrections(_list("modifications", study, series, instance), corrected)


def _with_corrections(request: CouchRequest, corrected: list[Any]) -> CouchRequest:
    """Return a list request that is told `corrected`, values of ``corrections_by_study``."""
    if not corrected:
        return request
    text = as_json(corrected)
    if len(text) > LONGEST_QUERY:
        return replace(request, method="POST", body={"corrections": corrected})
    return replace(request, params={**request.params, "corrections": text})


def conflicts(state: str, start: list[str] | None, size: int) -> CouchRequest:
    """Return the request for headers that disagree (``open``) or that people fixed (``fixed``), newest first."""
    keys = {"startkey": as_json(start or [state, HIGH]), "endkey": as_json([state])}
    params = {"include_docs": "true", "reduce": "false", "descending": "true", "size": str(size), "state": state}
    return CouchRequest("GET", f"{DESIGN}/_list/conflicts/conflicts_by_date", {**params, **keys})


def count_conflicts() -> CouchRequest:
    """Return the request that counts the headers that disagree."""
    return _view("conflicts_by_date", {**between(["open"], ["open"]), "reduce": "true"})


def conflict(study: str) -> CouchRequest:
    """Return the request for what the instances of one study say of the attributes that disagree."""
    return _list("conflict", study, conflicts="true")


def page(given: dict[str, Any]) -> CouchRequest:
    """Return the request for a page that the design document makes of what was found; see ``shows/page.js``."""
    return CouchRequest("POST", f"{DESIGN}/_show/page", body=given)


def script(name: str) -> CouchRequest:
    """Return the request for a script that the pages load."""
    return CouchRequest("GET", f"{DESIGN}/_show/script", {"name": name})


def patient_studies(patient: str) -> CouchRequest:
    """Return the request for the studies with a Patient ID."""
    return _view("studies_by_patient_id", {**between([patient], [patient]), "reduce": "false"})
