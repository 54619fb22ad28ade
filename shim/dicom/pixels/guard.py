"""Decoding in child processes, for decoders that damaged or forged input makes run for ever, or use all memory.

A few changed bytes are enough: pylibjpeg-libjpeg, the only decoder of lossless and 12-bit JPEG here, then takes all
memory or never ends, and OpenJPEG can take minutes. A child has limited memory and time; when it passes them, the frame
is refused and a new child takes its place.
"""

from __future__ import annotations

import atexit
import math
import os
import queue
import select
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL
from struct import Struct
from typing import Any

import numpy as np
import orjson

from dicouch.dicom.errors import Busy, PixelError

CHILDREN = 2
"""Children of a process at a time; further frames wait for their turn."""
SECONDS = 5.0
"""A frame may take so long, and a second more for each million of its pixels. Real ones take a twentieth of that."""
QUEUE = 30.0
"""Seconds for which a frame waits for its turn."""
MEMORY = 3 << 30
"""Address space (bytes) of a child: several of the largest frames."""

LENGTHS = Struct("<II")


class Child:
    """A child process that decodes one frame after the other."""

    def __init__(self) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", "dicouch.dicom.pixels.guarded"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Ctrl-C is for the server; a child ends when its standard input does.
            start_new_session=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._requests, self._answers = process, process.stdin, process.stdout
        # The imports of a new child are not the frame's time.
        if self._read(1, time.monotonic() + 60) != b"+":
            self.kill()
            raise Busy("the decoder does not start")

    def decode(self, request: dict[str, Any], data: bytes, seconds: float) -> tuple[dict[str, Any], bytes]:
        """Send a request; return what the answer says and its bytes.

        After TimeoutError (not in time), EOFError or OSError (it is gone) the child cannot be used again.
        """
        head = orjson.dumps(request)
        self._requests.writelines((LENGTHS.pack(len(head), len(data)), head, data))
        self._requests.flush()
        end = time.monotonic() + seconds
        head_length, length = LENGTHS.unpack(self._read(LENGTHS.size, end))
        return orjson.loads(self._read(head_length, end)), self._read(length, end)

    def _read(self, length: int, end: float) -> bytes:
        pipe = self._answers.fileno()
        pieces = []
        while length:
            if not select.select([pipe], [], [], max(0.0, end - time.monotonic()))[0]:
                raise TimeoutError
            piece = os.read(pipe, min(length, 1 << 20))
            if not piece:
                raise EOFError
            pieces.append(piece)
            length -= len(piece)
        return b"".join(pieces)

    def worked(self) -> float:
        """Return the seconds of a processor that it has used; infinite where the system does not tell."""
        try:
            fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except (OSError, ValueError, IndexError):
            return math.inf

    def kill(self) -> int:
        """End the process, whatever it does; return the code with which it ended, of itself or by this."""
        ended = self._process.poll()
        self._process.kill()
        with suppress(BrokenPipeError):  # of a request that was not read
            self._requests.close()
        self._answers.close()
        return self._process.wait() if ended is None else ended


class Guard:
    """The children of one process, at most `limit`; a child is started when it is needed first."""

    def __init__(self, limit: int = CHILDREN) -> None:
        self._turns = threading.BoundedSemaphore(limit)
        self._idle: queue.LifoQueue[Child] = queue.LifoQueue()
        self._process = os.getpid()

    def decode(
        self, transfer_syntax: str, plugin: str, data: bytes, options: dict[str, Any]
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Decode a code stream in a child; return what pydicom's decoder does, which `plugin` and `options` are for.

        Raises
        ------
        PixelError
            The frame cannot be decoded, or not within time and memory.
        Busy
            There is no child that could try, or none that the machine lets work.
        """
        seconds = SECONDS + options["rows"] * options["columns"] / 1e6
        request = {"syntax": transfer_syntax, "plugin": plugin, "options": options}
        if not self._turns.acquire(timeout=QUEUE):
            raise Busy("too many frames wait for a decoder")
        try:
            child = self._take()
            before = child.worked()
            try:
                answer, raw = child.decode(request, data, seconds)
            except TimeoutError as problem:
                # One that was not let work says nothing of the frame.
                starved = child.worked() - before < seconds / 4
                child.kill()
                if starved:
                    raise Busy("the decoder is given no time") from problem
                raise PixelError("the decoder does not come to an end") from problem
            except (EOFError, OSError) as problem:
                if child.kill() == -SIGKILL:  # nobody does that but the kernel, which needs the memory
                    raise Busy("the decoder is given no memory") from problem
                raise PixelError("the decoder gave up") from problem
            except BaseException:
                child.kill()
                raise
            self._idle.put(child)
        finally:
            self._turns.release()
        if "error" in answer:
            raise PixelError(answer["error"])
        return np.frombuffer(bytearray(raw), answer["dtype"]).reshape(answer["shape"]), answer["described"]

    def _take(self) -> Child:
        """Return an idle child, or a new one; `Busy` when the system has no room for another."""
        if self._process != os.getpid():
            # A fork of the process that began: its children answer that one.
            self._idle, self._process = queue.LifoQueue(), os.getpid()
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            pass
        try:
            return Child()
        except (OSError, EOFError, TimeoutError) as problem:
            raise Busy(f"the decoder does not start: {type(problem).__name__}") from problem

    def close(self) -> None:
        """End all idle children."""
        while self._process == os.getpid():
            try:
                self._idle.get_nowait().kill()
            except queue.Empty:
                return


GUARD = Guard()
atexit.register(GUARD.close)
