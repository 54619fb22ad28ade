"""A client so cheap that it is not what is measured: a process for each connection, answers dropped as they come.

Processes are forked, so that requests prepared before the clock starts are shared and cost nothing to hand over.
"""

from __future__ import annotations

import base64
import http.client
import multiprocessing
import signal
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection as Pipe
from multiprocessing.synchronize import Barrier, Event
from urllib.parse import unquote, urlsplit

import psutil

TIMEOUT = 600.0
"""Seconds without a byte after which a request fails."""
WINDOW = 1 << 20
FORK = multiprocessing.get_context("fork")


class Refused(Exception):
    """A server does not answer a request as it should; the message says how it does.

    Attributes
    ----------
    status : int
        HTTP status; 0 when there was no answer.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text

    def __reduce__(self) -> tuple[type[Refused], tuple[int, str]]:
        return Refused, (self.status, self.text)


@dataclass(frozen=True)
class Request:
    """One request.

    Attributes
    ----------
    method, path : str
        The path begins behind the root of the server.
    headers : mapping of str to str
    body : bytes, or callable that returns an iterable of bytes
        For the latter `headers` say the Content-Length.
    least : int
        Bytes that the answer has at least.
    check : callable, optional
        Takes the content of the answer and returns what is wrong with it, or nothing. Not part of the time.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Callable[[], Iterable[bytes]] | None = None
    least: int = 0
    check: Callable[[bytes], str] | None = None


Operation = Sequence[Request]
"""Requests sent one after the other and timed as one."""


@dataclass(frozen=True)
class Sample:
    """How long operations took.

    Attributes
    ----------
    seconds : tuple of float
        Of each operation.
    wall : float
        Seconds from the first to the last, over all connections.
    received : int
        Bytes of all answers.
    cpu : float
        Seconds of processor time that the servers took.
    """

    seconds: tuple[float, ...]
    wall: float
    received: int
    cpu: float = 0.0

    @property
    def p50(self) -> float:
        return statistics.median(self.seconds)

    @property
    def p95(self) -> float:
        return self._quantile(0.95)

    @property
    def p99(self) -> float:
        return self._quantile(0.99)

    def _quantile(self, share: float) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]

    @property
    def rate(self) -> float:
        """Operations a second."""
        return len(self.seconds) / self.wall

    @classmethod
    def joined(cls, samples: Iterable[Sample]) -> Sample:
        """Return rounds of the same measurement as one."""
        samples = list(samples)
        return cls(
            tuple(second for sample in samples for second in sample.seconds),
            sum(sample.wall for sample in samples),
            sum(sample.received for sample in samples),
            sum(sample.cpu for sample in samples),
        )


@dataclass(frozen=True)
class Side:
    """One of several servers that do the same.

    Attributes
    ----------
    root : str
        URL, may carry ``user:password@``.
    operations : sequence of Operation
    pids : tuple of int
        The processes, with all their children, whose processor time counts.
    settle : callable, optional
        Waits until the server has done what it does afterwards.
    connections : int, optional
        Where sides differ in that.
    """

    root: str
    operations: Sequence[Operation]
    pids: tuple[int, ...] = ()
    settle: Callable[[], None] | None = None
    connections: int | None = None


class Connection:
    """A kept connection to a server.

    Parameters
    ----------
    root : str
        URL, may carry ``user:password@``.
    """

    def __init__(self, root: str) -> None:
        parts = urlsplit(root)
        self._prefix = parts.path.rstrip("/")
        self._login = {}
        if parts.username is not None:
            login = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
            self._login["Authorization"] = f"Basic {base64.b64encode(login).decode()}"
        self._http = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT)
        self._window = memoryview(bytearray(WINDOW))

    def connect(self) -> None:
        self._http.connect()

    def close(self) -> None:
        self._http.close()

    def send(self, request: Request, *, keep: bool = False) -> tuple[http.client.HTTPMessage, int, bytes]:
        """Send a request and take its answer.

        Parameters
        ----------
        keep : bool
            Return the answer's content too. It is kept anyway where the request has a `check`, which is not run here.

        Returns
        -------
        tuple of (headers, int, bytes)
            Headers, length and content of the answer.

        Raises
        ------
        Refused
            If the status is 400 or more, or the answer too short.
        """
        try:
            body = request.body() if callable(request.body) else request.body
            self._http.request(request.method, self._prefix + request.path, body, {**self._login, **request.headers})
            answer = self._http.getresponse()
            if keep or request.check or answer.status >= 400:
                content = answer.read()
                received = len(content)
            else:
                content, received = b"", 0
                while count := answer.readinto(self._window):
                    received += count
        except (OSError, http.client.HTTPException) as error:
            self._http.close()
            raise Refused(0, f"{request.method} {request.path[:120]}: {error or type(error).__name__}") from error
        shown = f"{request.method} {request.path[:120]}: {answer.status} {content[:200].decode(errors='replace')}"
        if answer.status >= 400:
            raise Refused(answer.status, shown)
        if received < request.least:
            raise Refused(answer.status, f"{shown}: {received} bytes, not {request.least}")
        return answer.headers, received, content


def verify(request: Request, content: bytes) -> None:
    """Raise `Refused` when the content of an answer is not what it must be."""
    complaint = request.check(content) if request.check else ""
    if complaint:
        shown = content[:200].decode(errors="replace")
        raise Refused(200, f"{request.method} {request.path[:120]}: {complaint}: {shown}")


def verified(connection: Connection, request: Request) -> bytes:
    """Send a request whose answer must be right; return the answer's content where the request has a `check`."""
    content = connection.send(request)[2]
    verify(request, content)
    return content


def fetch(root: str, request: Request) -> tuple[http.client.HTTPMessage, bytes]:
    """Send one request on a connection of its own; return headers and content of the answer."""
    connection = Connection(root)
    try:
        headers, _, content = connection.send(request, keep=True)
        return headers, content
    finally:
        connection.close()


def run(root: str, operations: Sequence[Operation], connections: int = 1) -> Sample:
    """Run operations over as many connections, each in a process of its own that takes every n-th.

    Raises
    ------
    Refused
        When one of them fails.
    """
    connections = max(1, min(connections, len(operations)))
    start = FORK.Barrier(connections)
    pipes = []
    workers = []
    for number in range(connections):
        receiving, sending = FORK.Pipe(duplex=False)
        worker = FORK.Process(target=_work, args=(root, operations[number::connections], start, sending), daemon=True)
        worker.start()
        sending.close()
        pipes.append(receiving)
        workers.append(worker)
    results = []
    for pipe in pipes:
        try:
            results.append(pipe.recv())
        except EOFError:
            results.append(Refused(0, f"a client of {urlsplit(root).path} ended early"))
    for worker in workers:
        worker.join()
    for result in results:
        if isinstance(result, Refused):
            raise result
    times = [pair for pairs, _ in results for pair in pairs]
    wall = max(end for _, end in times) - min(begin for begin, _ in times)
    return Sample(tuple(end - begin for begin, end in times), wall, sum(received for _, received in results))


def leave_signals() -> None:
    """Restore the default handling of signals, which the parent process may have changed."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def _work(root: str, operations: Sequence[Operation], start: Barrier, pipe: Pipe) -> None:
    leave_signals()
    connection = Connection(root)
    times, received = [], 0
    try:
        connection.connect()
        start.wait(TIMEOUT)
        for operation in operations:
            begin = time.perf_counter()
            answers = [connection.send(request) for request in operation]
            times.append((begin, time.perf_counter()))
            for request, (_, length, content) in zip(operation, answers, strict=True):
                received += length
                verify(request, content)
        pipe.send((times, received))
    except Refused as problem:
        pipe.send(problem)
    except OSError as error:
        start.abort()
        pipe.send(Refused(0, f"no connection: {error}"))
    finally:
        connection.close()


def race(sides: Mapping[str, Side], connections: int = 1, rounds: int = 4) -> dict[str, Sample | Refused]:
    """Measure sides in turns, a part of their operations each time, so that a busy moment of the machine meets all.

    Parameters
    ----------
    sides : mapping of str to Side
        As many operations on every side.

    Returns
    -------
    dict of str to Sample or Refused
        The latter where a server does not do it.
    """
    taken: dict[str, list[Sample]] = {name: [] for name in sides}
    refused: dict[str, Refused] = {}
    for number in range(rounds):
        for name, side in sides.items():
            count = len(side.operations)
            share = side.operations[number * count // rounds : (number + 1) * count // rounds]
            if not share or name in refused:
                continue
            before = processor_time(side.pids)
            try:
                sample = run(side.root, share, side.connections or connections)
            except Refused as problem:
                refused[name] = problem
                continue
            if side.settle:
                side.settle()
            taken[name].append(replace(sample, cpu=processor_time(side.pids) - before))
    return {name: refused.get(name) or Sample.joined(taken[name]) for name in sides}


def processor_time(pids: Iterable[int]) -> float:
    """Return the seconds that processes and their children have computed so far."""
    total = 0.0
    for pid in pids:
        for process in family(pid):
            with suppress(psutil.Error):
                times = process.cpu_times()
                total += times.user + times.system
    return total


def family(pid: int) -> list[psutil.Process]:
    """Return a process and all below it; nothing when it is gone."""
    with suppress(psutil.NoSuchProcess):
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]
    return []


@dataclass
class Background:
    """What a client in the background did: answers a second behind the first one, once the block is over."""

    rate: float = 0.0


@contextmanager
def background(root: str, requests: Iterator[Request]) -> Iterator[Background]:
    """Send requests one after the other in another process while the block runs, which begins with the first answer.

    Raises
    ------
    Refused
        At the end, when one of them failed or none was answered: the block did not run beside a working client.
    """
    stop, begun = FORK.Event(), FORK.Event()
    receiving, sending = FORK.Pipe(duplex=False)
    worker = FORK.Process(target=_go_on, args=(root, requests, stop, begun, sending), daemon=True)
    worker.start()
    told = Background()
    try:
        begun.wait(TIMEOUT)
        yield told
    finally:
        stop.set()
        result = receiving.recv() if receiving.poll(TIMEOUT) else Refused(0, "the client in the background hangs")
        worker.join()
    if isinstance(result, Refused):
        raise result
    if result is None:
        raise Refused(0, "the client in the background got no answer")
    told.rate = result


def _go_on(root: str, requests: Iterator[Request], stop: Event, begun: Event, pipe: Pipe) -> None:
    leave_signals()
    connection = Connection(root)
    ended: list[float] = []
    try:
        for request in requests:
            if stop.is_set():
                break
            verified(connection, request)
            ended.append(time.perf_counter())
            begun.set()
        pipe.send((len(ended) - 1) / max(ended[-1] - ended[0], 1e-9) if ended else None)
    except Refused as problem:
        pipe.send(problem)
    finally:
        begun.set()
        connection.close()
