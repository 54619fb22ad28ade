"""Reading instances, their metadata and parts of their bytes from the database and the byte store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shim import rewrite
from shim.couch import Couch, segment
from shim.errors import DicomWebError
from shim.rewrite import CouchRequest
from shim.store import Bytes

# What the metadata list sends in place of an instance whose data set is an attachment; see ``lib/metadata.js``.
ELSEWHERE = b'{"datasetAttachment":"'


def describe(study: str, series: str | None = None, instance: str | None = None) -> str:
    """Return how an error names a resource."""
    if instance:
        return f"instance {instance} in series {series} of study {study}"
    return f"series {series} in study {study}" if series else f"study {study}"


@dataclass(frozen=True)
class Stored:
    """An instance as the index knows it.

    Attributes
    ----------
    id : str
        Document id.
    file : dict
        At least ``store``, ``size`` and ``transferSyntax``; from the document also ``bulk`` and ``frames``.
    """

    id: str
    file: dict

    @property
    def path(self) -> str:
        """Return the resource's path below the DICOMweb root."""
        study, series, instance = self.id.split(":")
        return f"/studies/{study}/series/{series}/instances/{instance}"


class Retriever:
    """Reads for one request.

    Parameters
    ----------
    couch : Couch
    store : Bytes
    authorization : str or None
        The client's own credentials.
    """

    def __init__(self, couch: Couch, store: Bytes, authorization: str | None = None):
        self.couch = couch
        self.store = store
        self.authorization = authorization

    def ask(self, request: CouchRequest):
        """Send a request; the answer's body is unread."""
        return self.couch.request(
            request.method, request.path, params=request.params, authorization=self.authorization
        )

    def document(self, study: str, series: str, instance: str) -> dict:
        """Return an instance document.

        Raises
        ------
        DicomWebError
            404 if there is none.
        """
        found = self.couch.get(f"{study}:{series}:{instance}", authorization=self.authorization)
        if found is None or found.get("type") != "instance":
            raise DicomWebError(404, f"there is no {describe(study, series, instance)}")
        return found

    def instances(self, study: str, series: str | None, instance: str | None) -> list[Stored]:
        """Return the instances of a resource, in order of their numbers.

        Raises
        ------
        DicomWebError
            404 if there is none.
        """
        if series and instance:
            document = self.document(study, series, instance)
            return [Stored(document["_id"], document["file"])]
        request = rewrite.instances(study, series)
        answer = self.couch.json(
            request.method, request.path, params=request.params, authorization=self.authorization
        )
        if not answer["rows"]:
            raise DicomWebError(404, f"there is no {describe(study, series)}")
        return [Stored(row["id"], row["value"]["file"]) for row in answer["rows"]]

    def open(self, instance: Stored, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes of an instance from `start` up to `end`."""
        return self.store.open(instance.id, instance.file, start, end, self.authorization)

    def metadata(self, study: str, series: str | None, instance: str | None, base: str) -> Iterator[bytes]:
        """Yield the JSON array of data sets piece by piece.

        Parameters
        ----------
        base : str
            Absolute URL of the DICOMweb root, for BulkDataURIs.
        """
        request = rewrite.corrections(study)
        rows = self.couch.json(
            request.method, request.path, params=request.params, authorization=self.authorization
        )["rows"]
        corrected = [row["value"] for row in rows]
        for chunk in self.ask(rewrite.metadata(study, series, instance, base, corrected)).chunks():
            yield chunk
