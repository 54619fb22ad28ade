"""How words of names sound, in Python; ``designdocs/dicom/views/lib/sound.js`` is the same and explains the code.

Both read the table ``sound``, and ``tests/designdocs/test_sound.py`` compares their results. Python does not call the
JavaScript: the engine gives up Python's lock in every call, and with four busy threads a call then took 7.8 ms on
average instead of 0.08 ms. An engine may not be shared by threads either, and takes 0.6 MB with its tables.
"""

from __future__ import annotations

import re

from dicouch.tables import read_table

_TABLE = read_table("sound")
CODES = {letter: code for code, letters in _TABLE["classes"].items() for letter in letters}
VOWELS = frozenset(_TABLE["vowels"])
SILENT = frozenset(_TABLE["silent"])


def code(word: str) -> str:
    """Return the code of a normalised word (`normalise.name`), which begins the code of each word it begins."""
    text, last = "", ""
    for position, letter in enumerate(word):
        if letter in SILENT:
            continue
        if letter in VOWELS:
            text += "0" if position == 0 else ""
            last = ""
            continue
        own = CODES.get(letter, letter)
        text += "" if own == last else own
        last = own
    return text


def words(name: str) -> list[str]:
    """Return the words of a normalised name."""
    return [word for word in re.split(r"[ .-]+", name) if word]
