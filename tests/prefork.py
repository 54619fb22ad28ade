"""Gunicorn for tests, forked from a process that has read its modules: a start costs half a second instead of three.

`start` gives each process of tests one such parent. A server is `gunicorn --config python:dicouch.server.gunicorn_conf`
all the same: settings are read in the fork, behind what a command would read.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NoReturn

import psutil

ROOT = Path(__file__).resolve().parents[1]


class Server:
    """A running gunicorn; its parent takes note of its end."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def runs(self) -> bool:
        """Return whether it has not ended."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def stop(self, patiently: bool = False, seconds: float = 20.0) -> None:
        """End it and kill its workers, or when what they do is done; kill it when that takes too long."""
        for number, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, 60.0)):
            if not self.runs():
                return
            with suppress(psutil.NoSuchProcess, ProcessLookupError):  # it, or one of them, ended just now
                workers = [] if patiently else psutil.Process(self.pid).children()
                os.kill(self.pid, number)
                for worker in workers:
                    worker.kill()
            until = time.monotonic() + patience
            while self.runs() and time.monotonic() < until:
                time.sleep(0.02)
        assert not self.runs(), f"process {self.pid} does not end"


def start(environment: dict[str, str], log: Path, *command: str) -> Server:
    """Start gunicorn, or a command of `dicouch`, with further variables of the environment; it writes to `log`."""
    parent = _parent(os.getpid())
    assert parent.stdin is not None
    assert parent.stdout is not None
    parent.stdin.write(json.dumps([{**os.environ, **environment}, str(log), command]) + "\n")
    parent.stdin.flush()
    return Server(int(parent.stdout.readline()))


@cache
def _parent(_pid: int) -> subprocess.Popen[str]:
    """Start what servers are forked from; it ends with the process that asked, whose end of the pipe is then closed."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.prefork"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _serve(environment: dict[str, str], log: str) -> NoReturn:
    """Become gunicorn; in the fork."""
    from gunicorn.app.wsgiapp import run  # reads settings when it is imported

    _become(environment, log, "wb")
    sys.argv = ["gunicorn", "--config", "python:dicouch.server.gunicorn_conf"]
    try:
        run()
    except SystemExit as ended:
        # Here its workers end, too; what Python would tidy up for a second ends with the process anyway.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(ended.code if isinstance(ended.code, int) else ended.code is not None)
    os._exit(0)


def _run(environment: dict[str, str], log: str, command: list[str]) -> NoReturn:
    """Become a command; in the fork. Started again, it adds to its log."""
    _become(environment, log, "ab")
    code = importlib.import_module("dicouch.scripts.cli").main(command)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _become(environment: dict[str, str], log: str, mode: str) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(environment)
    with open(log, mode) as output, open(os.devnull, "rb") as nothing:
        for number, file in enumerate((nothing, output, output)):
            os.dup2(file.fileno(), number)


def main() -> None:
    """Fork a server for each line of the standard input, and print its process id."""
    for module in ("dicouch.app", "dicouch.server.worker", "gunicorn.app.wsgiapp", "dicouch.scripts.storescp"):
        importlib.import_module(module)

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the servers
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests, which end their servers
    for line in sys.stdin:
        environment, log, command = json.loads(line)
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            if command:
                _run(environment, log, command)
            _serve(environment, log)
        print(pid, flush=True)


if __name__ == "__main__":
    main()
