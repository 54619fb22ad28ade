"""Studies whose attributes disagree: what the design document finds, and what people decide about them."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

import orjson

from dicouch.couch.client import Couch, segment
from dicouch.couch.response import Answer, CouchError
from dicouch.errors import DicomWebError, resource_name
from dicouch.rewrite import requests
from dicouch.rewrite.requests import DESIGN, CouchRequest

MODALITY = "00080060"
# When others write a header at the same time, the fix is made again on what they wrote.
ATTEMPTS = 64


@dataclass
class Fix:
    """What a person wants of one attribute.

    Attributes
    ----------
    tag : str
        Eight hexadecimal digits.
    change : dict
        What ``updates/fix.js`` reads beside the tag: ``value`` or ``undo``, perhaps ``seen``; or a page's ``form``.
    by : str
        Who; may be empty where the database knows the client.
    series : str or None
        The series whose attribute it is, None for one of the study.
    patient : bool
        Whether it goes for all studies of the patient.
    """

    tag: str
    change: dict = field(default_factory=dict)
    by: str = ""
    series: str | None = None
    patient: bool = False
    undo: bool = False


class Conflicts:
    """Reads and decides for one request."""

    def __init__(self, couch: Couch, authorization: str | None) -> None:
        self.couch = couch
        self.authorization = authorization

    def ask(self, request: CouchRequest, accept: str, **params: str) -> Answer:
        """Send a request for a page (``text/html``) or its data (``application/json``)."""
        return self.couch.request(
            request.method,
            request.path,
            params={**request.params, **params},
            headers={"Accept": accept},
            authorization=self.authorization,
        )

    def listed(self, state: str, start: list | None, size: int) -> dict:
        """Return one page of studies that disagree (``open``) or were corrected (``fixed``), newest first."""
        return orjson.loads(self.ask(requests.conflicts(state, start, size), "application/json").read())

    def study(self, study: str) -> dict:
        """Return what the instances of a study say of each attribute that disagrees; 404 if there is no such study."""
        try:
            return orjson.loads(self.ask(requests.conflict(study), "application/json").read())
        except CouchError as problem:
            raise self.unknown(study, problem) from problem

    @staticmethod
    def unknown(study: str, problem: CouchError) -> Exception:
        """Return what a client is told when the list finds no study; of a database that is not set up, what it said."""
        if problem.status == 404 and problem.error != "not_found":
            return DicomWebError(404, f"there is no {resource_name(study)}")
        return problem

    def fix(self, study: str, fix: Fix) -> dict:
        """Correct an attribute, or undo that.

        Returns
        -------
        dict
            ``changed`` (document ids), ``id`` of the correction, ``fix`` as it is kept, ``failed``.

        Raises
        ------
        DicomWebError
            400 for what cannot be a value, 404, 409 when somebody else was first; the reason says which.
        """
        header = f"{study}:{fix.series or 'study'}"
        body = {**fix.change, "tag": fix.tag, "by": fix.by, "id": uuid.uuid4().hex}
        others = self._others(study, fix, body) if fix.patient else []
        told = self._update("fix", header, body)
        if told["modality"] is not None and fix.series:
            # Modalities in Study (0008,0061) keeps in step with a correction of a series' Modality.
            change = {"series": fix.series, "modality": told["modality"], "attributes": {}, "override": True}
            self._update("study", f"{study}:study", change)
        answer = {"changed": [header] if told["changed"] else [], "id": told["id"], "fix": told["fix"], "failed": []}
        body.pop("seen", None)
        if "form" in body:
            body["form"] = {**body["form"], "seen": None}
        for other in others:
            try:
                if self._update("fix", other, body)["changed"]:
                    answer["changed"].append(other)
            except (CouchError, DicomWebError) as problem:
                answer["failed"].append({"study": other.partition(":")[0], "reason": str(problem)})
        return answer

    def _others(self, study: str, fix: Fix, body: dict) -> list[str]:
        """Return the headers of the patient's other studies, and let `body` say which patient that is."""
        header = self.couch.get(f"{study}:study", authorization=self.authorization)
        if header is None:
            raise DicomWebError(404, f"there is no {resource_name(study)}")
        if fix.series or not fix.tag.startswith("0010"):
            raise DicomWebError(400, "scope: only an attribute of the patient goes for all studies of the patient")
        patient, issuer = _first(header, "00100020"), _first(header, "00100021")
        if not patient:
            raise DicomWebError(400, "scope: the study has no Patient ID, which would tell its patient's studies")
        request = requests.patient_studies(patient.strip(" "))
        rows = self.couch.json(request.method, request.path, params=request.params, authorization=self.authorization)
        # The design document holds each study against this patient, and against the correction that is undone.
        body["patient"] = {"id": patient, "issuer": issuer}
        if fix.undo:
            body["only"] = header.get("fixes", {}).get(fix.tag, {}).get("id", "")
        return [row["id"] for row in rows["rows"] if row["id"] != header["_id"]]

    def _update(self, name: str, header: str, body: dict) -> dict:
        path = f"{DESIGN}/_update/{name}/{segment(header)}"
        for attempt in range(ATTEMPTS):
            try:
                return self.couch.json("PUT", path, body=body, authorization=self.authorization)
            except CouchError as problem:
                # CouchDB itself says so when another writer was first; the design document gives another reason.
                lost = problem.status == 409 and problem.reason.startswith("Document update conflict")
                if lost and attempt < ATTEMPTS - 1:
                    continue
                if problem.status in (400, 409) or problem.reason.startswith("there is no such"):
                    raise DicomWebError(problem.status, problem.reason) from problem
                raise
        raise AssertionError("unreachable")


def _first(header: dict, tag: str) -> str:
    values = header["dataset"].get(tag, {}).get("Value") or [""]
    return values[0] if isinstance(values[0], str) else ""
