"""C-FIND (PS3.4 C.4.1): the keys of an identifier become the parameters of a search, its rows the answers."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from pydicom import Dataset
from pydicom.multival import MultiValue
from pynetdicom.events import Event

from dicouch.couch.response import CouchError
from dicouch.dimse.status import CANCELLED, DOES_NOT_MATCH, PENDING, UNABLE, status, status_of
from dicouch.errors import DicomWebError
from dicouch.read.search.every import MOST, every
from dicouch.rewrite import query
from dicouch.services import Services

LOG = logging.getLogger(__name__)

LEVELS = {"PATIENT": "patient", "STUDY": "study", "SERIES": "series", "IMAGE": "instance"}
# What a request says of itself (PS3.4 C.4.1.1.3.1), and what every answer has.
NOT_KEYS = frozenset({"00080005", "00080052", "00080054", "00080056", "00080201"})
Pairs = list[tuple[str, str]]


def level_of(identifier: Dataset, patient_root: bool) -> str:
    """Return the level of an identifier, as searches call it.

    Raises
    ------
    DicomWebError
        400 when the information model has no such level.
    """
    named = str(identifier.get("QueryRetrieveLevel", "")).strip()
    if named not in LEVELS or (named == "PATIENT" and not patient_root):
        raise DicomWebError(400, f"Query/Retrieve Level {named[:16]!r} is none of this information model")
    return LEVELS[named]


def parameters(identifier: Dataset) -> Pairs:
    """Return the keys of an identifier as query parameters (PS3.18 8.3.4)."""
    pairs, included = _keys(identifier, "")
    return [*pairs, ("includefield", ",".join(included))] if included else pairs


def _keys(dataset: Dataset, above: str) -> tuple[Pairs, list[str]]:
    pairs: Pairs = []
    included: list[str] = []
    for element in dataset:
        tag = f"{int(element.tag):08X}"
        creator = element.tag.is_private_creator
        if tag in NOT_KEYS or creator or element.tag.element == 0:
            continue
        if element.VR == "SQ" and element.value and len(element.value[0]):
            inner = _keys(element.value[0], f"{above}{tag}.")
            pairs += inner[0]
            included += inner[1]
            continue
        included.append(above + tag)
        if element.VR != "SQ" and (text := _text(element.value)):
            pairs.append((above + tag, text))
    return pairs, included


def _text(value: object) -> str:
    if value is None:
        return ""
    several = value if isinstance(value, list | tuple | MultiValue) else [value]
    return "\\".join(map(str, several))


def answer(identifier: Dataset, row: dict, title: str) -> Dataset:
    """Return the answer for a row of a search: the keys that were asked for, and where it can be had."""
    wanted = {f"{int(element.tag):08X}" for element in identifier} - NOT_KEYS
    told = {tag: attribute for tag, attribute in row.items() if tag in wanted and "BulkDataURI" not in attribute}
    made = Dataset.from_json(told)
    for element in identifier:
        if f"{int(element.tag):08X}" in wanted and element.tag not in made:
            made.add_new(element.tag, element.VR, [] if element.VR == "SQ" else None)
    made.QueryRetrieveLevel = identifier.QueryRetrieveLevel
    made.RetrieveAETitle = title
    made.InstanceAvailability = row.get("00080056", {}).get("Value", ["ONLINE"])[0]
    if not _is_ascii(told):
        made.SpecificCharacterSet = "ISO_IR 192"
    return made


def _is_ascii(value: object) -> bool:
    if isinstance(value, dict):
        return all(map(_is_ascii, value.values()))
    if isinstance(value, list):
        return all(map(_is_ascii, value))
    return not isinstance(value, str) or value.isascii()


def find(services: Services, event: Event, title: str, patient_root: bool, fuzzy: bool) -> Iterator[tuple]:
    """Yield the statuses and identifiers that answer a C-FIND request (PS3.4 Table C.4-1)."""
    try:
        identifier = event.identifier
        level = level_of(identifier, patient_root)
        pairs = parameters(identifier)
        if fuzzy:
            pairs.append(("fuzzymatching", "true"))
        for row in rows(services, level, pairs):
            if event.is_cancelled:
                yield status(CANCELLED), None
                return
            yield status(PENDING), answer(identifier, row, title)
    except DicomWebError as problem:
        wrong = problem.status == 400
        yield status(DOES_NOT_MATCH if wrong else status_of(problem.status, UNABLE), problem.reason), None
    except CouchError as problem:
        yield status(status_of(problem.status, UNABLE), str(problem)), None
    except Exception:  # an error of ours, or of a broken identifier, must not end the association
        LOG.exception("C-FIND")
        yield status(UNABLE, "the identifier cannot be understood; the server's log says more"), None


def rows(services: Services, level: str, pairs: Pairs) -> Iterator[dict]:
    """Yield the rows of a search to its end, some read at a time.

    Raises
    ------
    DicomWebError
        400 for a malformed value.
    """
    return every(services.couch, level, lambda: query.parse(pairs, MOST), services.extended)
