"""Mutated Part 10 files and multipart bodies, as many as asked for: no error but the known ones, no hang, no growth.

    python -m tests.fuzz --cases 1000000 --seconds 600 --processes 2

Files are pydicom's own below 20 KB and those of `tests.unit.test_part10_fuzz`. Each mutated file is read and, when it
can be, made an instance document; every third case is a multipart body instead, in pieces of random sizes.
"""

from __future__ import annotations

import argparse
import io
import random
import struct
import sys
import time
import traceback
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import orjson
import psutil
import pydicom.data

from dicouch.dicom.part10 import Part10Error, read_part10
from dicouch.write.document import make_document
from tests.unit.test_multipart import body_of
from tests.unit.test_multipart import read as read_multipart
from tests.unit.test_part10_fuzz import SEEDS, check

FILES = Path(pydicom.data.__file__).parent / "test_files"
LARGEST = 20_000
SLOW = 5.0
PIECES = [b"\0", b"\xff" * 4, b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0", b"\xfe\xff\x0d\xe0", b"SQ", b"UN", b"OB", b"AT"]
DELIMITERS = [b"\r\n--abc", b"--abc--", b"\r\n", b"--", b"\r\n\r\n", b"Content-Type:", b" \t", b"\n"]


@dataclass
class Told:
    """What a process has seen: cases, files read, seconds of the slowest, bytes it grew, and what went wrong."""

    cases: int = 0
    read: int = 0
    slowest: float = 0.0
    growth: int = 0
    wrong: str = ""


def mutate(random_: random.Random, content: bytes, pieces: list[bytes]) -> bytes:
    """Change, insert, remove, repeat or cut off bytes in a few places."""
    data = bytearray(content)
    for _time in range(random_.randint(1, 6)):
        place, length = random_.randint(0, len(data)), random_.choice([1, 2, 4, 8, 64])
        number = struct.pack("<I", 1 << random_.randrange(32))
        piece = random_.choice([random_.choice(pieces), random_.randbytes(length), number])
        kind = random_.randrange(6)
        if kind == 0:
            data[place : place + len(piece)] = piece
        elif kind == 1:
            data[place:place] = piece
        elif kind == 2:
            del data[place : place + length]
        elif kind == 3:
            data[place:place] = data[max(0, place - 64) : place] * random_.randint(1, 4)
        elif kind == 4 and place < len(data):
            data[place] ^= 1 << random_.randrange(8)
        elif random_.random() < 0.3:
            del data[place:]
    return bytes(data)


def one(random_: random.Random, seeds: list[bytes], number: int) -> bool:
    """Run one case; return whether its file could be read."""
    if number % 3 == 0:
        parts = [random_.choice(seeds)[:2000] for _part in range(random_.randint(0, 4))]
        body = mutate(random_, body_of(*parts), DELIMITERS)
        read_multipart(body, sizes=[random_.choice([1, 7, 64, 1000, 1 << 16]) for _piece in range(50)])
        return False
    content = mutate(random_, random_.choice(seeds), PIECES)
    check(content)
    try:
        read = read_part10(io.BytesIO(content), len(content))
    except Part10Error:
        return False
    orjson.dumps(make_document(read, len(content), ""))
    return True


def run(seed: int, cases: int, seconds: float) -> Told:
    """Run cases until there were enough, or for so long."""
    warnings.simplefilter("ignore")
    random_, told, process = random.Random(seed), Told(), psutil.Process()
    files = sorted(path for path in FILES.rglob("*") if path.is_file() and path.stat().st_size < LARGEST)
    seeds = [path.read_bytes() for path in files] + SEEDS
    deadline, before = time.monotonic() + seconds, 0
    while told.cases < cases and time.monotonic() < deadline:
        if told.cases == min(1000, cases // 2):
            before = process.memory_info().rss  # caches are filled by then
        started = time.perf_counter()
        try:
            told.read += one(random_, seeds, told.cases)
        except Exception:  # noqa: BLE001 - whatever it is, it is a finding
            told.wrong = f"seed {seed}, case {told.cases}:\n{traceback.format_exc()}"
            break
        told.cases += 1
        told.slowest = max(told.slowest, time.perf_counter() - started)
    told.growth = process.memory_info().rss - before
    return told


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 when nothing went wrong."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    each = -(-options.cases // options.processes)
    with ProcessPoolExecutor(options.processes) as pool:
        running = [pool.submit(run, options.seed + n, each, options.seconds) for n in range(options.processes)]
        told = [one.result() for one in running]
    cases, read = sum(one.cases for one in told), sum(one.read for one in told)
    slowest, growth = max(one.slowest for one in told), max(one.growth for one in told)
    print(f"{cases} cases, {read} mutated files still read, slowest {slowest:.2f} s, grew by {growth / 1e6:.1f} MB")
    for one in told:
        if one.wrong:
            print(one.wrong, file=sys.stderr)
    return 1 if any(one.wrong for one in told) or slowest > SLOW else 0


if __name__ == "__main__":
    sys.exit(main())
