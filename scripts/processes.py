"""Child processes that do not outlive the command that started them."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

_PR_SET_PDEATHSIG = 1


def start(command: Sequence[str], **options: Any) -> subprocess.Popen:
    """Start a process in a group of its own.

    The terminal's Ctrl-C then reaches only the command itself, which stops its children in the right order. On Linux
    the kernel stops the child when the command is killed.

    Parameters
    ----------
    command : list of str
        Program and arguments.
    **options
        As of `subprocess.Popen`.

    Returns
    -------
    subprocess.Popen
    """
    if sys.platform == "linux":
        # Loaded before the fork: between fork and exec only the bare system call may happen.
        libc = ctypes.CDLL(None)
        options["preexec_fn"] = lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    return subprocess.Popen(command, start_new_session=True, **options)


def stop(process: subprocess.Popen, patience: float = 10.0) -> None:
    """Stop a process and its group: with SIGTERM, and after `patience` seconds with SIGKILL.

    Parameters
    ----------
    process : subprocess.Popen
        One that `start` returned; may have ended already.
    patience : float
        Seconds between SIGTERM and SIGKILL.
    """
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
    # What is left of the group, if anything is.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
