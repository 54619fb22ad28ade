"""C-STORE by DCMTK's tools while ``dicouch storescp`` is killed: what got success is there, byte for byte."""

from __future__ import annotations

import json
import random
import re
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from dicouch.scripts.bench.client import Refused, Request, fetch
from dicouch.scripts.bench.files import Identity

STORESCU, DCMSEND = "storescu", "dcmsend"
# What the tools tell of a file that was acknowledged: its name, its place among the arguments.
SENT = {
    STORESCU: re.compile(r"Sending file: (.*?)\n(?:(?!Sending file).)*?Received Store Response \(Success\)", re.DOTALL),
    DCMSEND: re.compile(
        r"C-STORE Request \(MsgID (\d+),(?:(?!C-STORE Request).)*?C-STORE Response \(Success\)", re.DOTALL
    ),
}
# Seconds between attempts to reach one that was killed, and the most that pass between the moment that was drawn and
# the kill.
AGAIN, LATER = 0.2, 0.3
PAGE = 500


class Killable(Protocol):
    """A server of DIMSE that can be killed and started again."""

    port: int
    folder: Path

    def kill(self) -> None:
        """Send SIGKILL."""

    def start(self) -> None:
        """Start it again, and wait until it listens."""


@dataclass
class Survived:
    """What became of the instances.

    Attributes
    ----------
    kills : int
    tools : dict of str to int
        How many instances each tool had acknowledged.
    """

    kills: int = 0
    tools: dict[str, int] = field(default_factory=dict)


def send(port: int, files: Sequence[Path], tool: str = STORESCU) -> set[Path]:
    """Send files over one association; return those that were acknowledged."""
    words = ["-R"] if tool == STORESCU else []
    command = [tool, "-v", *words, "-aec", "DICOUCH", "127.0.0.1", str(port), *map(str, files)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    found = SENT[tool].findall(done.stdout)
    return {Path(name) for name in found} if tool == STORESCU else {files[int(number) - 1] for number in found}


def together(files: Sequence[Path], associations: int, one: Callable[[int, Sequence[Path]], None]) -> None:
    """Do something with a share of files in each of as many threads as there are associations."""
    threads = [
        threading.Thread(target=one, args=(at, files[at::associations]), daemon=True) for at in range(associations)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def survive(scp: Killable, files: dict[Path, Identity], database: str, associations: int, kills: int) -> Survived:
    """Send files until all are acknowledged, while the server is killed at random moments.

    Raises
    ------
    Refused
        When one that was acknowledged is not there as it was sent.
    """
    acknowledged: set[Path] = set()
    survived, before = Survived(tools={STORESCU: 0, DCMSEND: 0}), documents(database)

    def insist(at: int, share: Sequence[Path]) -> None:
        tool = (STORESCU, DCMSEND)[at % 2]
        while left := [path for path in share if path not in acknowledged]:
            if not (told := send(scp.port, left, tool)):
                time.sleep(AGAIN)
            acknowledged.update(told)
            survived.tools[tool] += len(told)

    moments = sorted(random.sample(range(1, len(files)), min(kills, len(files) - 1)))
    sender = threading.Thread(target=together, args=(list(files), associations, insist), daemon=True)
    sender.start()
    while sender.is_alive():
        # A client tells at the end of an association: the database says how far it is.
        if survived.kills < len(moments) and documents(database) - before >= moments[survived.kills]:
            time.sleep(random.uniform(0, LATER))
            scp.kill()
            survived.kills += 1
            scp.start()
        sender.join(0.05)
    if missing := [path for path, told in compared(database, scp.folder, files) if not told]:
        raise Refused(0, f"{len(missing)} of {len(files)} acknowledged instances are missing, {missing[0].name} is one")
    return survived


def documents(database: str) -> int:
    """Return how many documents there are."""
    return int(json.loads(fetch(database, Request("GET", ""))[1])["doc_count"])


def compared(database: str, folder: Path, files: dict[Path, Identity]) -> list[tuple[Path, bool]]:
    """Return of each file whether the database has its document, and the folder its data set."""
    pairs, found = list(files.items()), []
    for some in (pairs[at : at + PAGE] for at in range(0, len(pairs), PAGE)):
        body = json.dumps({"keys": [f"{one.study}:{one.series}:{one.instance}" for _path, one in some]}).encode()
        asked = Request("POST", "/_all_docs?include_docs=true", {"Content-Type": "application/json"}, body)
        for (path, _identity), row in zip(some, json.loads(fetch(database, asked)[1])["rows"], strict=True):
            place = ((row.get("doc") or {}).get("file") or {}).get("store", "")
            kept = folder / "bytes" / place.removeprefix("folder:")
            found.append((path, kept.is_file() and dataset_of(kept.read_bytes()) == dataset_of(path.read_bytes())))
    return found


def dataset_of(file: bytes) -> bytes:
    """Return the bytes behind the File Meta Information (PS3.10 7.1)."""
    return file[144 + int.from_bytes(file[140:144], "little") :]
