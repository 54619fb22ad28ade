"""What can be set on the command line."""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass
from pathlib import Path

from dicouch.scripts import cli
from dicouch.scripts.databases import find_couchdb

PARTS = ("stow", "cost", "together", "wado", "metadata", "qido", "memory", "dimse")
"""What is measured when nothing is named."""
VERSIONS = "versions"
ARCHIVE = "archive"
TOLD = """\
Measure beside bare CouchDB and, where it is installed, beside Orthanc.

    dicouch bench
    dicouch bench wado --rounds 2
    dicouch bench --tiny --no-orthanc
    dicouch bench archive --instances 1000000 --keep ~/million
"""


@dataclass(frozen=True)
class Options:
    """Sizes and choices; every one has a flag of its name. `tiny` gives the smallest that still runs everything."""

    parts: tuple[str, ...] = PARTS
    database: str = "couchdb"
    engines: tuple[str, ...] = ("quickjs",)
    orthanc: bool = True
    rounds: int = 4
    matrix: int = 512
    instances: int = 200
    connections: tuple[int, ...] = (1, 8)
    readers: tuple[int, ...] = (1, 16)
    frames: int = 100
    ct: int = 1000
    studies: tuple[int, ...] = (500, 1000, 10000)
    orthanc_studies: int = 10000
    samples: int = 100
    beside: int = 100
    loaded: int = 10000
    big: int = 1024
    frame_file: int = 0
    clients: int = 8
    together: int = 2000
    dimse: int = 10000
    kills: int = 10
    other: Path | None = None
    keep: Path | None = None
    out: Path = Path("bench-results")

    @property
    def javascript(self) -> tuple[str, ...]:
        """What runs the design documents, one after the other where there is a choice."""
        return self.engines if self.database == "couchdb" else ("node",)

    def told(self) -> dict:
        """Return what a reader of the results must know."""
        return {name: value for name, value in asdict(self).items() if name not in ("keep", "out", "other")}


TINY = {
    "rounds": 1,
    "matrix": 32,
    "instances": 8,
    "connections": (2,),
    "readers": (2,),
    "frames": 4,
    "ct": 12,
    "studies": (10, 20),
    "orthanc_studies": 10,
    "samples": 3,
    "beside": 2,
    "loaded": 40,
    "big": 3,
    "frame_file": 3,
    "clients": 2,
    "together": 12,
    "dimse": 12,
    "kills": 1,
}


def parse(arguments: list[str] | None = None) -> Options:
    """Read the command line; wrong arguments end the program with a message."""
    default = Options()
    parser = cli.parser_of("bench", TOLD)
    shown = f"of {', '.join(PARTS)}; all when none is named. Or {VERSIONS}, with --other; or {ARCHIVE}"
    parser.add_argument("parts", nargs="*", choices=[*PARTS, VERSIONS, ARCHIVE, []], metavar="part", help=shown)
    parser.add_argument("--tiny", action="store_true", help="the smallest sizes: does everything still run?")
    parser.add_argument("--database", choices=("couchdb", "embedded"), help="couchdb where it is found, else embedded")
    parser.add_argument("--engines", type=_names, metavar="E,...", help="JavaScript of CouchDB: quickjs,spidermonkey")
    parser.add_argument("--no-orthanc", dest="orthanc", action="store_false", default=None, help="leave Orthanc out")
    for name, metavar, text in (
        ("rounds", "N", "turns in which the servers are measured one after the other"),
        ("matrix", "N", "rows and columns of a large instance (16 bits)"),
        ("instances", "N", "instances that stow stores and wado retrieves, a measurement; those of archive"),
        ("frames", "N", "frames of the multi-frame instance"),
        ("ct", "N", "instances of the series whose metadata is retrieved"),
        ("orthanc-studies", "N", "largest archive that is loaded into Orthanc too"),
        ("samples", "N", "requests of each kind of search"),
        ("beside", "N", "kinds of searches that are measured beside a client that stores"),
        ("loaded", "N", "instances stored before the first search after a load"),
        ("big", "MB", "size of the instance whose storing and retrieving is watched for memory"),
        ("frame-file", "MB", "size of a multi-frame instance of which a far frame is compared; 0 leaves it out"),
        ("clients", "N", "clients that retrieve the big instance, or store together, at once"),
        ("together", "N", "instances that clients store together"),
        ("dimse", "N", "instances that are stored by C-STORE, and again with kills (--rounds 0: only that)"),
        ("kills", "N", "times that the DIMSE server is killed while it stores them; 0: not that part"),
    ):
        shown = f"{text} ({getattr(default, name.replace('-', '_'))})"
        parser.add_argument(f"--{name}", type=_number, metavar=metavar, help=shown)
    for name, text in (
        ("connections", "connections that store at once"),
        ("readers", "connections that retrieve at once"),
        ("studies", "sizes of the archives that are searched; 10 instances each"),
    ):
        shown = ",".join(map(str, getattr(default, name)))
        parser.add_argument(f"--{name}", type=_numbers, metavar="N,...", help=f"{text} ({shown})")
    parser.add_argument("--other", type=Path, metavar="DIR", help="checkout that versions compares this one with")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="folder for the data; it stays there")
    parser.add_argument("--out", type=Path, metavar="DIR", help=f"where the results go ({default.out})")
    given = {name: value for name, value in vars(cli.parse(parser, arguments)).items() if value is not None}
    parts = tuple(dict.fromkeys(given.pop("parts"))) or PARTS
    sizes = TINY if given.pop("tiny") else {}
    given.setdefault("database", "couchdb" if find_couchdb() else "embedded")
    return Options(**{**sizes, **given, "parts": parts})


def _number(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def _numbers(text: str) -> tuple[int, ...]:
    numbers = tuple(_number(part) for part in text.split(","))
    if 0 in numbers:
        raise argparse.ArgumentTypeError("0 makes no sense here")
    return numbers


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if wrong := [name for name in names if name not in ("quickjs", "spidermonkey")]:
        raise argparse.ArgumentTypeError(f"{wrong[0]!r} is not quickjs or spidermonkey")
    return names
