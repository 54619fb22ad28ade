"""Which documents a replication takes, as a Mango selector; pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# Ids of studies, series and instances have a colon. All other documents go as well where nothing is chosen, but those
# that are a server's own.
DICOM_ID, SHARED_ID = "^[^_].*:", "^(?!_design/|forward-|commitment-|changes-)"
# What is queued: a server that gets these sends and reports it as well.
QUEUED_ID = "^(?:forward|commitment)-"
MODALITY, PATIENT = "00080060", "00100020"


@dataclass(frozen=True)
class Selection:
    """What a person wants to have replicated; everything, unless something is said.

    Attributes
    ----------
    study, patient, modality : str or None
        Study Instance UID, Patient ID, Modality.
    since : str or None
        Instances that were stored at this time or later (UTC, ISO 8601).
    designs, queue : bool
        Design documents as well, and what waits to be forwarded or reported.
    """

    study: str | None = None
    patient: str | None = None
    modality: str | None = None
    since: str | None = None
    designs: bool = False
    queue: bool = False

    @property
    def is_partial(self) -> bool:
        """Whether it may take some instances of a study and leave others."""
        return bool(self.modality or self.since)

    def selector(
        self, studies: Sequence[str] = (), series: Sequence[str] = (), headers: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Return the selector.

        Parameters
        ----------
        studies, series, headers : sequence of str
            What is there already and does not say itself that it is chosen: Study Instance UIDs and ids of series whose
            documents go whole, and ids of single headers.

        Returns
        -------
        dict
            Deletions match by their ids, as nothing else is left of them.
        """
        chosen: list[dict[str, Any]] = []
        if self.designs:
            chosen.append({"_id": {"$regex": "^_design/"}})
        if self.queue:
            chosen.append({"_id": {"$regex": QUEUED_ID}})
        if not (self.study or self.patient or self.modality or self.since):
            return {"$or": [{"_id": {"$regex": SHARED_ID}}, *chosen]}
        ids = [f"{re.escape(uid)}:" for uid in sorted({*studies, *([self.study] if self.study else [])})]
        ids += [f"{re.escape(one)}(?::|$)" for one in sorted(series)]
        below = self.study and f"^{re.escape(self.study)}:"
        chosen += [{"_deleted": True, "_id": {"$regex": below or DICOM_ID}}, {"type": "replication"}]
        if ids:
            chosen.append({"_id": {"$regex": f"^(?:{'|'.join(ids)})"}})
        if headers:
            chosen.append({"_id": {"$in": sorted(headers)}})
        return {"$or": [*chosen, *self.conditions()]}

    def conditions(self) -> list[dict[str, Any]]:
        """Return what is true of documents that are chosen, those that are still to come among them."""
        if self.patient:
            return [{"type": {"$in": ["study", "instance"]}, **having(PATIENT, self.patient)}]
        if self.modality:
            study = {"type": "study", "ModalitiesInStudy": {"$elemMatch": {"$eq": self.modality}}}
            return [study, {"type": {"$in": ["series", "instance"]}, **having(MODALITY, self.modality)}]
        if self.since:
            return [{"type": "instance", "stored": {"$gte": self.since}}]
        return []


def having(tag: str, value: str) -> dict[str, Any]:
    """Return the condition that an attribute of a document has a value."""
    return {f"dataset.{tag}.Value": {"$elemMatch": {"$eq": value}}}
