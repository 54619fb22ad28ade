"""Which UIDs can name a resource (PS3.5 9.1, RFC 3986 3.3)."""

import pytest

from dicouch.dicom.uids import series_uid_problem, uid_problem


@pytest.mark.parametrize(
    "uid",
    [
        "1.2.840.10008.5.1.4.1.1.2",
        "1",
        "1.2.3.",
        "1..2",
        "1.02.3",
        "2.25.329800735698586629295641978511506172918",
        "1.3.6.1.4.1.5962.1.1.0.0.0.A-b_c",
        "study",
        "9" * 64,
        "a+b",
    ],
)
def test_kept_as_the_files_bring_them(uid: str) -> None:
    assert uid_problem(uid) is None


@pytest.mark.parametrize(
    ("uid", "reason"),
    [
        ("", "is empty"),
        ("1" * 65, "has 65 characters, more than 64"),
        ("1" * 10_000, "has 10000 characters, more than 64"),
        ("1/2", "contains '/'"),
        ("1\\2", "contains '\\\\'"),
        ("1:2", "contains ':'"),
        ("1?2", "contains '?'"),
        ("1#2", "contains '#'"),
        ("1%2F", "contains '%'"),
        ('1"2', "contains '\"'"),
        ("1 2", "contains white space"),
        (" 1.2", "contains white space"),
        ("1.2\n", "contains white space"),
        ("1\x002", "contains the control character U+0000"),
        ("1\x7f", "contains the control character U+007F"),
        ("1.é", "contains the non-ASCII character U+00E9"),
        ("１.2", "contains the non-ASCII character U+FF11"),
        ("1.2\u202e", "contains the control character U+202E"),
        (".", "is a relative path"),
        ("..", "is a relative path"),
        ("_design", "starts with '_'"),
        ("_design/x", "contains '/'"),
        ("count", "is the reserved word 'count'"),
    ],
)
def test_refused_with_a_reason(uid: str, reason: str) -> None:
    assert uid_problem(uid) == reason
    assert series_uid_problem(uid) == reason


def test_a_series_cannot_take_the_id_of_the_study_document() -> None:
    assert series_uid_problem("study") == "is the reserved word 'study'"
    assert series_uid_problem("study.1") is None
