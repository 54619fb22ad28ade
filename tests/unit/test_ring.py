"""``shim/couch/ring.py``: answers in memory that processes share, whole or not at all."""

import multiprocessing
import os
import signal
import threading
import time

from dicouch.couch.ring import Ring

FORK = multiprocessing.get_context("fork")


def test_what_is_asked_for_stays_and_the_oldest_goes():
    ring = Ring(limit=800)
    for number in range(40):
        ring.put(str(number), bytes([number]) * 100)
        assert ring.get("0") == bytes(100)
    assert ring.get("30") is None
    assert ring.get("39") == bytes([39]) * 100
    ring.put("39", b"new")
    assert ring.get("39") == b"new"
    ring.put("empty", b"")
    assert ring.get("empty") == b""


def test_what_is_too_large_is_not_kept():
    ring = Ring(limit=800)
    ring.put("large", bytes(101))
    assert ring.get("large") is None


def test_few_entries():
    ring = Ring(limit=1 << 16, entries=8)
    for number in range(100):
        ring.put(str(number), str(number).encode())
        assert ring.get(str(number)) == str(number).encode()
    kept = [number for number in range(100) if ring.get(str(number)) is not None]
    assert 0 < len(kept) <= 8


def test_answers_never_end_in_the_middle_of_the_ring():
    ring = Ring(limit=1000)
    for number in range(200):
        size = 1 + number * 37 % 125
        ring.put(str(number), bytes([number]) * size)
        assert ring.get(str(number)) == bytes([number]) * size


def test_processes_share_it():
    ring = Ring(limit=1 << 16)
    ring.put("before", b"1")

    def work():
        ring.put("there", ring.get("before") + b"2")

    process = FORK.Process(target=work)
    process.start()
    process.join(20)
    assert process.exitcode == 0
    assert ring.get("there") == b"12"


def test_what_is_read_while_others_write_is_whole():
    """Small ring, many writers: every answer that is found is the one that was kept under its key."""
    ring = Ring(limit=64 << 10)

    def write(first, until):
        number = first
        while time.monotonic() < until:
            number += 7
            ring.put(str(number % 60), bytes([number % 60]) * (5000 + number % 60))

    until = time.monotonic() + 1.5
    writers = [FORK.Process(target=write, args=(first, until)) for first in range(2)]
    writers += [threading.Thread(target=write, args=(5, until))]
    for writer in writers:
        writer.start()
    found = 0
    while time.monotonic() < until:
        for number in range(60):
            answer = ring.get(str(number))
            assert answer in (None, bytes([number]) * (5000 + number))
            found += answer is not None
    for writer in writers:
        writer.join(20)
    assert found > 100


def test_a_process_that_is_killed_leaves_no_lock_and_nothing_half():
    ring = Ring(limit=1 << 20)

    def write():
        while True:
            for number in range(9):
                ring.put(str(number), bytes([number]) * 100_000)

    for _ in range(10):
        process = FORK.Process(target=write)
        process.start()
        time.sleep(0.03)
        os.kill(process.pid, signal.SIGKILL)
        process.join(20)
        for number in range(9):
            assert ring.get(str(number)) in (None, bytes([number]) * 100_000)
        ring.put("mine", b"x")
        assert ring.get("mine") == b"x"
