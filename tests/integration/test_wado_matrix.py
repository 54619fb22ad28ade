"""Every file of pydicom and pydicom-data, frame by frame and transfer syntax by transfer syntax, beside pydicom's own.

Each comes back bit for bit, too (PS3.18 10.4, 10.5). Prints a table of what was compared:
``pytest -s tests/integration/test_wado_matrix.py`` shows it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import requests
from pydicom import Dataset, dcmread
from pydicom.encaps import generate_frames
from pydicom.uid import UID

from tests.files import identifiers, is_sent_as, real_files
from tests.integration.gallery import parts_of
from tests.integration.test_wado_frames import native
from tests.made_objects import pixels_of

OCTETS = 'multipart/related; type="application/octet-stream"'
EXPLICIT, RLE = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5"
LOSSLESS = {
    "explicit": EXPLICIT,
    "RLE": RLE,
    "JPEG-LS": "1.2.840.10008.1.2.4.80",
    "JPEG 2000": "1.2.840.10008.1.2.4.90",
}
# Files of more frames are not transcoded here.
MOST = 5


def number_of_frames(dataset: Dataset) -> int:
    """Return the count of frames, 1 where the file does not say one."""
    try:
        return int(dataset.get("NumberOfFrames", 1) or 1)
    except ValueError:  # badVR.dcm: "1A"
        return 1


def stored_frames(dataset: Dataset, count: int) -> list[bytes] | None:
    """Return frames as the file holds them, None when pydicom cannot tell them apart."""
    try:
        found = list(generate_frames(dataset.PixelData, number_of_frames=count))
    except ValueError:
        return None
    return found if len(found) == count else None


def decoded_frames(dataset: Dataset) -> tuple[list[bytes] | None, str]:
    """Return all frames by pydicom, or why there are none; native ones as they are in the file, whatever their colours.

    pydicom would make RGB of YBR_FULL, and clear bits that are not stored.
    """
    try:
        frames = native(dataset)
        syntax = dataset.file_meta.TransferSyntaxUID if "file_meta" in dataset.__dict__ else UID(EXPLICIT)
        if not syntax.is_encapsulated and syntax.is_little_endian and dataset.BitsAllocated > 1:
            raw, size = dataset.get("PixelData", b""), len(frames[0])
            frames = [raw[i * size : (i + 1) * size] for i in range(len(frames))] if raw else frames
        return frames, ""
    except Exception as problem:  # noqa: BLE001 - what pydicom cannot decode is told, and the server has to refuse it, too
        return None, type(problem).__name__


@cache
def opened(path: Path) -> Dataset:
    """Return a file's data set, read once for all databases."""
    return dcmread(BytesIO(real_files()[path]), force=True)


@cache
def expected_frames(path: Path) -> tuple[list[bytes] | None, str]:
    """Return digests of the frames that `decoded_frames` gives, which takes long."""
    frames, reason = decoded_frames(opened(path))
    return frames and digests(frames), reason


@cache
def expected_pixels(path: Path) -> np.ndarray:
    """Return what pydicom makes of a file, once for all transfer syntaxes."""
    return pixels_of(opened(path))


def digests(frames: list[bytes]) -> list[bytes]:
    """Return what tells frames apart, small enough to be kept."""
    return [sha256(frame).digest() for frame in frames]


def targets(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the transfer syntaxes that a file is sent in: native, and one of the others in turn."""
    turn = sorted(real_files()).index(path)
    for number, (name, target) in enumerate(LOSSLESS.items()):
        if number in (0, 1 + turn % (len(LOSSLESS) - 1)):
            yield name, target


def stored(server, path: Path, data: bytes) -> str:
    """Store a file and have it back bit for bit; return its resource, nothing when it was refused."""
    answer = server.store(data)
    taken = answer.json().get("00081199", {}).get("Value", [])
    assert len(taken) == 1 or not identifiers(path), (path, answer.text)
    if not taken:
        return ""
    (url,) = taken[0]["00081190"]["Value"]
    as_stored = requests.get(url, headers={"Accept": "application/dicom; transfer-syntax=*"}, timeout=60)
    assert is_sent_as(as_stored.content, data), path
    return url


@pytest.mark.one_database("couchdb")
def test_the_matrix(server, database, capsys):
    table: dict[str, Counter] = defaultdict(Counter)
    differing, refused = [], defaultdict(list)
    for path, data in real_files().items():
        url = stored(server, path, data)
        if not url or not identifiers(path):
            continue
        dataset = opened(path)
        meta = getattr(dataset, "file_meta", Dataset())
        syntax = UID(meta.get("TransferSyntaxUID", "") or "1.2.840.10008.1.2")
        row = table[syntax.name]
        row["files"] += 1
        keyword = next((k for k in ("PixelData", "FloatPixelData", "DoubleFloatPixelData") if k in dataset), None)
        if keyword is None:
            row["without pixels"] += 1
            continue
        row["images"] += 1
        # Decoding reads through the same interface on every database: once is enough.
        decodes = database.name.startswith("Embedded")
        count = number_of_frames(dataset)
        listed = url + "/frames/" + ",".join(map(str, range(1, count + 1)))
        if syntax.is_encapsulated:
            whole = stored_frames(dataset, count)
            kept = requests.get(listed, headers={"Accept": "*/*"}, timeout=120)
            if whole and kept.status_code == 200:
                bodies = [body.rstrip(b"\0") for _kind, body, _location in parts_of(kept)]
                row["stored frames"] += len(bodies)
                if bodies != [frame.rstrip(b"\0") for frame in whole]:
                    differing.append((path.name, "as stored"))
            if not decodes:
                continue
        expected, reason = expected_frames(path)
        response = requests.get(listed, headers={"Accept": OCTETS}, timeout=120)
        if expected is None or response.status_code != 200:
            row["undecodable"] += 1
            refused[syntax.name].append(f"{path.name}: pydicom {reason or 'decodes it'}, here {response.status_code}")
            if expected is not None:
                differing.append((path.name, f"{response.status_code} {response.text[:200]}"))
            assert response.status_code in (200, 404, 406), (path, response.text)
            continue
        bodies = [body for _kind, body, _location in parts_of(response)]
        row["decoded frames"] += len(bodies)
        if digests(bodies) != expected:
            differing.append((path.name, "decoded"))
        if count <= MOST and decodes:
            for name, target in targets(path):
                told = transcoded(url, target, path)
                row[f"{name} {told}"] += 1
                if told == "differs":
                    differing.append((path.name, name))
    lines = [f"files of pydicom and pydicom-data on {database.name}:"]
    for name, row in sorted(table.items()):
        lines.append(f"  {name}: " + ", ".join(f"{value} {key}" for key, value in row.items()))
        lines += [f"    {one}" for one in refused[name]]
    with capsys.disabled():
        print("\n" + "\n".join(lines))
    assert not differing
    assert sum(row["images"] for row in table.values()) > 100


def transcoded(url: str, target: str, path: Path) -> str:
    """Ask for a file in another transfer syntax; return whether its pixels are equal, or that it cannot be had."""
    response = requests.get(url, headers={"Accept": f"application/dicom; transfer-syntax={target}"}, timeout=120)
    if response.status_code == 406:
        assert response.json()["reason"]
        return "refused"
    assert response.status_code == 200, response.text
    made = dcmread(BytesIO(response.content))
    if target == opened(path).get("file_meta", Dataset()).get("TransferSyntaxUID"):
        return "as stored"
    assert made.file_meta.TransferSyntaxUID == target
    return "equal" if np.array_equal(pixels_of(made), expected_pixels(path)) else "differs"
