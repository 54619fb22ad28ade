"""Mutated store requests through a running server: always an answer and never 5xx, nothing acknowledged is lost.

    python -m tests.fuzz_http --url http://127.0.0.1:5985/dicom-web --pid 4711 --cases 5000 --seconds 600

A case is one store request: mutated Part 10 files, a mutated multipart body, mutated metadata with bulk data, an odd
Content-Type, a body that breaks off, or chunks that are none. What is answered as stored is retrieved at once (bit for
bit one of the files that were sent, but for what the server mends) and asked for metadata, a frame and a rendering; at
the end all of it is retrieved and listed again.
`--pid` is that of gunicorn's master: what its workers hold (memory, open files and sockets) is told as the run goes
on, and must not grow. `--every 20` looks at what one request in 20 stored, for many cases in little time. One client at
a time, in a database of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import http.client
import json
import random
import re
import socket
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

import psutil
import pydicom.data

from tests import requests_made as made
from tests.awkward_files import readable
from tests.fuzz import DELIMITERS, LARGEST, PIECES, mutate
from tests.unit.test_multipart import body_of
from tests.unit.test_part10_fuzz import SEEDS

FILES = Path(pydicom.data.__file__).parent / "test_files"
MULTIPART = 'multipart/related; type="application/dicom"; boundary=abc'
AS_STORED = "application/dicom; transfer-syntax=*"
KINDS = ["files", "files", "body", "metadata", "content type", "breaks off", "chunks"]
# What is compared with the bytes that were sent: broken chunks make other bytes of them, metadata a new file.
COMPARED = {"files", "body", "content type", "breaks off"}
ODD_JSON = [b'"', b"\\", b"{", b"}", b"[", b"]", b":", b"null", b"-1e999", b"1e5000", b"\\ud800", b'"vr":"SQ"', b"0"]
ODD_TYPE = [b";", b'"', b"=", b"type", b"boundary", b"\xff", b" ", b"\\", b"/", b"*", b",", b"application/dicom+xml"]
CONTROL = re.compile(r"[\0-\x1f\x7f]")
SIZE_LINES = [
    b"0\r\n\r\n",
    b"zz\r\n",
    b"-1\r\n",
    b"f" * 16,
    b"5;a=b\r\n",
    b"5;\r\r\n",
    b"\r\n",
    b"5\n",
    b"",
]
LOOKED_AT = {
    "/metadata": "application/dicom+json",
    "/frames/1": "multipart/related; type=application/octet-stream",
    "/rendered": "image/jpeg, */*",
}
SLOW = 20.0
CHUNKS = -1
WARM = 0.2
"""Share of a run in which caches and pools fill."""
SAMPLES = 12
BLOCK, MOST_BLOCKS = 48, 4
"""Bytes that are compared together, and how many of them what is mended in a file may touch: two at each end."""
MOST_FILES = 20
"""Open files more at the end than at the beginning: a connection or two a thread."""


@dataclass(frozen=True)
class Held:
    """What processes hold: bytes of memory (what they share counts once) and open files, sockets included."""

    memory: int
    files: int

    def __str__(self):
        return f"{self.memory / 1e6:.1f} MB, {self.files} files"


@dataclass
class Told:
    """What was seen: requests by kind, answers by status, files acknowledged, the slowest, what went wrong.

    `held` has what the server's processes held after so many cases, once their caches were filled.
    """

    kinds: Counter = field(default_factory=Counter)
    statuses: Counter = field(default_factory=Counter)
    acknowledged: int = 0
    slowest: float = 0.0
    held: dict[int, Held] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    bodies: dict[str, bytes] = field(default_factory=dict)

    def growth(self) -> Held:
        """Return by how much more the server held in the last third of the samples than in the first third, on average.

        Averages, since what is held goes up and down with the requests of the moment.
        """
        samples = list(self.held.values())
        share = len(samples) // 3
        if not share:
            return Held(0, 0)
        first, last = (
            [sum(column) // share for column in zip(*((held.memory, held.files) for held in part), strict=True)]
            for part in (samples[:share], samples[-share:])
        )
        return Held(last[0] - first[0], last[1] - first[1])


def mended(content: bytes, body: bytes) -> bool:
    """Return whether a file was sent, but for its header and the ends of its pixel data (docs/decisions/0043)."""
    if content[128:132] != b"DICM":
        return False
    start = 144 + int.from_bytes(content[140:144], "little")
    blocks = [content[place : place + BLOCK] for place in range(start, len(content), BLOCK)]
    return sum(block not in body for block in blocks) <= min(MOST_BLOCKS, len(blocks) // 2)


class Client:
    """Sends requests over one connection, which it makes anew when the server ends it."""

    def __init__(self, url: str, told: Told):
        parts = urlsplit(url)
        self.root, self._host, self.told = parts.path, parts.netloc, told
        self._connection = http.client.HTTPConnection(self._host, timeout=SLOW * 2)

    def ask(self, method: str, path: str, headers: dict, body: bytes | None = None, sent: int | None = None):
        """Return status and body.

        A body of which only `sent` bytes are sent says that it is longer; one of `CHUNKS` says nothing.
        """
        began = time.perf_counter()
        for attempt in (1, 2):
            try:
                self._send(method, path, headers, body, sent)
                answer = self._connection.getresponse()
                content = answer.read()
                break
            except (http.client.RemoteDisconnected, ConnectionError):
                self._connection.close()
                if attempt == 2:
                    raise
        if sent is not None:
            self._connection.close()
        self.told.slowest = max(self.told.slowest, time.perf_counter() - began)
        return answer.status, content

    def _send(self, method: str, path: str, headers: dict, body: bytes | None, sent: int | None) -> None:
        self._connection.putrequest(method, self.root + path, skip_accept_encoding=True)
        for name, value in headers.items():
            self._connection.putheader(name, value)
        if body is not None and sent != CHUNKS:
            self._connection.putheader("Content-Length", str(len(body)))
        self._connection.endheaders()
        if body is not None:
            with contextlib.suppress(BrokenPipeError):  # refused before all of it was read: the answer is there
                self._connection.send(body if sent == CHUNKS else body[:sent])
        if sent is not None:
            self._connection.sock.shutdown(socket.SHUT_WR)


class Fuzz:
    """One run.

    Parameters
    ----------
    url : str
        The DICOMweb root.
    seed : int
    every : int
        Of one in so many requests, what is stored is looked at.
    """

    def __init__(self, url: str, seed: int, every: int = 1):
        self.every = every
        self.told = Told()
        self.random = random.Random(seed)
        self.client = Client(url, self.told)
        files = sorted(path for path in FILES.rglob("*") if path.is_file() and path.stat().st_size < LARGEST)
        awkward = [content for _name, content in readable() if len(content) < LARGEST]
        self.seeds = [path.read_bytes() for path in files] + SEEDS + awkward
        self.kept: dict[str, str] = {}
        """Paths of what was acknowledged, and the digest of what stays of it."""

    def case(self, kind: str) -> None:
        """Send one store request and look at what it answers."""
        kept, headers, sent = None, {"Content-Type": MULTIPART, "Accept": "application/dicom+json"}, None
        parts = [self.random.choice(self.seeds) for _part in range(self.random.randint(1, 4))]
        if kind == "files":
            parts = kept = [mutate(self.random, part, PIECES) for part in parts]
        body = body_of(*parts)
        if kind == "body":
            body = mutate(self.random, body, DELIMITERS)
        elif kind == "metadata":
            body, headers["Content-Type"] = self.metadata()
        elif kind == "content type":
            odd = mutate(self.random, MULTIPART.encode(), ODD_TYPE).decode("latin-1")
            headers["Content-Type"] = CONTROL.sub(" ", odd)  # with those it is no HTTP, and gunicorn says so
        elif kind == "breaks off":
            if self.random.random() < 0.3:
                body, headers["Content-Type"], kept = parts[0], "application/dicom", []
            sent = self.random.randrange(len(body))
        elif kind == "chunks":
            body, sent, headers["Transfer-Encoding"] = self.chunks(body), CHUNKS, "chunked"
        path = self.random.choice(["/studies"] * 9 + ["/studies/1.2.3"])
        status, answer = self.client.ask("POST", path, headers, body, sent)
        self.told.kinds[kind] += 1
        self.told.statuses[status] += 1
        if status >= 500:
            self.wrong(f"{kind}: {status} {answer[:300]!r}", body)
            return
        stored = self.stored(kind, answer, kept)
        if self.random.randrange(self.every) == 0:
            for path in stored:
                self.retrieve(path, kind, body, kept)
        else:  # what is there may be replaced by now
            for path in stored:
                self.kept.pop(path, None)

    def chunks(self, body: bytes) -> bytes:
        """Return a body in chunks, some of whose size lines are none."""
        pieces, position = [], 0
        while position < len(body):
            piece = body[position : position + self.random.choice([1, 100, 5000, 100_000])]
            position += len(piece)
            line = self.random.choice(SIZE_LINES) if self.random.random() < 0.1 else b"%x\r\n" % len(piece)
            pieces.append(line + piece + b"\r\n")
        return b"".join(pieces) + self.random.choice([b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"0\r\n", b""])

    def metadata(self) -> tuple[bytes, str]:
        """Return a mutated request of metadata and bulk data, and its Content-Type."""
        datasets = [made.image(number) for number in range(1, self.random.randint(2, 4))]
        json_ = mutate(self.random, json.dumps(datasets).encode(), ODD_JSON + PIECES)
        body = made.body(made.Made(json_, "application/dicom+json"), made.Made(bytes(12), location="bulk/1"))
        if self.random.random() < 0.3:
            body = mutate(self.random, body, [b"\r\n--made-boundary", b"Content-Location: bulk/1", *DELIMITERS])
        return body, made.content_type()

    def stored(self, kind: str, answer: bytes, sent: list[bytes] | None) -> list[str]:
        """Return the paths of what an answer says is stored."""
        told = json.loads(answer)
        items = [item for tag in ("00081199", "00081198", "0008119A") for item in told.get(tag, {}).get("Value", [])]
        if kind == "files" and len(items) != len(sent):
            self.wrong(f"{kind}: {len(sent)} files, {len(items)} told", b"".join(sent))
        stored = [item for item in items if "00081190" in item]
        self.told.acknowledged += len(stored)
        return list({urlsplit(item["00081190"]["Value"][0]).path.removeprefix(self.client.root) for item in stored})

    def retrieve(self, path: str, kind: str, body: bytes, sent: list[bytes] | None) -> None:
        """Retrieve what was acknowledged, compare it with what was sent, and look at it in other ways."""
        status, content = self.client.ask("GET", quote(path, safe="/%"), {"Accept": AS_STORED})
        if status != 200:
            self.wrong(f"{kind}: stored, then {path} answers {status} {content[:200]!r}", body)
            return
        whole = content in sent if sent is not None else content in body
        if kind in COMPARED and not whole and not mended(content, body):
            self.wrong(f"{kind}: {path} is not what was sent", body)
        self.kept[path] = hashlib.sha256(content).hexdigest()
        for suffix, accept in LOOKED_AT.items():
            status, told = self.client.ask("GET", quote(path, safe="/%") + suffix, {"Accept": accept})
            self.told.statuses[f"{suffix} {status}"] += 1
            if status >= 500 or (suffix == "/metadata" and status != 200):
                self.wrong(f"{path}{suffix} answers {status} {told[:200]!r}", content)

    def finish(self) -> None:
        """Retrieve everything again, and look for it in the listings."""
        for path, digest in self.kept.items():
            status, content = self.client.ask("GET", quote(path, safe="/%"), {"Accept": AS_STORED})
            if status != 200 or hashlib.sha256(content).hexdigest() != digest:
                self.wrong(f"at the end {path} answers {status}, {len(content)} bytes", b"")
        places = {tuple(path.split("/")[2::2]) for path in self.kept}
        for level, tags in enumerate((["0020000D"], ["0020000D", "0020000E"], ["0020000D", "0020000E", "00080018"]), 1):
            listing = ["/studies", "/series", "/instances"][level - 1]
            for query in ("", "&includefield=all"):
                missing = {place[:level] for place in places} - self.listed(listing + "?limit=500" + query, tags)
                if missing:
                    self.wrong(f"{listing}{query} lacks {sorted(missing)[:3]}", b"")

    def listed(self, path: str, tags: list[str]) -> set[tuple]:
        found, offset = set(), 0
        while True:
            status, content = self.client.ask("GET", f"{path}&offset={offset}", {"Accept": "application/dicom+json"})
            if status != 200:
                self.wrong(f"{path}&offset={offset} answers {status} {content[:300]!r}", b"")
                return found
            rows = json.loads(content)
            found |= {tuple(row[tag]["Value"][0] for tag in tags) for row in rows}
            offset += 500
            if len(rows) < 500:
                return found

    def wrong(self, text: str, body: bytes) -> None:
        """Note what went wrong; the body that did it is kept where `--keep` says."""
        self.told.wrong.append(f"case {self.told.kinds.total()}: {text} [{hashlib.sha256(body).hexdigest()[:12]}]")
        self.told.bodies[hashlib.sha256(body).hexdigest()[:12]] = body


def held(pid: int) -> Held:
    """Return what a server's processes hold, master and workers."""
    master = psutil.Process(pid)
    family = [master, *master.children()]
    return Held(sum(process.memory_full_info().pss for process in family), sum(process.num_fds() for process in family))


def run(url: str, pid: int | None, seed: int, cases: int, seconds: float, every: int = 1) -> Told:
    """Send requests until there were enough, or for so long, or until ten things went wrong."""
    fuzz = Fuzz(url, seed, every)
    begin = time.monotonic()
    look, step = begin + seconds * WARM, seconds * (1 - WARM) / SAMPLES
    for number in range(cases):
        now = time.monotonic()
        if now > begin + seconds or len(fuzz.told.wrong) >= 10:
            break
        if pid and (now > look or number >= cases * (WARM + (1 - WARM) / SAMPLES * len(fuzz.told.held))):
            fuzz.told.held[number] = held(pid)
            look = now + step
        kind = KINDS[number % len(KINDS)]
        try:
            fuzz.case(kind)
        except (OSError, http.client.HTTPException, ValueError) as problem:
            fuzz.wrong(f"{kind}: no answer: {problem!r}", b"")
    fuzz.finish()
    if pid:
        fuzz.told.held[fuzz.told.kinds.total()] = held(pid)
    return fuzz.told


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 when nothing went wrong."""
    parser = argparse.ArgumentParser(prog="fuzz_http", description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:5985/dicom-web")
    parser.add_argument("--pid", type=int)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=int, default=1, metavar="N", help="look at what one request in N stored")
    parser.add_argument("--growth", type=float, default=50, metavar="MB", help="most that the server may grow by (50)")
    parser.add_argument("--keep", type=Path, help="folder for the bodies that went wrong")
    options = parser.parse_args(arguments)
    told = run(options.url, options.pid, options.seed, options.cases, options.seconds, options.every)
    print(f"{told.kinds.total()} requests {dict(told.kinds)}, {told.acknowledged} acknowledged")
    print(f"answers {dict(told.statuses)}, slowest {told.slowest:.2f} s")
    for number, what in told.held.items():
        print(f"after {number:6} cases: {what}")
    growth = told.growth()
    print(f"growth: {growth}")
    for text in told.wrong:
        print(text, file=sys.stderr)
    if options.keep:
        for name, body in told.bodies.items():
            (options.keep / name).write_bytes(body)
    grew = growth.memory > options.growth * 1e6 or growth.files > MOST_FILES
    return 1 if told.wrong or told.slowest > SLOW or grew else 0


if __name__ == "__main__":
    sys.exit(main())
