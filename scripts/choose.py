"""Which database a command works with: the one that is named, the one that is found, or the embedded one."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import couchdb

from dicouch.scripts import databases
from dicouch.scripts.connection import CommandError, connect, redact, split_credentials, with_credentials
from dicouch.scripts.folders import data_dir

# Where a running server leaves the URL of the database that it started, credentials included, for other commands.
URL_FILE = "database.url"
# Where `dicouch.scripts.databases` keeps the administrator that it made up.
PASSWORD_FILE = "private.json"
LOCK_FILE = "run.lock"


@dataclass(frozen=True)
class Database:
    """A database server that answers.

    Attributes
    ----------
    url : str
        Root URL, credentials included, percent-encoded.
    name : str
        What it is, for a person.
    fauxton : str
        URL of Fauxton, without credentials.
    owned : dicouch.scripts.databases.Database or None
        What this command started; None for a database that was there before.
    """

    url: str
    name: str
    fauxton: str
    owned: databases.Database | None = None


def _named() -> str:
    return os.environ.get("COUCHDB_URL", "").strip()


def is_ours() -> bool:
    """Return whether commands start the database themselves: ``COUCHDB_URL`` names none that runs already."""
    return _named() in ("", "embedded")


@contextmanager
def database(folder: Path, *, running: bool = False) -> Iterator[Database]:
    """Choose a database and start it where that is needed.

    Parameters
    ----------
    folder : pathlib.Path
        The data folder.
    running : bool
        Use the database that a running server has started on the same folder.

    Yields
    ------
    Database

    Raises
    ------
    CommandError
        When it cannot be reached or started, or another server works on the same folder.
    """
    url = _named()
    if not is_ours():
        server = connect(url)
        plain, credentials = split_credentials(url)
        yield Database(with_credentials(plain, credentials), _describe(server, plain), f"{plain}/_utils/")
        return
    with _lock(folder) as locked:
        if not locked:
            yield _running(folder, running)
            return
        with _started(folder, url) as owned:
            _remember(folder, owned.url)
            try:
                place = redact(owned.url)
                yield Database(owned.url, f"{owned.name} at {place}, data in {folder}", owned.fauxton, owned)
            finally:
                (folder / URL_FILE).unlink(missing_ok=True)


@contextmanager
def server(url: str | None) -> Iterator[str]:
    """Give the URL of the server that is named, else of the one that `dicouch run` uses, started where it is not."""
    if url:
        yield url
        return
    with database(data_dir(), running=True) as found:
        yield found.url


@contextmanager
def _started(folder: Path, url: str) -> Iterator[databases.Database]:
    couchdb = None if url == "embedded" else databases.find_couchdb()
    with ExitStack() as stack:
        try:
            start = databases.private_couchdb(folder) if couchdb else databases.embedded(folder)
            owned = stack.enter_context(start)
        except databases.DatabaseError as error:
            raise CommandError(str(error)) from error
        yield owned


def _describe(server: couchdb.Server, plain: str) -> str:
    welcome = server.resource.get_json()[2]
    if "couchdb" in welcome:
        return f"CouchDB {welcome.get('version', '')} at {plain}"
    return f"PouchDB at {plain}"


def _running(folder: Path, wanted: bool) -> Database:
    """The database of the server that holds the folder's lock."""
    if not wanted:
        raise CommandError(f"another server works on {folder}: stop it, or choose another folder with DATA_DIR")
    try:
        url = (folder / URL_FILE).read_text("utf-8").strip()
    except FileNotFoundError as error:
        raise CommandError(f"another command is starting or stopping the database in {folder}: try again") from error
    server = connect(url)
    return Database(url, _describe(server, redact(url)), f"{redact(url)}/_utils/")


def _remember(folder: Path, url: str) -> None:
    path = folder / URL_FILE
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(url)


@contextmanager
def _lock(folder: Path) -> Iterator[bool]:
    """Hold the folder for this process, until the process ends; yields False when another process holds it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise CommandError(f"cannot use the data folder {folder}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            locked = True
        except BlockingIOError:
            locked = False
        yield locked
    finally:
        os.close(descriptor)
