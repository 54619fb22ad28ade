"""How words of names sound: the twin of ``designdocs/dicom/views/lib/sound.js``, which explains the code.

``tests/fixtures/sound.json`` holds both sides to one table.
"""

from __future__ import annotations

import re

CLASSES = {
    "1": "bfpvwβπφψбпвф",
    "2": "cgjkqsxzγζκξσχгжзксхцчшщѓќ",
    "3": "dtδθτдт",
    "4": "lλл",
    "5": "mnμνмн",
    "6": "rρр",
}
VOWELS = frozenset("aeiouyαεηιουωаеийоуыэюяії")
SILENT = frozenset("h'ъь")
CODES = {letter: code for code, letters in CLASSES.items() for letter in letters}


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
