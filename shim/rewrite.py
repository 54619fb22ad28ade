"""DICOMweb request in, CouchDB request out. Pure functions, no I/O.

A key that a view emits is an array of strings (raw collation: byte order), so a range ends in `HIGH`. Where a request
asks for something that an index orders, the key range is chosen here; all matching is the list function's.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import orjson

from shim import normalise
from shim.levels import ROW_TAGS
from shim.query import Query, keys_of_level

HIGH = "\ufff0"
DESIGN = "_design/dicom"
# A request line longer than this goes as a POST: CouchDB refuses request targets over 8 KB.
LONGEST_QUERY = 4000


@dataclass(frozen=True)
class CouchRequest:
    """One request to the database.

    Attributes
    ----------
    method : str
    path : str
        Below the database, percent-encoded.
    params : dict
        Query parameters, strings as they are and anything else as JSON.
    body : object or None
        JSON body.
    """

    method: str
    path: str
    params: dict = field(default_factory=dict)
    body: object = None


@dataclass(frozen=True)
class Range:
    """A part of an index.

    Attributes
    ----------
    view : str
    params : dict
        ``startkey`` and ``endkey``, or nothing.
    keys : list or None
        Keys to look up one by one instead.
    covered : frozenset of str
        Tags of matching keys that the range alone decides.
    sort : bool
        True when the rows do not come newest study first.
    """

    view: str
    params: dict
    keys: list | None = None
    covered: frozenset[str] = frozenset()
    sort: bool = False


def as_json(value: object) -> str:
    """Return `value` as JSON text, as CouchDB wants keys in a URL."""
    return orjson.dumps(value).decode("utf-8")


def is_wild(value: str) -> bool:
    """Return whether `value` holds a wild card (PS3.4 C.2.2.2.4)."""
    return "*" in value or "?" in value


def literal_prefix(value: str) -> str:
    """Return what stands before the first wild card."""
    for position, character in enumerate(value):
        if character in "*?":
            return value[:position]
    return value


def after(prefix: str) -> str:
    """Return the first string behind all that begin with `prefix`, in byte order as in UTF-16 order.

    The two orders differ only above U+D7FF; a prefix that ends there is shortened, and the wider range filtered.
    """
    prefix = prefix.rstrip("".join(sorted({character for character in prefix if ord(character) >= 0xD7FF})))
    return prefix[:-1] + chr(ord(prefix[-1]) + 1) if prefix else HIGH


def between(low: list, high: list, *, descending: bool = False) -> dict:
    """Return the parameters of a key range; `high` is a prefix of the last keys."""
    start, end = low, [*high, HIGH]
    if descending:
        return {"startkey": end, "endkey": start, "descending": True}
    return {"startkey": start, "endkey": end}


def study_range(query: Query) -> Range:
    """Choose the index of studies that narrows the search most (PS3.18 Table 10.6.1-5).

    Returns
    -------
    Range
        Newest study first unless ``sort`` says otherwise.
    """
    keys = query.keys

    def values(tag: str) -> list[str]:
        found = keys.get(tag, {}).get("values", [])
        return [] if "" in found else found

    uids = values("0020000D")
    if uids:
        return Range("studies_by_uid", {}, keys=uids, covered=frozenset(["0020000D"]), sort=len(uids) > 1)
    for tag, view in (("00080050", "studies_by_accession_number"), ("00100020", "studies_by_patient_id")):
        found = values(tag)
        if len(found) == 1 and not is_wild(found[0]):
            exact = found[0].strip(" ")
            return Range(view, between([exact], [exact], descending=True), covered=frozenset([tag]))
    for tag, view in (
        ("00080050", "studies_by_accession_number"),
        ("00100020", "studies_by_patient_id"),
        ("00100010", "studies_by_patient_name"),
    ):
        found = values(tag)
        if len(found) != 1 or keys[tag].get("fuzzy") or "=" in found[0]:
            continue
        prefix = literal_prefix(found[0])
        prefix = normalise.name(prefix) if tag == "00100010" else prefix.lstrip(" ")
        if prefix:
            return Range(view, {"startkey": [prefix], "endkey": [after(prefix)], "inclusive_end": False}, sort=True)
    dates = values("00080020")
    low, high = date_span(dates[0]) if len(dates) == 1 else ("", HIGH)
    found = values("00080061")
    if len(found) == 1 and not is_wild(found[0]):
        exact = found[0].strip(" ")
        covered = frozenset(["00080061", "00080020"] if dates else ["00080061"])
        return Range("studies_by_modality", between([exact, low], [exact, high], descending=True), covered=covered)
    covered = frozenset(["00080020"] if len(dates) == 1 else [])
    return Range("studies_by_date", between([low], [high], descending=True), covered=covered)


def date_span(value: str) -> tuple[str, str]:
    """Return the lowest and the highest date of a DA matching key (PS3.4 C.2.2.2.5)."""
    low, hyphen, high = value.strip().replace(".", "").partition("-")
    # A study without a date has the key "" and is not in any range.
    return low or "0", (high or "9") if hyphen else low


def list_request(name: str, chosen: Range, query: dict) -> CouchRequest:
    """Return the request that runs the list `name` over a range of an index."""
    path = f"{DESIGN}/_list/{name}/{chosen.view}"
    params = {"reduce": "false", **chosen.params}
    text = as_json(query)
    if chosen.keys is not None:
        return CouchRequest("POST", path, params, {"keys": chosen.keys, "query": query})
    if len(text) > LONGEST_QUERY:
        return CouchRequest("POST", path, params, {"query": query})
    return CouchRequest("GET", path, {**params, "q": text})


def wanted(query: Query, level: str) -> list[str] | str:
    """Return what the rows of `level` shall have: what was asked for and what was matched on (PS3.18 8.3.4.3)."""
    return "all" if query.include == "all" else [*query.include, *keys_of_level(query.keys, level)]


def page_of(query: Query, chosen: Range, level: str, offset: int, limit: int) -> dict:
    """Return the list function's query; see ``lib/search.js``."""
    keys = {tag: key for tag, key in keys_of_level(query.keys, level).items() if tag not in chosen.covered}
    page = {"match": keys, "include": wanted(query, level), "offset": offset, "limit": limit, "sort": chosen.sort}
    return {**page, "rest": not query.limit_given}


def study_search(query: Query, offset: int, limit: int) -> CouchRequest:
    """Return the request for one page of studies (PS3.18 10.6.1.1, Table 10.6.1-1)."""
    chosen = study_range(query)
    return list_request("studies", chosen, page_of(query, chosen, "study", offset, limit))


def series_search(studies: list[str], query: Query, offset: int, limit: int) -> CouchRequest:
    """Return the request for series of the one study, or of series by their UIDs."""
    uids = query.keys.get("0020000E", {}).get("values", [])
    if studies:
        chosen = Range("series_by_study", between([studies[0]], [studies[0]]))
    else:
        chosen = Range("series_by_uid", {}, keys=uids)
    return list_request("series", chosen, page_of(query, chosen, "series", offset, limit))


def instance_search(study: str, series: str | None, query: Query, offset: int, limit: int) -> CouchRequest:
    """Return the request for the instances of a study or series."""
    place = [study, series] if series else [study]
    chosen = Range("instances_by_series", between(place, place))
    page = page_of(query, chosen, "instance", offset, limit)
    request = list_request("instances", chosen, page)
    if needs_document(query):
        return CouchRequest(request.method, request.path, {**request.params, "include_docs": "true"}, request.body)
    return request


def needs_document(query: Query) -> bool:
    """Return whether an instance search asks for more than the index rows carry."""
    asked = wanted(query, "instance")
    return asked == "all" or any(tag not in ROW_TAGS for tag in asked)


def counts(ids: list[str]) -> CouchRequest:
    """Return the request that counts series and instances below the studies or series with these document ids."""
    return CouchRequest("POST", f"{DESIGN}/_view/counts", {"group": "true"}, {"keys": ids})


def instances(study: str, series: str | None = None) -> CouchRequest:
    """Return the request for the index rows of all instances of a study or series, in order."""
    place = [study, series] if series else [study]
    return CouchRequest("GET", f"{DESIGN}/_view/instances_by_series", {**between(place, place), "reduce": "false"})


def corrections(study: str) -> CouchRequest:
    """Return the request for what the headers of a study say otherwise than some of its instances."""
    return CouchRequest("GET", f"{DESIGN}/_view/corrections_by_study", {"key": as_json(study)})


def instance_files(study: str, series: str | None, instance: str | None) -> CouchRequest:
    """Return the request for id, revision and ``file`` of every instance of a resource, read from the documents."""
    return CouchRequest(
        "GET", f"{DESIGN}/_list/files/_all_docs", {"include_docs": "true", **ids(study, series, instance)}
    )


def ids(study: str, series: str | None = None, instance: str | None = None) -> dict:
    """Return the range of document ids of a resource's instances; headers may lie in it, too."""
    prefix = ":".join(part for part in (study, series, instance) if part)
    if instance:
        return {"key": as_json(prefix)}
    return {"startkey": as_json(prefix + ":"), "endkey": as_json(prefix + ":" + HIGH)}


def rebuilt_headers(study: str) -> CouchRequest:
    """Return the request that makes the headers of a study anew from its instances; see ``lists/headers.js``."""
    return CouchRequest("GET", f"{DESIGN}/_list/headers/_all_docs", {"include_docs": "true", **ids(study)})


def metadata(study: str, series: str | None, instance: str | None, base: str, corrected: list) -> CouchRequest:
    """Return the request for the metadata of an instance, a series or a study (PS3.18 10.4.1.1.2)."""
    params = {"include_docs": "true", "base": base, **ids(study, series, instance)}
    return with_corrections(f"{DESIGN}/_list/metadata/_all_docs", params, corrected)


def modifications(study: str, series: str | None, instance: str | None, corrected: list) -> CouchRequest:
    """Return the request for the attributes of each instance that people fixed; see ``lists/modifications.js``."""
    params = {"include_docs": "true", **ids(study, series, instance)}
    return with_corrections(f"{DESIGN}/_list/modifications/_all_docs", params, corrected)


def with_corrections(path: str, params: dict, corrected: list) -> CouchRequest:
    """Return a list request that is told `corrected`, values of ``corrections_by_study``."""
    if not corrected:
        return CouchRequest("GET", path, params)
    text = as_json(corrected)
    if len(text) > LONGEST_QUERY:
        return CouchRequest("POST", path, params, {"corrections": corrected})
    return CouchRequest("GET", path, {**params, "corrections": text})


def conflicts(state: str, start: list | None, size: int) -> CouchRequest:
    """Return the request for headers that disagree (``open``) or that people fixed (``fixed``), newest first."""
    params = {"include_docs": "true", "reduce": "false", "descending": "true", "size": str(size), "state": state}
    params["startkey"] = as_json(start or [state, HIGH])
    return CouchRequest("GET", f"{DESIGN}/_list/conflicts/conflicts_by_date", {**params, "endkey": as_json([state])})


def conflict(study: str) -> CouchRequest:
    """Return the request for what the instances of one study say of the attributes that disagree."""
    return CouchRequest("GET", f"{DESIGN}/_list/conflict/_all_docs", {"include_docs": "true", **ids(study)})


def patient_studies(patient: str) -> CouchRequest:
    """Return the request for the studies with a Patient ID."""
    params = {**between([patient], [patient]), "reduce": "false"}
    return CouchRequest("GET", f"{DESIGN}/_view/studies_by_patient_id", params)
