"""Files that break the standard or come near its limits, each of a study of its own; made byte by byte."""

from __future__ import annotations

import secrets
import struct
from collections.abc import Iterator

from tests.unit.made_part10 import (
    BIG,
    DEFLATED,
    IMPLICIT,
    ITEM_END,
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
    sequence,
)

ROOT = "1.2.826.0.1.3680043.8.498.77"
NAME, PATIENT_ID, STUDY_DATE, REFERENCED = 0x00100010, 0x00100020, 0x00080020, 0x00081140


def uids(number: int) -> dict[str, str]:
    """Return the three UIDs of a file of its own."""
    study = f"{ROOT}.{number}"
    return {"study": study, "series": f"{study}.1", "instance": f"{study}.1.1"}


def proper(*elements: bytes, **known: str) -> bytes:
    """Return a file that breaks no rule, whose UIDs nobody else has unless they are given."""
    known = uids(secrets.randbelow(10**12)) | known
    content = made(*elements, **known)
    old, new = element(0x00020003, "UI", "1.2.3.4.5"), element(0x00020003, "UI", known["instance"])
    start = content.index(old)
    length = int.from_bytes(content[140:144], "little") + len(new) - len(old)
    return content[:140] + struct.pack("<I", length) + content[144:start] + new + content[start + len(old) :]


def nested(levels: int, undefined: bool = True) -> bytes:
    """Encode sequences within sequences."""
    if undefined:
        head = struct.pack("<HH2sHI", 8, 0x1140, b"SQ", 0, UNDEFINED) + struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED)
        return head * levels + (ITEM_END + SEQUENCE_END) * levels
    content = b""
    for _ in range(levels):
        content = sequence(REFERENCED, item(content))
    return content


def readable(number: int = 0) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of files of which the three UIDs can be read."""

    def one(*elements: bytes, **options) -> bytes:
        nonlocal number
        number += 1
        return made(*elements, **uids(number), **options)

    yield "without preamble", one()[132:]
    yield "without meta group", one()[len(meta()) :]
    yield "implicit", one(element(NAME, None, "Doe"), syntax=IMPLICIT)
    yield "big endian", one(element(NAME, "PN", "Doe", order=">"), syntax=BIG, order=">")
    yield "deflated", deflate(one(element(NAME, "PN", "Doe"), syntax=DEFLATED))
    yield "deflated, cut off", deflate(one(element(0x00400275, "UN", bytes(range(256)) * 9), syntax=DEFLATED))[:-200]
    yield (
        "undefined lengths",
        one(sequence(REFERENCED, item(element(0x00081150, "UI", "1.2"), undefined=True), undefined=True)),
    )
    yield "odd lengths", one(element(NAME, "PN", "Doe", pad=False), element(PATIENT_ID, "LO", "123", pad=False))
    yield (
        "private",
        one(element(0x00090010, "LO", "ACME"), element(0x00091001, "UN", b"\0\1\2"), element(0x00091103, "LO", "x")),
    )
    yield (
        "wrong VRs",
        one(element(NAME, "US", b"ab"), element(STUDY_DATE, "FD", bytes(8)), element(PATIENT_ID, "SQ", b"")),
    )
    yield (
        "a date that is a sequence",
        one(sequence(STUDY_DATE, item(element(0x00081150, "UI", "1.2"))), sequence(NAME, item())),
    )
    yield (
        "UN everywhere",
        one(*(element(tag, "UN", b"ab") for tag in (0x00080060, STUDY_DATE, NAME, PATIENT_ID, 0x00200011))),
    )
    yield "nested 50 deep", one(nested(50))
    yield "nested 60 deep, lengths defined", one(nested(60, undefined=False))
    yield "cut off in pixel data", one(*image(64, 64), element(0x7FE00010, "OW", bytes(100), length=8192))
    yield "cut off in a sequence", one(element(0x00400275, "SQ", b"\xfe\xff\x00\xe0", length=500))
    yield "pixel data without description", one(element(0x7FE00010, "OW", bytes(64)))
    yield "compressed without fragments", one(*image(), encapsulated(), syntax=JPEG)
    yield "many frames, few fragments", one(*image(frames="500"), encapsulated(b"ab", b"cd"), syntax=JPEG)
    yield "frames that are no number", one(*image(frames="many"), element(0x7FE00010, "OW", bytes(8)))
    yield "no pixels", one(*image(0, 0), element(0x7FE00010, "OW", b""))
    yield (
        "text with control characters",
        one(element(NAME, "PN", b"a\0b\x01\x1b$Bc\xff^\r\n"), element(PATIENT_ID, "LO", b"\x7f\x80\x9f")),
    )
    yield (
        "text that is no UTF-8",
        one(element(0x00080005, "CS", "ISO_IR 192"), element(NAME, "PN", b"\xc3\x28\xed\xa0\x80")),
    )
    yield (
        "text beyond the basic plane",
        one(element(0x00080005, "CS", "ISO_IR 192"), element(NAME, "PN", "𝔇𝔬𝔢^😀=山田")),
    )
    yield "line separators", one(element(0x00080005, "CS", "ISO_IR 192"), element(NAME, "PN", "a\u2028b\u2029c\ufffe"))
    yield (
        "unknown character set",
        one(element(0x00080005, "CS", "ISO_IR 999\\none"), element(NAME, "PN", b"\xe4\xf6\xfc")),
    )
    yield (
        "markup in text",
        one(element(NAME, "PN", "<script>&amp;]]>\"'"), element(PATIENT_ID, "LO", "--x\r\nSet-Cookie: a")),
    )
    yield "a long name", one(element(NAME, "PN", "x" * 60_000), element(PATIENT_ID, "LO", "9" * 60_000))
    yield "many values", one(element(NAME, "PN", "\\".join(["a=b=c"] * 5000)), element(0x00080060, "CS", "\\" * 500))
    yield (
        "numbers that are none",
        one(
            element(0x00200013, "IS", "one"),
            element(0x00200011, "IS", "1e5\\"),
            element(0x00189087, "FD", struct.pack("<3d", float("nan"), float("inf"), -0.0)),
        ),
    )
    yield "large numbers", one(element(0x00200013, "IS", "9" * 30), element(0x00280030, "DS", "1e999\\-1e-999"))
    yield "impossible dates", one(element(STUDY_DATE, "DA", "20209999"), element(0x00080030, "TM", "999999.9999999"))
    yield "date range", one(element(STUDY_DATE, "DA", "20200101-20201231"), element(0x00080020, "DA", "2020\\2021"))
    yield "names of JavaScript", one(element(PATIENT_ID, "LO", "__proto__"), element(0x00080060, "CS", "constructor"))
    yield "50,000 empty items", one(sequence(REFERENCED, item() * 50_000))
    yield "50,000 empty elements, all the same", one() + element(0x00200010, "SH", "") * 50_000
    yield "no SOP class", one(element(0x00080016, "UI", ""))
    yield (
        "the longest UIDs",
        made(study=f"{ROOT}.".ljust(64, "1"), series=f"{ROOT}.".ljust(64, "2"), instance=f"{ROOT}.".ljust(64, "3")),
    )
    yield (
        "a JSON of more than 4 MB",
        one(
            sequence(
                0x52009230,
                *(
                    item(element(0x00209057, "UL", struct.pack("<I", n)), element(0x00204000, "LT", "z" * 90))
                    for n in range(30_000)
                ),
            )
        ),
    )
    yield (
        "a JSON of more than 8 MB",
        one(
            sequence(
                0x52009230,
                *(
                    item(element(0x00209057, "UL", struct.pack("<I", n)), element(0x00204000, "LT", "z" * 190))
                    for n in range(50_000)
                ),
            )
        ),
    )


HOSTILE = {
    "nested 10,000 deep": made(nested(10_000), **uids(901)),
    "nested 2,000 deep, lengths defined": made(nested(2_000, undefined=False), **uids(902)),
    "no DICOM": b"GIF89a" + bytes(500),
    "nothing": b"",
}
"""Files that are refused, in bounded time and memory."""

LENGTHS = {
    "length 2^32-1": made(element(0x00291001, "UN", b"abcd", length=0xFFFFFFFE), **uids(911)),
    "item of 2^32-2": made(sequence(REFERENCED, item(length=0xFFFFFFFE)), **uids(912)),
    "fragment of 2^32-2": made(*image(), encapsulated(b"")[:-16] + item(length=0xFFFFFFFE), syntax=JPEG, **uids(913)),
    "pixel data of 2^32-2": made(*image(), element(0x7FE00010, "OW", b"abcd", length=0xFFFFFFFE), **uids(914)),
}
"""Lengths beyond the file: what precedes them is read."""
