"""What the requests of a process that store at the same time ask CouchDB in common."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from dicouch.couch.client import Couch, CouchError
from dicouch.errors import DicomWebError
from dicouch.rewrite import requests
from dicouch.write.elsewhere import Place, places_of
from dicouch.write.headers import current_revisions
from dicouch.write.together import Together


@dataclass(frozen=True)
class Alone:
    """The small instance of a request that seems to have no other.

    Attributes
    ----------
    document : bytes
        JSON.
    uid : str
        SOP Instance UID.
    headers : tuple of str
        Ids of its study's and series' headers.
    """

    document: bytes
    uid: str
    headers: tuple[str, ...]


@dataclass(frozen=True)
class Written:
    """What became of an instance.

    Attributes
    ----------
    ok : bool
        False when it is to be written by itself, for its own answer.
    stored : list of Place
        The instances that the index has of its UID.
    revisions : dict
        Ids of its headers to their revisions behind the write, None where there is none; empty when they were not told.
    """

    ok: bool
    stored: list[Place]
    revisions: dict[str, str | None]


class Shared:
    """Writes of small documents and what goes with them.

    Parameters
    ----------
    couch : Couch

    Attributes
    ----------
    alone : Together
        `Alone` to `Written`, for all requests that need it at a moment.
    revisions : Together
        Document ids to revisions, None of a document that is not there; likewise.
    """

    def __init__(self, couch: Couch):
        self._couch = couch
        self.alone: Together[Alone, Written] = Together(self._write_alone)
        self.revisions: Together[str, str | None] = Together(partial(current_revisions, couch))

    def write(self, authorization: str | None, documents: list[bytes]) -> list[bool]:
        """Write documents with one request, which several requests may do at once.

        Parameters
        ----------
        authorization : str or None
            The client's own credentials.
        documents : list of bytes
            JSON.

        Returns
        -------
        list of bool
            Whether each was written; the others are to be written one by one, for their answer.
        """
        body = b'{"docs":[' + b",".join(documents) + b"]}"
        headers = {"Content-Type": "application/json"}
        try:
            pending = self._couch.start("POST", "_bulk_docs", body=body, headers=headers, authorization=authorization)
            return ["error" not in row for row in pending.json()]
        except (CouchError, DicomWebError):
            return [False] * len(documents)

    def _write_alone(self, authorization: str | None, instances: list[Alone]) -> list[Written]:
        stored: dict[str, list[Place]] = {}
        revisions: dict[str, str | None] = {}
        request = requests.instances_with(sorted({each.uid for each in instances}))
        ids = sorted({header for each in instances for header in each.headers})
        try:
            # The index is read while the documents are written, the headers behind that.
            search = self._couch.start_json(
                request.method, request.path, params=request.params, body=request.body, authorization=authorization
            )
        except DicomWebError:
            return [Written(False, [], {}) for _each in instances]
        written = self.write(authorization, [each.document for each in instances])
        if not any(written):
            search.close()  # each asks for itself; a database that hangs is not waited for twice
            return [Written(False, [], {}) for _each in instances]
        with suppress(CouchError, DicomWebError):  # the instances are stored, whether or not this can be told
            for place in places_of(search.json()):
                stored.setdefault(place[2], []).append(place)
        with suppress(CouchError, DicomWebError):  # the request asks again, and says so
            revisions = dict(zip(ids, current_revisions(self._couch, authorization, ids), strict=True))
        return [
            Written(ok, stored.get(each.uid, []), {key: revisions[key] for key in each.headers if key in revisions})
            for each, ok in zip(instances, written, strict=True)
        ]
