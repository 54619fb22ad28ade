"""The answer to a store request: comments that fit, and the status (PS3.18 10.5.3)."""

from __future__ import annotations

import re

import pytest

from dicouch.dicom.errors import CANNOT_UNDERSTAND
from dicouch.errors import shortened
from dicouch.write.answer import response_dataset, status_of
from dicouch.write.outcome import OUT_OF_RESOURCES, Outcome

UID = "1.2.840.113619.2.55.3.604688119.971.1234567890.123"
LONGEST = "2.25." + "7" * 59


@pytest.mark.parametrize(
    "text",
    [
        f"SOP Instance UID {UID} of the File Meta Information is not {LONGEST}",
        f"the study UID {LONGEST!r} holds what no UID has",
        f"not stored: 409 conflict: {LONGEST}:{LONGEST}:{LONGEST} was written",
        f"{LONGEST} {LONGEST}",
        f"{UID}, {UID}",
        "short",
        "",
        "x" * 64,
        "word-" * 30,
    ],
)
def test_a_comment_has_whole_uids_or_none(text):
    found = shortened(text, 64)
    assert len(found) <= 64
    whole = set(re.findall(r"[0-9.]{9,}", text))
    assert set(re.findall(r"[0-9.]{9,}", found.removesuffix("..."))) <= whole
    if len(text) <= 64:
        assert found == text
    outcome = Outcome("1.2", "1.3", "1.4", comment=text, failure=0x0110)
    (item,) = response_dataset([outcome], None, "http://h")["00081198"]["Value"]
    assert item.get("00000902", {"Value": [""]})["Value"] == [found]


def test_a_comment_has_no_backslash():
    """In LO it separates values (PS3.5 6.2)."""
    outcome = Outcome("1.2", "1.3", "1.4", comment="DERIVED\\PRIMARY", failure=0x0110)
    (item,) = response_dataset([outcome], None, "http://h")["00081198"]["Value"]
    assert item["00000902"]["Value"] == ["DERIVED/PRIMARY"]


def test_statuses():
    stored, nothing = Outcome("1.2", "1.3", "1.4"), Outcome(failure=CANNOT_UNDERSTAND)
    known = Outcome("1.2", "1.3", "1.4", failure=CANNOT_UNDERSTAND)
    full = Outcome(failure=OUT_OF_RESOURCES)
    assert status_of([nothing]) == status_of([nothing, nothing]) == 400
    assert status_of([known]) == status_of([known, nothing]) == 409
    assert (status_of([stored]), status_of([stored, nothing]), status_of([full])) == (200, 202, 503)
