"""What the commands share that go through the stored instances of studies."""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from dicouch.config import Config
from dicouch.couch.client import Couch
from dicouch.scripts import choose, cli
from dicouch.scripts.connection import database_name
from dicouch.store.places import FOLDER

SHOWN = 20


def study_parser(name: str, told: str | None) -> argparse.ArgumentParser:
    """Return a parser of arguments that knows ``--study UID``, which may be repeated."""
    parser = cli.parser_of(name, told)
    parser.add_argument("--study", action="append", default=[], metavar="UID", help="only this study; repeatable")
    return parser


def add_from_start(parser: argparse.ArgumentParser) -> None:
    """Let a command that keeps a checkpoint know ``--from-start``."""
    parser.add_argument("--from-start", action="store_true", help="do not go on where an earlier run was stopped")


@contextmanager
def couch_of_server() -> Iterator[Couch]:
    """Open the database that a running server uses; without one, start it as the server does."""
    with choose.database(choose.data_dir(), running=True) as database:
        yield Couch(database.url, database_name())


def place_of(couch: Couch) -> str:
    """Name a database for what is kept between runs: one that commands start may have another port each time."""
    return f"{'http://localhost' if choose.is_ours() else couch.root}/{couch.database}"


def byte_folders(settings: Config) -> list[str]:
    """List the folders that have Part 10 files of this site: that of ``BYTES`` and those of ``BYTES_ROOTS``."""
    folders = [*settings.bytes_roots, settings.bytes.removeprefix(FOLDER)]
    return list(dict.fromkeys(folder for folder in folders if folder.startswith("/")))


def print_failed(failed: Sequence[tuple[str, str]]) -> None:
    """Print how many failed, and of the first ones what it was and why."""
    print(f"failed          {len(failed):>8}")
    for name, why in failed[:SHOWN]:
        print(f"  {name}: {why}")
