"""Native pixel data as answers have them: little endian, each frame starting at a byte (PS3.5 8.1.1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np


def cut_bits(value: bytes, skip: int, count: int) -> bytes:
    """Return `count` bits of `value` after the first `skip`, shifted so that they start at a byte.

    Bits run from the lowest of each byte upwards.
    """
    bits = np.unpackbits(np.frombuffer(value, np.uint8), bitorder="little")[skip : skip + count]
    return np.packbits(bits, bitorder="little").tobytes()


def join_bits(frames: Iterable[np.ndarray]) -> Iterator[bytes]:
    """Yield frames of zeros and ones as one run of bits, from the lowest of each byte upwards.

    Frames follow each other without padding; the last byte is filled with zeros.
    """
    rest = np.empty(0, np.uint8)
    for frame in frames:
        bits = np.concatenate((rest, frame.reshape(-1)))
        whole = len(bits) // 8 * 8
        rest = bits[whole:]
        yield np.packbits(bits[:whole], bitorder="little").tobytes()
    yield np.packbits(rest, bitorder="little").tobytes()


def swap(pieces: Iterable[bytes], word: int) -> Iterator[bytes]:
    """Yield big-endian `pieces` with the bytes of each word of `word` bytes in little-endian order."""
    if word == 1:
        yield from pieces
        return
    rest = b""
    for piece in pieces:
        piece = rest + piece
        whole = len(piece) - len(piece) % word
        rest = piece[whole:]
        yield np.frombuffer(piece[:whole], f">u{word}").astype(f"<u{word}").tobytes()
    if rest:
        yield rest


_WORDS = {
    **dict.fromkeys(("OW", "US", "SS"), 2),
    **dict.fromkeys(("OF", "OL", "FL", "SL", "UL"), 4),
    **dict.fromkeys(("OD", "OV", "FD", "SV", "UV"), 8),
}


def word_size(vr: str, bits_allocated: int = 8) -> int:
    """Return how many bytes swap as one in a big-endian value (PS3.5 7.3, 8.1.2): OW is words of 16 bits or more."""
    return max(_WORDS.get(vr, 1), bits_allocated // 8 if vr != "OB" else 1)
