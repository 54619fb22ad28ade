"""Mutated files: a result, `Unreadable` or `MissingIdentifier`, and nothing else; ranges always lie within the file."""

import struct

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dicouch.dicom.part10 import MissingIdentifier, Part10, Part10Error, Unreadable
from dicouch.dicom.uids import series_uid_problem, uid_problem
from tests.conftest import share
from tests.unit.made_part10 import (
    BIG,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    JPEG,
    SEQUENCE_END,
    UNDEFINED,
    deflate,
    element,
    encapsulated,
    image,
    item,
    made,
    meta,
    read,
    sequence,
)

CODE = item(element(0x00080100, "SH", "T-1"), element(0x00091001, "UN", "private"))
RICH = [
    element(0x00080005, "CS", "ISO_IR 100\\ISO 2022 IR 87"),
    element(0x00100010, "PN", b"M\xfcller^\x1b$B;3ED\x1b(B"),
    sequence(0x00082218, CODE, item(undefined=True), undefined=True),
    sequence(0x00081140, item(sequence(0x0040A170, CODE), element(0x00280030, "DS", "1\\2"))),
    element(0x00091002, "UN", CODE + SEQUENCE_END, length=UNDEFINED),
    element(0x00186024, "SL", struct.pack("<i", -3)),
    element(0x00281101, "SS", struct.pack("<3h", -1, 0, 16)),
    element(0x00189087, "FD", struct.pack("<2d", 0.1, float("nan"))),
]
TABLE = struct.pack("<2I", 0, 18)
SEEDS = [
    made(*RICH, *image(frames="2"), element(0x7FE00010, "OW", bytes(range(16)))),
    made(*RICH[:4], encapsulated(b"\xff\xd8\xff\xe0AAAA\xff\xd9", b"\xff\xd8", b"\xff\xd9", table=TABLE), syntax=JPEG),
    made(
        element(0x00280106, None, b"\1\0"),
        sequence(0x00081140, item(element(0x00081155, None, "1.2\0")), vr=None),
        syntax=IMPLICIT,
    ),
    made(
        element(0x00280010, "US", b"\0\1", order=">"),
        element(0x00100010, "PN", "Doe", order=">"),
        syntax=BIG,
        order=">",
    ),
    deflate(made(*RICH, syntax=DEFLATED)),
]
INTERESTING = st.sampled_from(
    [b"\0", b"\xff", b"\xff\xff\xff\xff", b"\xfe\xff\xff\xff", b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"]
)
MUTATION = st.tuples(
    st.integers(0, 2000),
    st.one_of(INTERESTING, st.binary(max_size=8), st.sampled_from([b"SQ", b"UN", b"OB", b"DS", b"AT", b"ZZ", b"\1\1"])),
    st.sampled_from(["replace", "insert", "delete", "cut"]),
)


def mutate(content: bytes, mutations: list[tuple[int, bytes, str]]) -> bytes:
    for position, piece, how in mutations:
        position %= len(content) + 1
        if how == "replace":
            content = content[:position] + piece + content[position + len(piece) :]
        elif how == "insert":
            content = content[:position] + piece + content[position:]
        elif how == "delete":
            content = content[:position] + content[position + len(piece) :]
        else:
            content = content[:position]
    return content


def outcome(content: bytes) -> Part10 | Part10Error:
    try:
        return read(content)
    except (Unreadable, MissingIdentifier) as error:
        return error


def check(content: bytes) -> None:
    result = outcome(content)
    if isinstance(result, Part10Error):
        assert result.reason
        assert 0 < result.failure_reason < 0x10000
        return
    assert uid_problem(result.study_uid) is None
    assert series_uid_problem(result.series_uid) is None
    assert uid_problem(result.sop_instance_uid) is None
    assert uid_problem(result.transfer_syntax) is None
    orjson.dumps({"dataset": result.dataset, "warnings": result.warnings})
    assert list(result.dataset) == sorted(result.dataset)
    if result.deflated:
        return
    for place in result.bulk.values():
        assert place["offset"] >= 0
        assert place["length"] >= 0
        assert place["offset"] + place["length"] <= len(content)
    frames = result.frames
    if frames and "length" in frames:
        assert frames["offset"] + frames["count"] * frames["length"] <= len(content)
    elif frames and "bits" in frames:
        assert frames["offset"] * 8 + frames["count"] * frames["bits"] <= len(content) * 8
    elif frames:
        assert frames["count"] == len(frames["fragments"])
        for ranges in frames["fragments"]:
            assert all(o + n <= len(content) for o, n in zip(ranges[::2], ranges[1::2], strict=True))


@pytest.mark.parametrize("seed", SEEDS)
def test_seeds_are_good(seed: bytes) -> None:
    assert read(seed).study_uid == "1.2.3"


@settings(max_examples=share(700), deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(st.sampled_from(SEEDS), st.lists(MUTATION, min_size=1, max_size=6))
def test_mutated_files(seed: bytes, mutations: list[tuple[int, bytes, str]]) -> None:
    check(mutate(seed, mutations))


@settings(max_examples=share(250), deadline=None, derandomize=True)
@given(st.sampled_from([EXPLICIT, IMPLICIT, BIG, DEFLATED, JPEG]), st.binary(max_size=300))
@example(EXPLICIT, bytes.fromhex("0800053043530100"))
def test_random_data_sets(syntax: str, content: bytes) -> None:
    check(meta(syntax) + content)
    check(made(syntax=EXPLICIT) + content)


def test_every_truncation() -> None:
    for seed in SEEDS:
        for length in range(len(seed)):
            check(seed[:length])
