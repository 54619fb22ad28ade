"""The child process of `guard`: reads frames from standard input, and writes arrays to standard output."""

from __future__ import annotations

import os
import resource
import sys
from typing import Any

import numpy as np
import orjson
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder

from dicouch.dicom.errors import one_line
from dicouch.dicom.pixels.guard import LENGTHS, MEMORY


def main() -> None:
    """Serve requests until standard input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Whatever a decoder prints must not get between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    answers.write(b"+")
    answers.flush()
    requests = sys.stdin.buffer
    while len(lengths := requests.read(LENGTHS.size)) == LENGTHS.size:
        head, data = (requests.read(length) for length in LENGTHS.unpack(lengths))
        described, raw = answer(orjson.loads(head), data)
        head = orjson.dumps(described)
        answers.writelines((LENGTHS.pack(len(head), len(raw)), head, raw))
        answers.flush()


def answer(request: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    """Decode one frame; return what the array is, or the error, and the bytes of the array."""
    try:
        decoder = get_decoder(request["syntax"])
        source = encapsulate([data], has_bot=False)
        array, described = decoder.as_array(source, decoding_plugin=request["plugin"], **request["options"])
    except Exception as problem:  # noqa: BLE001 - a decoder fed with a forged file raises anything; the child goes on
        return {"error": one_line(problem)}, b""
    array = np.ascontiguousarray(array)
    return {"dtype": array.dtype.str, "shape": array.shape, "described": described}, array.tobytes()


if __name__ == "__main__":
    main()
