"""SOP Instance UIDs that another series or study has, too: told in the answer, never a reason to refuse."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Executor, Future

from dicouch.couch.client import Couch
from dicouch.couch.patience import handed
from dicouch.couch.response import CouchError
from dicouch.errors import DicomWebError
from dicouch.rewrite import requests

ASKED_AT_ONCE = 500
"""UIDs in one query: an index row is about 1 KB."""
FEW = 4
"""UIDs up to which they are asked for one by one."""

Place = tuple[str, str, str]
"""Study, series and SOP Instance UIDs."""


def find_stored(couch: Couch, places: Iterable[Place], authorization: str | None) -> list[Place]:
    """Return the instances of the index that have the SOP Instance UID of one of these.

    The index is read as it is. Bringing it up to date first would cost five to thirty times as much as the query, and
    that is done soon after every upload (`dicouch.write.pace`).
    """
    uids = sorted({place[2] for place in places})
    try:
        return [
            place
            for start in range(0, len(uids), ASKED_AT_ONCE)
            for place in _stored(couch, uids[start : start + ASKED_AT_ONCE], authorization)
        ]
    except (CouchError, DicomWebError):
        return []  # the instances are stored all the same


def elsewhere(places: Iterable[Place], stored: Iterable[Place]) -> dict[Place, str]:
    """Return the instances of a request whose UID is `stored` in another series, too, or comes twice in the request.

    Each place is mapped to the resource of the other one, such as ``studies/1.2/series/3.4``.
    """
    own = set(places)
    known: dict[str, dict[Place, None]] = {}
    for place in [*sorted(own), *stored]:
        known.setdefault(place[2], {})[place] = None
    found = {}
    for place in own:
        if other := next((other for other in known[place[2]] if other != place), None):
            found[place] = f"studies/{other[0]}/series/{other[1]}"
    return found


def _stored(couch: Couch, uids: list[str], authorization: str | None) -> list[Place]:
    wanted = set(uids)
    if len(uids) > FEW:
        # Instances that come together mostly have UIDs that follow each other: one walk over the index instead of one
        # for each UID, which takes 0.4 ms. Where that passes by too many others, it ends after a few.
        most = 2 * len(uids)
        rows = _rows(couch, requests.instances_between(uids[0], uids[-1], most), authorization)
        if len(rows) < most:
            return [place for place in rows if place[2] in wanted]
    return _rows(couch, requests.instances_with(uids), authorization)


def _rows(couch: Couch, asked: requests.CouchRequest, authorization: str | None) -> list[Place]:
    return places_of(
        couch.json(asked.method, asked.path, params=asked.params, body=asked.body, authorization=authorization)
    )


def places_of(answer: dict) -> list[Place]:
    """Return the instances that an answer of ``instances_by_uid`` names."""
    return [tuple(row["id"].split(":")) for row in answer["rows"]]


class UidSearch:
    """Looks for the SOP Instance UIDs of a request in the index, while its instances are written."""

    def __init__(self, couch: Couch, authorization: str | None) -> None:
        self._couch = couch
        self._authorization = authorization
        self._asked: set[Place] = set()
        self._running: list[Future[list[Place]]] = []
        self._found: list[Place] = []

    def begin(self, places: Iterable[Place], pool: Executor) -> None:
        """Ask for instances that were not asked for yet, in another thread."""
        if left := [place for place in places if place not in self._asked]:
            self._asked.update(left)
            search = pool.submit(handed(find_stored), self._couch, left, self._authorization)
            self._running.append(search)

    def tell(self, place: Place, stored: Iterable[Place]) -> None:
        """Take what the index said of an instance when it was written."""
        self._asked.add(place)
        self._found += stored

    def others(self, places: Iterable[Place]) -> dict[Place, str]:
        """Wait for the answers; see `elsewhere`."""
        return elsewhere(places, [*self._found, *(place for search in self._running for place in search.result())])
