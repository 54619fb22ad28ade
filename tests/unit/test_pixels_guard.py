"""Decoders that run away are stopped, and cost nothing that stays."""

import itertools
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from dicouch.dicom.errors import Busy, PixelError
from dicouch.dicom.pixels import guard
from dicouch.dicom.pixels.decode import _options, decode
from dicouch.dicom.pixels.guard import Guard
from dicouch.dicom.pixels.image import Image
from tests.unit.made_images import open_image, sample

NAME = "MR_small_jp2klossless.dcm"


@pytest.fixture
def guarded():
    made = Guard(limit=1)
    yield made
    made.close()


def ask(guarded: Guard, data: bytes | None = None):
    image = open_image(sample(NAME))
    return guarded.decode(image.transfer_syntax, "", data or image.frame(1), _options(image))


def child(guarded: Guard) -> psutil.Process:
    """Return the idle child."""
    one = guarded._idle.get()
    guarded._idle.put(one)
    return psutil.Process(one._process.pid)


def test_a_child_serves_frame_after_frame(guarded):
    first, described = ask(guarded)
    pid = child(guarded).pid
    second, _ = ask(guarded)
    assert child(guarded).pid == pid
    assert np.array_equal(first, second)
    assert first.flags.writeable
    assert described["rows"] == 64
    with pytest.raises(PixelError, match="decode"):
        ask(guarded, b"\xff\x4f\xff\x51 damaged")
    assert child(guarded).pid == pid


def test_a_child_that_does_not_end_is_replaced(guarded, monkeypatch):
    monkeypatch.setattr(guard, "SECONDS", 0.5)
    ask(guarded)
    stuck = child(guarded)
    stuck.suspend()
    started = time.monotonic()
    # It was not let work, which says nothing of the frame.
    with pytest.raises(Busy, match="no time"):
        ask(guarded)
    assert time.monotonic() - started < 5
    assert not stuck.is_running()
    assert ask(guarded)[0].any()


def test_a_child_that_works_in_vain(guarded, monkeypatch):
    monkeypatch.setattr(guard, "SECONDS", 0.2)
    ask(guarded)
    child(guarded).suspend()
    ticks = itertools.count(0, 100)
    monkeypatch.setattr(guard.Child, "worked", lambda _child: next(ticks))
    with pytest.raises(PixelError, match="does not come to an end"):
        ask(guarded)


def test_what_a_child_has_worked(guarded):
    ask(guarded)
    one = guarded._idle.get()
    assert 0.01 <= one.worked() < 60
    one.kill()
    assert one.worked() == math.inf


@pytest.mark.parametrize("program", ["", "import sys; sys.exit(1)", "no such program"])
def test_a_child_that_does_not_start(guarded, monkeypatch, program):
    begin, command = subprocess.Popen, ["/no/such/program"] if " such" in program else [sys.executable, "-c", program]
    monkeypatch.setattr(guard.subprocess, "Popen", lambda *_, **options: begin(command, **options))
    with pytest.raises(Busy, match="does not start"):
        ask(guarded)
    monkeypatch.undo()
    assert ask(guarded)[0].any()


def test_a_turn_is_not_waited_for_without_end(guarded, monkeypatch):
    monkeypatch.setattr(guard, "QUEUE", 0.1)
    with guarded._turns, pytest.raises(Busy, match="wait"):
        ask(guarded)
    assert ask(guarded)[0].any()


def test_a_child_that_dies_is_replaced(guarded):
    ask(guarded)
    child(guarded).terminate()
    with pytest.raises(PixelError, match="gave up"):
        ask(guarded)
    assert ask(guarded)[0].any()
    child(guarded).kill()  # as the kernel does that is out of memory
    with pytest.raises(Busy, match="no memory"):
        ask(guarded)
    assert ask(guarded)[0].any()


def test_children_have_limited_memory(guarded):
    ask(guarded)
    limit, _hard = child(guarded).rlimit(psutil.RLIMIT_AS)
    assert limit == guard.MEMORY


def test_children_go_with_their_parent():
    program = (
        "import time\nfrom tests.unit.test_pixels_guard import ask, child\n"
        "from dicouch.dicom.pixels.guard import Guard\n"
        "guarded = Guard()\nask(guarded)\nprint(child(guarded).pid, flush=True)\ntime.sleep(60)\n"
    )
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=root, env=environment) as parent:
        pid = int(parent.stdout.readline())
        assert psutil.pid_exists(pid)
        parent.send_signal(signal.SIGKILL)
    for _ in range(100):
        if not psutil.pid_exists(pid):
            return
        time.sleep(0.05)
    raise AssertionError("the child is still there")


@pytest.mark.parametrize("name", ["MR_small_RLE.dcm", "SC_rgb_jpeg_dcmtk.dcm"])
def test_what_panics_is_refused(name):
    """A decoder written in Rust raises what is no Exception."""
    image = open_image(sample(name))
    whole = bytearray(image.frame(1))
    generator = np.random.default_rng(1)
    refused = 0
    for _ in range(300):
        data = bytearray(whole)
        for place in generator.integers(0, len(data), 3):
            data[place] = generator.integers(0, 256)
        damaged = Image(image.dataset, image.transfer_syntax, 1, lambda _n, data=bytes(data): data)
        try:
            decode(damaged, 1)
        except PixelError:
            refused += 1
    assert refused
