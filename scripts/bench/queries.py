"""The kinds of search that are measured, each with what it must find in an archive of `bench.made`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from dicouch.scripts.bench.client import Request
from dicouch.scripts.bench.made import INSTANCES, MODALITIES, PAGE, SERIES, family, identity

JSON = {"Accept": "application/dicom+json"}


@dataclass(frozen=True)
class Kind:
    """A kind of search.

    Attributes
    ----------
    name : str
    path : callable
        Takes the number of the archive's run and a study; returns the path.
    rows : callable or None
        Takes the number of studies of the archive and a study; returns how many rows the answer has.
    paged : bool
        Whether it gives a page of whatever there is: more rows, up to `PAGE`, when another client has stored meanwhile.
    scans : bool
        Whether it looks at every study, so that its cost grows with the archive.
    """

    name: str
    path: Callable[[int, int], str]
    rows: Callable[[int, int], int] | None
    paged: bool = False
    scans: bool = False

    def request(self, run: int, study: int, studies: int) -> Request:
        """Return the request, which checks the number of rows."""
        expected = self.rows(studies, study) if self.rows else None

        def check(content: bytes) -> str:
            found = len(json.loads(content)) if content else 0
            if expected is None or found == expected or (self.paged and expected < found <= PAGE):
                return ""
            return f"{found} rows, not {expected}"

        return Request("GET", self.path(run, study), JSON, check=check)


def _date(run: int, study: int) -> str:
    day = identity(run, study).date
    return f"/studies?StudyDate={day}-{day}"


def _name(run: int, study: int) -> str:
    return f"/studies?PatientName={family(study // PAGE)[:8]}*"


def _modality(run: int, study: int) -> str:
    return f"/studies?ModalitiesInStudy={identity(run, study).modality}&limit={PAGE}"


def _series(run: int, study: int) -> str:
    return f"/studies/{identity(run, study).study}/series"


def _instances(run: int, study: int) -> str:
    return f"/studies/{identity(run, study).study}/series/{identity(run, study).series}/instances"


# Each asks for another text or range: the answer of one that was asked before is remembered.
def _contained(run: int, study: int) -> str:
    return f"/studies?PatientName={quote(f'*{family(study // PAGE)[1:8]}*')}"


def _page_of_contained(run: int, study: int) -> str:
    until = f"{2000 + study % 100}{study // 100 % 12 + 1:02d}28"
    return f"/studies?PatientName={quote('*SMITH*')}&StudyDate=-{until}&limit={PAGE}"


def _nobody(run: int, study: int) -> str:
    # Of which no piece was asked for before: that one is nowhere is remembered.
    letters = "".join(chr(ord("A") + study // 26**power % 26) for power in (2, 1, 0))
    return f"/studies?PatientName={quote(f'*{family(study // PAGE)[1:5]}Q{letters}7{study % PAGE:02d}*')}"


def _two_characters(run: int, study: int) -> str:
    return f"/studies?PatientName={quote(f'*{study % 10}Q*')}"


def _one(studies: int, study: int) -> int:
    return 1


def _group(studies: int, study: int) -> int:
    return min(PAGE, studies - study // PAGE * PAGE)


def _same_modality(studies: int, study: int) -> int:
    return min(PAGE, len(range(study % len(MODALITIES), studies, len(MODALITIES))))


KINDS = (
    Kind("first page of 25", lambda run, study: f"/studies?limit={PAGE}", lambda n, _: min(PAGE, n), paged=True),
    Kind("PatientID", lambda run, study: f"/studies?PatientID={identity(run, study).patient_id}", _one),
    Kind("AccessionNumber", lambda run, study: f"/studies?AccessionNumber={identity(run, study).accession}", _one),
    Kind("StudyInstanceUID", lambda run, study: f"/studies?StudyInstanceUID={identity(run, study).study}", _one),
    Kind("date range giving 25", _date, _group),
    Kind("name prefix giving 25", _name, _group),
    Kind("ModalitiesInStudy, page of 25", _modality, _same_modality, paged=True),
    Kind("series of a study", _series, lambda studies, study: SERIES),
    Kind("instances of a series", _instances, lambda studies, study: INSTANCES),
    Kind("StudyInstanceUID, asked before", lambda run, _: f"/studies?StudyInstanceUID={identity(run, 0).study}", _one),
    Kind("series of a study, asked before", lambda run, _: _series(run, 0), lambda studies, study: SERIES),
    Kind("contained name giving 25", _contained, _group),
    Kind("contained name, page of 25", _page_of_contained, None),
    Kind("contained name that nobody has", _nobody, lambda *_: 0),
    Kind("two characters that nobody has", _two_characters, lambda *_: 0, scans=True),
)
"""In the order of the table."""
