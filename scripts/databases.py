"""Databases that start with the program and stop with it: the embedded one, and a private Apache CouchDB.

Both are context managers that yield a :class:`Database`; its ``url`` is what ``COUCHDB_URL`` takes.

>>> with embedded("data") as database:                                  # doctest: +SKIP
...     serve(couchdb_url=database.url)
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit

import requests

from dicouch.scripts import processes
from dicouch.scripts.connection import with_credentials
from dicouch.scripts.folders import node_modules

EMBEDDED_HOST = Path(__file__).resolve().parent / "embedded"
START_TIMEOUT = 60.0
STOP_TIMEOUT = 15.0
LOG = "couchdb.out"

VM_ARGS = """\
# No node name: Erlang then opens no distribution port and needs no epmd, so several instances run side by side.
-kernel error_logger silent
-sasl sasl_error_logger false
+SDio 16
+Bd -noinput
# Threads that wait for the disk sleep at once: docs/decisions/0098-what-a-stored-instance-waits-for.md has the figures.
+sbwtdcpu none
+sbwtdio none
-os_mon start_cpu_sup false
-os_mon start_memsup false
-os_mon disk_space_check_interval 5
-os_mon disk_almost_full_threshold 1.0
"""

INI = """\
; Written at every start; changes made through the configuration API do not last.
[couchdb]
database_dir = {folder}/data
view_index_dir = {folder}/data
single_node = true
uuid = {uuid}
max_attachment_size = infinity
; Larger nodes, and so trees less deep: docs/decisions/0030-nodes-of-4-kb.md has the figures.
btree_chunk_size = 4096
{engine}
[view_updater]
; Documents of whose rows an index writes its nodes at a time: docs/decisions/0088-indexes-written-2000-at-a-time.md
min_writer_items = 2000
[ken]
; Once a minute, not behind each write, which reads all design documents each time; the server asks for its index
; itself when it has stored: docs/decisions/0098-what-a-stored-instance-waits-for.md
batch_channels = 0
max_incremental_updates = 1000000000
[cluster]
n = 1
q = 2
[chttpd]
bind_address = 127.0.0.1
port = {port}
max_http_request_size = 4294967296
[chttpd_auth]
secret = {secret}
timeout = 86400
[log]
writer = file
file = {folder}/couchdb.log
level = warning
[replicator]
; Milliseconds within which replications begin: there are few, and a person waits.
startup_jitter = 100
[query_server_config]
os_process_limit = 100
[csp]
# The pages of the design document may send their forms; scripts stay forbidden in them.
showlist_header_value = sandbox allow-forms allow-same-origin
[admins]
{user} = {password}
"""


class DatabaseError(Exception):
    """A database cannot be started; the message says why in one line."""


@dataclass
class Database:
    """A running database.

    Attributes
    ----------
    url : str
        Where it answers, with user and password: a value for ``COUCHDB_URL``.
    name : str
        What it is, for people: ``"Embedded PouchDB 9.0.0"``, ``"Apache CouchDB 3.5.0"``.
    fauxton : str
        The address of its web interface, without credentials.
    user, password : str
        The administrator.
    pid : int or None
        Its process, ``None`` where somebody else runs it.
    """

    url: str
    name: str
    fauxton: str
    user: str
    password: str
    process: subprocess.Popen | None = None
    # Starts it once more, at the same address.
    begin: Callable[[], subprocess.Popen] | None = None

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process else None

    def stop(self) -> None:
        """End the process and everything it started; a second call does nothing."""
        if self.process:
            _stop(self.process)

    def restart(self) -> None:
        """Start a database of ours again that has ended, with the same data, URL and administrator.

        Raises
        ------
        DatabaseError
            When it does not start.
        """
        self.stop()
        if self.begin:
            self.process = self.begin()


def _stop(process: subprocess.Popen) -> None:
    # The process leads its own group, in which CouchDB's query servers live.
    processes.stop(process, STOP_TIMEOUT)
    for stream in (process.stdin, process.stdout):
        if stream:
            stream.close()


@contextlib.contextmanager
def _stopped_if_it_fails(process: subprocess.Popen) -> Iterator[None]:
    try:
        yield
    except BaseException:
        _stop(process)
        raise


def _settings(folder: Path) -> dict:
    """Read what must stay the same from start to start, made at the first one; only the owner may read it."""
    path = folder / "private.json"
    if path.exists():
        return json.loads(path.read_text())
    settings = {
        "user": "admin",
        "password": secrets.token_urlsafe(24),
        "uuid": uuid.uuid4().hex,
        "secret": secrets.token_hex(32),
    }
    _write_private(path, json.dumps(settings))
    return settings


def _write_private(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    temporary.replace(path)


def _make_folder(folder: str | os.PathLike) -> Path:
    path = Path(folder).resolve()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseError(f"cannot make the data folder {path}: {error.strerror}") from error
    return path


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1] if lines else "no message"


def _running(process: subprocess.Popen, url: str, name: str, settings: dict) -> Database:
    """Describe a database that was started, with the administrator of its settings."""
    user, password = settings["user"], settings["password"]
    return Database(with_credentials(url, (user, password)), name, f"{url}/_utils/", user, password, process)


@contextlib.contextmanager
def embedded(data_dir: str | os.PathLike | None = None, *, memory: bool = False, port: int = 0) -> Iterator[Database]:
    """Run the embedded database.

    Parameters
    ----------
    data_dir : path-like, optional
        Where it keeps its data; needed unless `memory`.
    memory : bool
        Keep nothing.
    port : int
        Port on 127.0.0.1; 0 takes a free one.

    Yields
    ------
    Database

    Raises
    ------
    DatabaseError
        When it does not start: port in use, folder in use.
    CommandError
        When node is missing, or its packages are and cannot be installed.
    """
    packages = node_modules(EMBEDDED_HOST, "the embedded database")
    with contextlib.ExitStack() as stack:
        if memory:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dicouch-")))
        elif data_dir is None:
            raise DatabaseError("a data folder is needed")
        else:
            folder = _make_folder(data_dir)
        settings = _settings(folder)
        command = ["node", str(EMBEDDED_HOST / "server.js"), "--with-parent"]
        command += ["--memory"] if memory else ["--data", str(folder)]
        environment = {"EMBEDDED_ADMIN": f"{settings['user']}:{settings['password']}", "NODE_PATH": str(packages)}
        log = folder / "embedded.log"

        def begin(number: int) -> tuple[subprocess.Popen, str]:
            return _begin_embedded([*command, "--port", str(number)], environment, log)

        process, url = begin(port)
        version = json.loads((packages / "pouchdb-core" / "package.json").read_text())["version"]
        database = _running(process, url, f"Embedded PouchDB {version}", settings)
        database.begin = lambda: begin(urlsplit(url).port or 0)[0]
        stack.callback(database.stop)
        yield database


def _begin_embedded(command: list[str], environment: dict[str, str], log: Path) -> tuple[subprocess.Popen, str]:
    """Start the embedded database, and return it with its URL."""
    with open(log, "ab") as errors:
        # A stdin that nobody writes to: when this process ends, however it ends, the database sees it closed.
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            env={**os.environ, **environment}, start_new_session=True,
        )  # fmt: skip
    with _stopped_if_it_fails(process):
        line = process.stdout.readline() if process.stdout else b""
        if not line:
            process.wait()
            raise DatabaseError(f"the embedded database did not start: {_tail(log)}")
        return process, json.loads(line)["url"]


def find_couchdb() -> Path | None:
    """Find Apache CouchDB on this machine: on ``PATH``, else where its packages put it."""
    found = shutil.which("couchdb")
    packaged = Path("/opt/couchdb/bin/couchdb")
    if found:
        return Path(found)
    return packaged if os.access(packaged, os.X_OK) else None


@contextlib.contextmanager
def private_couchdb(
    data_dir: str | os.PathLike, *, binary: str | os.PathLike | None = None, port: int = 0, js_engine: str = "quickjs"
) -> Iterator[Database]:
    """Run a private Apache CouchDB: loopback only, own data, own administrator.

    Parameters
    ----------
    data_dir : path-like
        Where it keeps data, log and the administrator's password (readable by the owner only).
    binary : path-like, optional
        The ``couchdb`` program; :func:`find_couchdb` by default.
    port : int
        Port on 127.0.0.1; 0 takes the one of the last start, or a free one.
    js_engine : {"quickjs", "spidermonkey"}
        What runs the design documents, where CouchDB offers the choice (3.4 and newer).

    Yields
    ------
    Database

    Raises
    ------
    DatabaseError
        When it does not start.
    """
    program = Path(binary) if binary else find_couchdb()
    if not program or not program.exists():
        raise DatabaseError(f"Apache CouchDB is not here: {program or 'no couchdb on PATH'}")
    folder = _make_folder(data_dir)
    settings = _settings(folder)
    etc = program.resolve().parent.parent / "etc"
    default_ini = etc / "default.ini"
    if not default_ini.exists():
        raise DatabaseError(f"{program} has no {default_ini}")
    engine = f"js_engine = {js_engine}" if "js_engine" in default_ini.read_text() else ""
    with contextlib.ExitStack() as stack:
        lock = _locked(stack, folder)
        number = _choose_port(port, settings.get("port", 0))
        if number != settings.get("port"):
            settings["port"] = number
            _write_private(folder / "private.json", json.dumps(settings))
        (folder / "vm.args").write_text(VM_ARGS)
        _write_private(folder / "private.ini", INI.format(folder=folder, engine=engine, **settings))
        base = f"http://127.0.0.1:{number}"

        def begin() -> tuple[subprocess.Popen, dict]:
            process = _begin_couchdb(program, f"{default_ini} {folder / 'private.ini'}", folder, lock)
            with _stopped_if_it_fails(process):
                return process, _wait(process, base, (settings["user"], settings["password"]), folder / LOG)

        process, welcome = begin()
        database = _running(process, base, f"Apache CouchDB {welcome['version']}", settings)
        database.begin = lambda: begin()[0]
        stack.callback(database.stop)
        yield database


def _locked(stack: contextlib.ExitStack, folder: Path) -> TextIO:
    """Lock a data folder for as long as the file, or a process that inherits it, is open."""
    lock = stack.enter_context(open(folder / "lock", "w"))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise DatabaseError(f"the data folder is in use by another process: {folder}") from error
    return lock


def _begin_couchdb(program: Path, settings: str, folder: Path, lock: TextIO) -> subprocess.Popen:
    """Start CouchDB with the settings in some files; it inherits the lock, which therefore lasts as long as it runs."""
    command = [str(program)]
    if setpriv := shutil.which("setpriv"):
        # Ends with this process, however it ends.
        command = [setpriv, "--pdeathsig", "TERM", *command]
    environment = {"COUCHDB_ARGS_FILE": str(folder / "vm.args"), "COUCHDB_INI_FILES": settings}
    with open(folder / LOG, "ab") as output:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            pass_fds=[lock.fileno()], cwd=folder, env={**os.environ, **environment},
        )  # fmt: skip


def _choose_port(wanted: int, last: int) -> int:
    """Take the wanted port; without one, that of the last start where it is free, else any free one."""
    for candidate in [wanted] if wanted else [last, 0]:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", candidate))
                return probe.getsockname()[1]
    raise DatabaseError(f"port {wanted} is in use")


def _wait(process: subprocess.Popen, base: str, auth: tuple[str, str], log: Path) -> dict:
    """Wait until CouchDB accepts the administrator, and return its welcome message."""
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise DatabaseError(f"CouchDB ended with code {process.returncode}: {_tail(log)}")
        with contextlib.suppress(requests.RequestException):
            if requests.get(f"{base}/_up", timeout=5).ok and requests.get(f"{base}/_all_dbs", auth=auth, timeout=5).ok:
                for system in ("_users", "_replicator"):
                    requests.put(f"{base}/{system}", auth=auth, timeout=30)
                return requests.get(f"{base}/", auth=auth, timeout=5).json()
        time.sleep(0.1)
    raise DatabaseError(f"CouchDB did not answer within {START_TIMEOUT:.0f} s: {_tail(log)}")
