"""SOP Instance UIDs that are known in another series or study: told in the answer, never a reason to refuse."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from shim import rewrite
from shim.couch import Couch, CouchError
from shim.errors import DicomWebError

ASKED_AT_ONCE = 500
"""UIDs in one query: an index row is about 1 KB."""

Place = tuple[str, str, str]


def find_elsewhere(couch: Couch, places: Iterable[Place], authorization: str | None) -> dict[Place, str]:
    """Return which instances have a SOP Instance UID that another series has, too.

    One query for a request, of the index as it is: bringing it up to date first costs five to thirty times as much as
    the query, and CouchDB does so by itself within moments of every write. Among the given instances nothing is missed.

    Parameters
    ----------
    couch : Couch
    places : iterable of (str, str, str)
        Study, series and SOP Instance UIDs of instances that are stored.
    authorization : str or None
        The client's own credentials.

    Returns
    -------
    dict
        Place to the resource of the other one, such as ``studies/1.2/series/3.4``.
    """
    known: dict[str, dict[Place, None]] = {}
    for place in places:
        known.setdefault(place[2], {})[place] = None
    own = {place for each in known.values() for place in each}
    try:
        for place in _stored(couch, list(known), authorization):
            known[place[2]][place] = None
    except (CouchError, DicomWebError):
        pass  # the instances are stored, whether or not this can be told
    found = {}
    for place in own:
        others = [other for other in known[place[2]] if other != place]
        if others:
            found[place] = f"studies/{others[0][0]}/series/{others[0][1]}"
    return found


def _stored(couch: Couch, uids: list[str], authorization: str | None) -> Iterator[Place]:
    for start in range(0, len(uids), ASKED_AT_ONCE):
        request = rewrite.instances_with(uids[start : start + ASKED_AT_ONCE])
        answer = couch.json(
            request.method, request.path, params=request.params, body=request.body, authorization=authorization
        )
        for row in answer["rows"]:
            study, series, instance = row["id"].split(":")
            yield study, series, instance
