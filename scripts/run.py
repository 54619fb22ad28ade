"""Run everything: the database where none is named, the design documents, and the DICOMweb server.

    dicouch run
    COUCHDB_URL=http://user:password@127.0.0.1:5984 dicouch run
    SHIM_BIND=127.0.0.1:8080 DATA_DIR=/srv/dicom dicouch run

Without COUCHDB_URL it starts a private Apache CouchDB where one is installed, else the embedded database, which is
installed at the first use. README.md lists all settings. Ctrl-C stops everything.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from types import FrameType

import requests

from dicouch.config import Config
from dicouch.hooks import rules
from dicouch.scripts import choose, cli, processes, viewer, watch
from dicouch.scripts.connection import CommandError, database_name, redact
from dicouch.server import listening

DEFAULT_BIND = "127.0.0.1:5985"
START_LIMIT = 60.0
# Longer than gunicorn's own graceful_timeout, so that it is gunicorn that ends its workers.
STOP_LIMIT = 25.0
# Seconds for reading the modules of a command, at the very most.
READ_LIMIT = 30.0
# Seconds after which another signal counts, where the first had no effect.
IMPATIENCE = 2.0


def parse_bind(text: str) -> tuple[str, int]:
    """Split an address to listen on.

    Parameters
    ----------
    text : str
        ``host:port``, ``[ipv6]:port`` or ``:port``.

    Returns
    -------
    tuple of (str, int)

    Raises
    ------
    CommandError
        When it is none of these.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or not 0 < int(port) < 65536:
        raise CommandError(f"SHIM_BIND must be host:port, not {text!r}")
    return host.strip("[]") or "0.0.0.0", int(port)


def check_free(host: str, port: int) -> None:
    """Make sure that nothing listens on an address yet.

    Raises
    ------
    CommandError
        When something does, or the address is not one of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except socket.gaierror as error:
        raise CommandError(f"SHIM_BIND names an unknown host {host!r}: {error.strerror}") from error
    except OSError as error:
        raise CommandError(f"cannot listen on {host}:{port}: {error.strerror} (SHIM_BIND=host:port chooses)") from error


def local_url(host: str, port: int) -> str:
    """URL under which a client on this machine reaches what listens on `host`."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def prepare() -> subprocess.Popen:
    """Start gunicorn's process before the database answers: it imports its modules and waits for settings on stdin.

    Returns
    -------
    subprocess.Popen
        For `serve`.
    """
    command = [sys.executable, "-m", "dicouch.scripts.serve"]
    return processes.start(command, stdin=subprocess.PIPE, text=True)


def serve(process: subprocess.Popen, bind: str, url: str, database: str, **settings: str) -> None:
    """Let gunicorn serve the shim.

    Parameters
    ----------
    process : subprocess.Popen
        What `prepare` returned.
    bind : str
        ``host:port``.
    url : str
        Root URL of the database, credentials included; it reaches the workers in their environment.
    database : str
        Name of the database.
    **settings : str
        Further variables of the environment.
    """
    told = {"SHIM_BIND": bind, "COUCHDB_URL": url, "COUCHDB_DATABASE": database, **settings}
    # When the process has ended, `wait_until_ready` says so.
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError), process.stdin:
        process.stdin.write(json.dumps(told))


class Gunicorn:
    """gunicorn's process: it reads its modules before the database is there, and starts again when it has ended."""

    def __init__(self, bind: str) -> None:
        self.bind = bind
        self.process = prepare()
        self._told = ("", "")

    def serve(self, url: str, database: str) -> None:
        """Serve a database; see `serve`."""
        self._told = url, database
        serve(self.process, self.bind, url, database, **viewer.unless_set())

    def again(self) -> None:
        """Start again and serve the same database."""
        self.stop()  # workers may be left, which hold the port
        self.process = prepare()
        self.serve(*self._told)

    def stop(self) -> None:
        processes.stop(self.process, STOP_LIMIT)


class Webhooks:
    """The process that sends to webhooks, where the site has a file of them."""

    def __init__(self, url: str, database: str) -> None:
        self._environment = {**os.environ, "COUCHDB_URL": url, "COUCHDB_DATABASE": database}
        self.process = self._start()

    def _start(self) -> subprocess.Popen:
        return processes.start([sys.executable, "-m", "dicouch.scripts.webhooks"], env=self._environment)

    def again(self) -> None:
        """Start it again."""
        self.close()
        self.process = self._start()

    def close(self) -> None:
        """Stop it."""
        processes.stop(self.process)


def wait_until_ready(
    process: subprocess.Popen, address: str, limit: float = START_LIMIT, asked: Asked | None = None
) -> None:
    """Wait until the shim answers a search through the database.

    Raises
    ------
    CommandError
        When the process ends, or gives no good answer in time.
    KeyboardInterrupt
        When a signal has `asked` to stop.
    """
    deadline = time.monotonic() + limit
    last = "nothing answers"
    asked = asked or Asked()
    while time.monotonic() < deadline:
        asked.check()
        if process.poll() is not None:
            raise CommandError(f"the DICOMweb server ended with code {process.returncode}; its messages are above")
        try:
            answer = requests.get(f"{address}/studies", params={"limit": 1}, timeout=5)
            # A site may ask for a login: that is an answer too.
            if answer.status_code < 400 or answer.status_code in (401, 403):
                return
            last = f"{answer.status_code} {answer.text[:200]}"
        except requests.RequestException as error:
            last = type(error).__name__
        time.sleep(0.05)
    raise CommandError(f"{address} did not become ready within {limit:.0f} s: {last}")


class Asked:
    """Whether a signal has asked this command to stop, and whether it is stopping."""

    def __init__(self) -> None:
        self.stop = False
        self.stopping = False
        self.since = 0.0

    def check(self) -> None:
        """Stop now when a signal has asked for it.

        Python drops what a signal handler raises in a destructor or in a weak reference's callback, such as those of
        its import locks; so whatever takes long looks here too.

        Raises
        ------
        KeyboardInterrupt
            When a signal has arrived.
        """
        if self.stop:
            raise KeyboardInterrupt


@contextlib.contextmanager
def until_signal() -> Iterator[Asked]:
    """Turn SIGINT, SIGTERM and SIGHUP into `KeyboardInterrupt`, once.

    A second one does not disturb the stopping; where the first had no effect for a while, it counts as the first.

    Yields
    ------
    Asked
    """
    asked = Asked()

    def handle(_number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if asked.stop and (asked.stopping or now - asked.since < IMPATIENCE):
            return
        asked.stop, asked.since = True, now
        raise KeyboardInterrupt

    watched = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, handle) for number in watched}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(asked: Asked) -> None:
    """Start everything, say where it is, and start again what ends, until a signal comes.

    Parameters
    ----------
    asked : Asked
        What `until_signal` yields.

    Raises
    ------
    CommandError
        When something cannot start.
    KeyboardInterrupt
        When a signal ended it.
    """
    host, port, config = settings()
    name = database_name()
    # The database takes seconds to start: the server and the push read what they need meanwhile.
    server = Gunicorn(f"{host}:{port}" if ":" not in host else f"[{host}]:{port}")
    read = threading.Event()
    threading.Thread(target=read_push, args=(read,), daemon=True).start()
    try:
        with choose.database(choose.data_dir()) as database, contextlib.ExitStack() as stack:
            try:
                tell(f"database    {database.name}, {name}")
                # Waiting can be interrupted by a signal; an import cannot, not everywhere.
                read.wait()
                push(database, name, asked)
                server.serve(database.url, name)
                address = local_url(host, port) + config.prefix
                wait_until_ready(server.process, address, asked=asked)
                tell(f"DICOMweb    {address}")
                if config.ohif or viewer.unless_set():
                    tell(f"OHIF        {local_url(host, port)}/ohif/")
                show_fauxton(database)
                parts = [watch.Part("the DICOMweb server", lambda: server.process, server.again)]
                if os.environ.get("WEBHOOKS"):
                    hooks = stack.enter_context(contextlib.closing(Webhooks(database.url, name)))
                    parts.append(watch.Part("webhooks", lambda: hooks.process, hooks.again))
                if owned := database.owned:
                    # First, as the server needs it.
                    pulse = watch.Pulse(redact(owned.url), lambda: owned.process)
                    parts.insert(0, watch.Part("the database", lambda: owned.process, owned.restart, pulse=pulse))
                watch.forever(parts, tell, asked.check)
            finally:
                asked.stopping = True
                # Before the database, which the last answers need.
                server.stop()
    finally:
        asked.stopping = True
        server.stop()
        # A thread that Python ends during an import keeps that module's lock, and the exit would wait for it.
        read.wait(READ_LIMIT)


def settings() -> tuple[str, int, Config]:
    """Return host and port to listen on, and the settings; CommandError, before anything starts, for what cannot be."""
    host, port = parse_bind(os.environ.get("SHIM_BIND") or DEFAULT_BIND)
    try:
        config = Config.from_environment()
        importlib.import_module("dicouch.server.gunicorn_conf")
        if hooks := os.environ.get("WEBHOOKS"):
            rules.read(hooks)
        # Of a database that runs already, gunicorn finds out whether it asks for a login.
        if choose.is_ours():
            listening.check(listening.addresses_of(host, port), config, lends=True)
    except ValueError as error:
        raise CommandError(str(error)) from error
    check_free(host, port)
    return host, port, config


def read_push(read: threading.Event) -> None:
    """Import what pushes the design documents; when that fails, `push` fails too and says why."""
    try:
        with contextlib.suppress(ImportError):
            importlib.import_module("dicouch.scripts.push_views")
    finally:
        read.set()


def push(database: choose.Database, name: str, asked: Asked) -> None:
    """Bring the design documents up to date, and say what changed."""

    def report(line: str) -> None:
        asked.check()
        tell(line)

    asked.check()
    changes = importlib.import_module("dicouch.scripts.push_views").push(database.url, name, report=report)
    if changes:
        tell(f"pushed      {', '.join(sorted({change.document for change in changes}))}")


def show_fauxton(database: choose.Database) -> None:
    """Print where Fauxton is, when it is there, and how to log in where this command chose the password."""
    try:
        found = requests.get(database.fauxton, timeout=5).ok
    except requests.RequestException:
        found = False
    if not found:
        return
    tell(f"Fauxton     {database.fauxton}")
    if database.owned is not None:
        tell(f"            user and password are in {choose.data_dir() / choose.PASSWORD_FILE}")


def tell(line: str) -> None:
    """Print a line at once, also into a pipe."""
    print(line, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns
    -------
    int
        0 when a signal stopped it, 1 when something failed.
    """
    cli.parse(cli.parser_of("run", __doc__), arguments)
    with until_signal() as asked:
        try:
            run(asked)
        except KeyboardInterrupt:
            tell("stopped")
            return 0
        except CommandError as error:
            print(f"run: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
