"""Events for who follows what is stored, deleted and corrected: made of the log of changes, one a study and kind. Pure.

They have UIDs and numbers, and nothing of patients.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from dicouch.errors import DicomWebError

KINDS = ("stored", "deleted", "corrected")
POSITION = re.compile(r"([0-9a-f]+)-(\d{1,15})-(\d{1,9})", re.ASCII)


class Position(NamedTuple):
    """How far the log is read: its name, a sequence, and how many of the corrections that came behind that."""

    log: str
    sequence: int = 0
    corrections: int = 0

    def __str__(self) -> str:
        return f"{self.log}-{self.sequence}-{self.corrections}"

    @classmethod
    def read(cls, text: str) -> Position | None:
        """Return what was written by `str`, None for anything else."""
        match = POSITION.fullmatch(text.strip())
        return cls(match[1], int(match[2]), int(match[3])) if match else None


@dataclass(frozen=True)
class Event:
    """What was done with a study, or with some of it.

    Attributes
    ----------
    kind : str
        Of `KINDS`.
    series, instance : str
        Empty where several are concerned, or all.
    whole : bool
        Whether all of what the UIDs name is new, gone or corrected.
    instances : int
        How many were stored or deleted.
    at : str
        When the last of it was done.
    modalities : frozenset of str
        Of the study; empty where nobody knows them any more.
    """

    kind: str
    study: str
    series: str = ""
    instance: str = ""
    whole: bool = False
    instances: int = 0
    at: str = ""
    modalities: frozenset[str] = frozenset()

    def told(self) -> dict[str, Any]:
        """Return what is sent of it."""
        level = "instance" if self.instance else "series" if self.series else "study"
        uids = {"StudyInstanceUID": self.study, "SeriesInstanceUID": self.series, "SOPInstanceUID": self.instance}
        named = {name: uid for name, uid in uids.items() if uid}
        counted = {} if self.kind == "corrected" else {"instances": self.instances}
        return {"kind": self.kind, "level": level, **named, "whole": self.whole, **counted, "timestamp": self.at}


@dataclass(frozen=True)
class Filter:
    """Which events somebody wants: those of one of the values of each set, where that is not empty."""

    kinds: frozenset[str] = frozenset()
    studies: frozenset[str] = frozenset()
    modalities: frozenset[str] = frozenset()

    def takes(self, event: Event) -> bool:
        """Return whether an event is wanted; one of a study whose modality nobody knows any more is."""
        return (
            (not self.kinds or event.kind in self.kinds)
            and (not self.studies or event.study in self.studies)
            and (not self.modalities or not event.modalities or bool(self.modalities & event.modalities))
        )

    @classmethod
    def parse(cls, given: Iterable[tuple[str, str]]) -> Filter:
        """Read query parameters: `kind`, `StudyInstanceUID` and `Modality` (or `ModalitiesInStudy`), lists or repeated.

        Raises
        ------
        DicomWebError
            400 for a kind that there is not.
        """
        names = {"kind": "kinds", "studyinstanceuid": "studies", "modality": "modalities"}
        names["modalitiesinstudy"] = names["modality"]
        values: dict[str, set[str]] = {}
        for name, text in given:
            if place := names.get(name.lower()):
                values.setdefault(place, set()).update(one.strip() for one in text.split(",") if one.strip())
        if strange := values.get("kinds", set()) - set(KINDS):
            raise DicomWebError(400, f"kind is one of {', '.join(KINDS)}, not {min(strange)[:40]!r}")
        return cls(**{place: frozenset(found) for place, found in values.items()})


class Read(NamedTuple):
    """What the log has behind a position: entries ``(id, action, at)``, corrections ``(id, at)``, the next position."""

    entries: list[tuple[str, str, str]]
    corrections: list[tuple[str, str]]
    position: Position


def behind(pages: Sequence[Mapping[str, Any]], position: Position) -> Read:
    """Return what pages of the log, in order, have behind a position."""
    entries, corrections = [], []
    sequence, passed = position.sequence, position.corrections
    for page in pages:
        for number, entry in enumerate(page["entries"], page["first"]):
            if number > position.sequence:
                entries.append((entry["instance"], entry["action"], entry["at"]))
                sequence, passed = number, 0
        last = page["first"] + len(page["entries"]) - 1
        for number in sorted({one["after"] for one in page["corrections"] if one["after"] >= position.sequence}):
            these = [one for one in page["corrections"] if one["after"] == number]
            new = these[position.corrections :] if number == position.sequence else these
            corrections += [(one["header"], one["at"]) for one in new]
            if number == last == sequence:
                passed = len(these)
    return Read(entries, corrections, Position(position.log, sequence, passed))


def concerned(read: Read) -> tuple[list[str], list[str]]:
    """Return the ids of the headers that are concerned: of studies, and of their series."""
    places = {tuple(one.split(":")[:2]) for one, *_rest in [*read.entries, *read.corrections]}
    studies = sorted({f"{place[0]}:study" for place in places})
    return studies, sorted({":".join(place) for place in places} - set(studies))


def coalesced(read: Read, held: Mapping[str, Sequence[int]], modalities: Mapping[str, frozenset[str]]) -> list[Event]:
    """Return the events of what was read, one for each study and kind, in the order of the first change of each.

    Parameters
    ----------
    read : Read
    held : mapping
        ``[series, instances, bytes]`` of each study and series by the id of its header, of those that are there.
    modalities : mapping
        Of studies by their UIDs.
    """
    last = {instance: (action, at) for instance, action, at in read.entries}
    created = {instance for instance, action, _at in read.entries if action == "create"}
    groups: dict[tuple[str, str], list[str]] = {}
    for instance, (action, _at) in last.items():
        kind = "deleted" if action == "delete" else "stored"
        groups.setdefault((instance.partition(":")[0], kind), []).append(instance)
    events = []
    for (study, kind), instances in groups.items():
        place, whole = _place(kind, instances, created, held)
        at = max(last[one][1] for one in instances)
        known = modalities.get(study, frozenset())
        events.append(Event(kind, study, *place, whole=whole, instances=len(instances), at=at, modalities=known))
    for header, at in dict(read.corrections).items():
        study, series = header.split(":")
        series = "" if series == "study" else series
        known = modalities.get(study, frozenset())
        events.append(Event("corrected", study, series, whole=True, at=at, modalities=known))
    return events


def _place(
    kind: str, instances: list[str], created: set[str], held: Mapping[str, Sequence[int]]
) -> tuple[tuple[str, str], bool]:
    """Return the UIDs of series and instance that name instances of a study, and whether these are all of it."""

    def is_whole(header: str, below: list[str]) -> bool:
        count = held[header][1] if header in held else 0
        return not count if kind == "deleted" else count <= len(set(below) & created)

    study = instances[0].partition(":")[0]
    if is_whole(f"{study}:study", instances):
        return ("", ""), True
    series = {one.split(":")[1] for one in instances}
    if len(series) > 1:
        return ("", ""), False
    (only,) = series
    if is_whole(f"{study}:{only}", instances):
        return (only, ""), True
    if len(instances) > 1:
        return (only, ""), False
    return (only, instances[0].rpartition(":")[2]), kind == "deleted" or instances[0] in created
