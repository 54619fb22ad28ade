"""Whole archives that are made up: the documents are those that the server writes for one instance, stamped anew."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from functools import partial

from dicouch.scripts.bench.client import Connection, Request, fetch, verified
from dicouch.scripts.bench.files import PLACEHOLDER, Identity, Template, store_request, uid

SERIES = 2
INSTANCES = 5
"""Instances of each series."""
PAGE = 25
MODALITIES = ("CT", "MR", "US", "CR", "DX", "NM", "PT", "MG", "XA", "RF")
JSON_TYPE = {"Content-Type": "application/json"}


def identity(run: int, study: int, series: int = 1, instance: int = 1) -> Identity:
    """Return one instance of an archive. Studies count from 0; each `PAGE` of them share a date and a family name."""
    group = study // PAGE
    day = group % 28 + 1
    month = group // 28 % 12 + 1
    year = 1995 + group // 336
    return Identity(
        study=uid(run, study),
        series=uid(run, study, series),
        instance=uid(run, study, series, instance),
        patient_id=f"P{study:09d}",
        accession=f"A{study:011d}",
        name=f"{family(group)}^GIVEN{study % PAGE:02d}",
        date=f"{year:04d}{month:02d}{day:02d}",
        time=f"{8 + study % 10:02d}{study % 60:02d}00",
        modality=MODALITIES[study % len(MODALITIES)],
        series_number=str(1000 + series),
        instance_number=str(1000 + instance),
    )


def family(group: int) -> str:
    """Return a family name of 8 letters, in no order; in one group of 40 it has SMITH in the middle."""
    letters = []
    number = group * 7919 + 104729
    for _ in range(8):
        letters.append(chr(ord("A") + number % 26))
        number = number // 26 + group * 31
    # The group itself makes the name unique.
    ending = "".join(chr(ord("A") + group // 26**power % 26) for power in (3, 2, 1, 0))
    if group % 40 == 7:
        return f"{letters[0]}SMITH{ending[-2:]}"
    return "".join(letters[:4]) + ending


def _forms(name: str, value: str) -> set[str]:
    """Return how a value may stand in a document: as it is, normalised for searching, and as a person reads it."""
    forms = {value, value.lower()}
    if name == "name":
        forms.add(value.replace("^", " ").lower())
    if name == "date":
        forms.add(f"{value[:4]}-{value[4:6]}-{value[6:]}")
    return forms


class Stamp:
    """A document of the placeholder instance as JSON, of which copies with other identifiers are made.

    Parameters
    ----------
    document : dict
        As CouchDB gives it back.
    """

    def __init__(self, document: dict) -> None:
        kept = {name: value for name, value in document.items() if name not in ("_rev", "_attachments")}
        self._text = json.dumps(kept, ensure_ascii=False)
        known = {form for field in fields(Identity) for form in _forms(field.name, getattr(PLACEHOLDER, field.name))}
        self._pattern = re.compile("|".join(sorted(map(re.escape, known), key=len, reverse=True)))

    def document(self, identity: Identity) -> str:
        """Return the document of another instance, as JSON."""
        values = {}
        for field in fields(Identity):
            old, new = getattr(PLACEHOLDER, field.name), getattr(identity, field.name)
            values.update({old.lower(): new.lower(), old: new})
            if field.name == "name":
                values[old.replace("^", " ").lower()] = new.replace("^", " ").lower()
            if field.name == "date":
                values[f"{old[:4]}-{old[4:6]}-{old[6:]}"] = f"{new[:4]}-{new[4:6]}-{new[6:]}"
        return self._pattern.sub(lambda found: values[found[0]], self._text)


def store_placeholder(root: str, couch: str, template: Template) -> dict[str, Stamp]:
    """Store the placeholder instance through a DICOMweb server and take the documents it wrote.

    Parameters
    ----------
    root : str
        URL of the DICOMweb root.
    couch : str
        URL of the server's database.

    Returns
    -------
    dict of str to Stamp
        ``study``, ``series`` and ``instance``.
    """
    fetch(root, store_request([template.file(PLACEHOLDER)]))
    study, series, instance = PLACEHOLDER.study, PLACEHOLDER.series, PLACEHOLDER.instance
    ids = {"study": f"{study}:study", "series": f"{study}:{series}", "instance": f"{study}:{series}:{instance}"}
    return {kind: Stamp(json.loads(fetch(couch, Request("GET", f"/{id_}"))[1])) for kind, id_ in ids.items()}


def with_second_series(document: str, identity: Identity, second: str) -> str:
    """Return a study's document that names both its series."""
    study = json.loads(document)
    study["series"] = {identity.series: study["series"][identity.series], second: study["series"][identity.series]}
    return json.dumps(study, ensure_ascii=False)


def documents(stamps: dict[str, Stamp], run: int, studies: Iterable[int]) -> Iterator[str]:
    """Yield the documents of studies: one header each, one a series, and their instances."""
    for study in studies:
        first = identity(run, study)
        yield with_second_series(stamps["study"].document(first), first, identity(run, study, 2).series)
        for series in range(1, SERIES + 1):
            yield stamps["series"].document(identity(run, study, series))
            for instance in range(1, INSTANCES + 1):
                yield stamps["instance"].document(identity(run, study, series, instance))


def load(
    database: str, texts: Iterable[str], progress: Callable[[int], object], batch: int = 500, *, again: bool = False
) -> None:
    """Write documents into a database without design documents, many a request.

    Parameters
    ----------
    progress : callable
        Called with the number of documents of each request.
    again : bool
        Whether some may be there already.
    """
    connection = Connection(database)
    try:
        waiting: list[str] = []
        for text in texts:
            waiting.append(text)
            if len(waiting) == batch:
                _send(connection, waiting, again)
                progress(len(waiting))
                waiting = []
        if waiting:
            _send(connection, waiting, again)
            progress(len(waiting))
    finally:
        connection.close()


def _send(connection: Connection, texts: list[str], again: bool) -> None:
    body = ('{"docs":[' + ",".join(texts) + "]}").encode()
    verified(connection, Request("POST", "/_bulk_docs", JSON_TYPE, body, check=partial(refused, again)))


def refused(again: bool, content: bytes) -> str:
    allowed = content.count(b'"error":"conflict"') if again else 0
    return "some documents were refused" if content.count(b'"error"') > allowed else ""


def files(template: Template, run: int, studies: Iterable[int]) -> Iterator[bytes]:
    """Yield the Part 10 files of the same archive."""
    pixels = bytes(template.pixels)
    for study in studies:
        for series in range(1, SERIES + 1):
            for instance in range(1, INSTANCES + 1):
                yield template.file(identity(run, study, series, instance), pixels)
