"""One search at any level: what QIDO-RS and C-FIND ask alike."""

from __future__ import annotations

from dicouch.read.search import own_attributes, workitems
from dicouch.read.search.instances import InstanceSearch
from dicouch.read.search.patients import patients
from dicouch.read.search.studies import Page, Search
from dicouch.rewrite.extended import Extended
from dicouch.rewrite.query import SERIES_UID, STUDY_UID, Query


def run(
    searching: Search,
    level: str,
    asked: Query,
    extended: list[Extended],
    study: str | None = None,
    series: str | None = None,
) -> Page:
    """Search at a level.

    Parameters
    ----------
    level : str
        ``patient``, ``study``, ``series``, ``instance`` or ``workitem``.
    asked : Query
        Is changed.
    extended : list of Extended
        Further attributes that the site searches by.
    study, series : str, optional
        What the path names.
    """
    asked.level = level
    if level == "workitem":
        return workitems.search(searching, asked)
    listed = own_attributes.split(asked, level, extended)
    asked.drop_below(level)
    path = {tag: uid for tag, uid in ((STUDY_UID, study), (SERIES_UID, series)) if uid is not None}
    for tag, uid in path.items():
        wanted = asked.values(tag) or [uid]
        if uid not in wanted or asked.keys.get(tag, {}).get("empty"):
            return Page()  # the path and the key contradict each other
        asked.keys[tag] = {"vr": "UI", "values": [uid]}
    if not own_attributes.resolve(searching, asked, listed):
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
