"""Clients that read or send slowly, or not at all, beside others: nobody waits for them, and nothing of them stays."""

from __future__ import annotations

import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
import requests

from tests.made import instance
from tests.server import Server, serve

# The database has no part in it.
pytestmark = pytest.mark.one_database("embedded")

CROWD = 64
STUDY = "/studies/8.1"
PATH = STUDY + "/series/8.1.1/instances/8.1.1.1"
# Larger than what the buffers of a connection take.
DATA = instance("8.1", "8.1.1", "8.1.1.1", pixels=bytes(2 * 2900**2))
ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*'


@pytest.fixture(scope="module")
def site(fresh_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Give a server as it is by default, with a large instance."""
    with serve(fresh_database, tmp_path_factory.mktemp("slow") / "log", WEB_CONCURRENCY="2") as running:
        assert running.store(DATA).status_code == 200
        yield running


@contextmanager
def connection(server: Server, text: str) -> Iterator[socket.socket]:
    """Open a connection with small buffers and send the head of a request."""
    where = urlsplit(server.url)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        client.connect((where.hostname, where.port))
        client.settimeout(20)
        method, path, *lines = text.splitlines()
        client.sendall(
            "\r\n".join([f"{method} {where.path}{path} HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()
        )
        yield client


def reading(server: Server, path: str = STUDY):
    return connection(server, f"GET\n{path}\nAccept: {ACCEPT}")


def storing(server: Server):
    head = 'Content-Type: multipart/related; type="application/dicom"; boundary=b\nContent-Length: 1000000'
    return connection(server, f"POST\n/studies\n{head}")


@contextmanager
def crowd(opened: list[socket.socket], each: Callable[[socket.socket], object]) -> Iterator[None]:
    """Do `each` with all connections every second, which is what 1 KB/s asks for."""
    stop = threading.Event()

    def go() -> None:
        while not stop.wait(1):
            for client in opened:
                each(client)

    thread = threading.Thread(target=go, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def p50(server: Server) -> float:
    """Return the median (seconds) of a normal client's frames."""
    taken = []
    accept = {"Accept": "application/dicom+json"}
    with requests.Session() as session:
        for _time in range(25):
            started = time.perf_counter()
            answer = session.get(server.url + PATH + "/metadata", headers=accept, timeout=20)
            taken.append(time.perf_counter() - started)
            assert answer.status_code == 200
            time.sleep(0.02)
    return statistics.median(taken)


@pytest.mark.parametrize("kind", ["stopped", "reading", "sending"])
def test_a_crowd_of_slow_clients_holds_up_nobody(site, kind):
    usual = p50(site)
    with ExitStack() as stack:
        opened = [stack.enter_context(storing(site) if kind == "sending" else reading(site)) for _each in range(CROWD)]
        each = {
            "stopped": lambda client: None,
            "reading": lambda client: client.recv(1024),
            "sending": lambda client: client.sendall(b"--b\r\n" + bytes(1019)),
        }[kind]
        with crowd(opened, each):
            time.sleep(1.5)  # all of them are being served
            # Until the buffers of all connections are full, their bytes take the processor, as anyone's do.
            deadline = time.monotonic() + 20
            while (beside := p50(site)) >= 2 * usual and time.monotonic() < deadline:
                time.sleep(0.5)
    assert beside < 2 * max(usual, p50(site))


@pytest.fixture(params=["attachment", "folder"])
def narrow(request, fresh_database: str, tmp_path: Path) -> Iterator[Server]:
    """Give a server of one process with few threads that soon loses its patience."""
    place = "attachment" if request.param == "attachment" else f"folder:{tmp_path / 'bytes'}"
    settings = {"WEB_CONCURRENCY": "1", "SHIM_THREADS": "4", "SHIM_STALLED": "3", "BYTES": place}
    with serve(fresh_database, tmp_path / "log", **settings) as running:
        assert running.store(DATA).status_code in (200, 202)
        yield running
        requests.delete(running.url + STUDY, timeout=60)


def held(server: Server, port: int) -> tuple[int, int]:
    """Return how many connections of clients a server has, and how many files and others it has open."""
    (worker,) = psutil.Process(server.pid).children()
    clients = [one for one in worker.net_connections() if one.laddr and one.laddr.port == port and one.raddr]
    return len(clients), worker.num_fds() - len(clients)


def settles(server: Server, most: int, limit: float) -> None:
    """Wait until no client is connected and no more than `most` other things are open.

    One more may be: a connection to the database for what the server asks by itself, which it keeps.
    """
    port = urlsplit(server.url).port
    deadline = time.monotonic() + limit
    while (now := held(server, port))[0] or now[1] > most + 1:
        assert time.monotonic() < deadline, f"{now[0]} connections, {now[1]} files instead of {most}"
        time.sleep(0.1)


def retrieved(server: Server) -> None:
    """Take all threads of the server at once."""
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _each: server.get(STUDY, headers={"Accept": ACCEPT}).content, range(4)))
    assert all(DATA in answer for answer in answers)


def test_of_clients_that_stop_reading_nothing_stays(narrow):
    retrieved(narrow)
    _clients, before = held(narrow, urlsplit(narrow.url).port)
    with ExitStack() as stack:
        for _each in range(4):
            stack.enter_context(reading(narrow)).recv(1000)
        settles(narrow, before, 15)  # while the clients are still there
        retrieved(narrow)


def test_of_clients_that_go_away_midway_nothing_stays(narrow):
    retrieved(narrow)
    _clients, before = held(narrow, urlsplit(narrow.url).port)
    for path in (STUDY, PATH, PATH + "/bulkdata/7FE00010") * 3:
        with reading(narrow, path) as client:
            client.recv(1000)
    settles(narrow, before, 3)
    retrieved(narrow)


@pytest.mark.parametrize("narrow", ["attachment"], indirect=True)
def test_of_what_was_read_ahead_nothing_stays(narrow):
    for number in (2, 3):
        assert narrow.store(instance("8.1", "8.1.1", f"8.1.1.{number}", pixels=bytes(2 * 300**2))).status_code == 200
    retrieved(narrow)
    _clients, before = held(narrow, urlsplit(narrow.url).port)
    for _time in range(6):
        with reading(narrow) as client:
            client.recv(1000)
    settles(narrow, before, 3)
    retrieved(narrow)


@pytest.mark.parametrize("narrow", ["attachment"], indirect=True)
def test_a_client_that_stops_sending_gives_its_thread_back(narrow):
    retrieved(narrow)
    _clients, before = held(narrow, urlsplit(narrow.url).port)
    with ExitStack() as stack:
        opened = [stack.enter_context(storing(narrow)) for _each in range(4)]
        settles(narrow, before, 15)
        with suppress(ConnectionError):
            assert b" 408 " in opened[0].recv(1000).splitlines()[0]
        retrieved(narrow)


@pytest.mark.parametrize("narrow", ["attachment"], indirect=True)
def test_a_slow_reader_gets_all(narrow):
    """Longer than a stalled one would have: it opens its window all the time."""
    started, got = time.monotonic(), b""
    with reading(narrow) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        while len(got) < len(DATA):
            piece = client.recv(1 << 20)
            assert piece, f"ended after {len(got)} bytes"
            got += piece
            if time.monotonic() < started + 6:
                time.sleep(0.3)
    assert time.monotonic() > started + 4
    assert DATA[-1000:] in got or len(got) > len(DATA)


def test_connections_without_a_request_do_not_hold_up_the_end(fresh_database, tmp_path):
    """Browsers open connections ahead of need."""
    with ExitStack() as clients:
        with serve(fresh_database, tmp_path / "log", patiently=True) as running:
            where = urlsplit(running.url)
            for _ in range(4):
                clients.enter_context(socket.create_connection((where.hostname, where.port)))
            time.sleep(6)  # as long as gunicorn's threads wait for a request, and some more
            began = time.monotonic()
        assert time.monotonic() - began < 10
