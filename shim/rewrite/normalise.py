"""Text as it stands in search keys: without case, accents and width; and how the words of names sound.

``views/lib/normalise.js`` and ``views/lib/sound.js`` are the same. Both languages read the tables ``letters`` and
``sound``, and tests compare their results. Python does not call the JavaScript: the engine gives up Python's lock in
every call, and with four busy threads a call then took 7.8 ms on average instead of 0.08 ms. An engine may not be
shared by threads either, and takes 0.6 MB with its tables.
"""

from __future__ import annotations

import re

from dicouch.tables import read_table

LETTERS = str.maketrans(read_table("letters"))
MARKS = re.compile("[\u0300-\u036f]")
BLANKS = re.compile("[\u0000-\u0020\u007f]+")
DELIMITERS = re.compile(r"[\^,=]")
KANA = "かきくけこさしすせそたちつてとはひふへほカキクケコサシスセソタチツテトハヒフヘホ"
SEMI = "はひふへほハヒフヘホ"
# Kana with a voicing mark of its own, as half-width text has it.
VOICED = {kana + "\u3099": chr(ord(kana) + 1) for kana in KANA} | {kana + "\u309a": chr(ord(kana) + 2) for kana in SEMI}
VOICED |= {"う\u3099": "ゔ", "ウ\u3099": "ヴ"}
PAIRS = re.compile("|".join(VOICED))
_SOUND = read_table("sound")
CODES = {letter: code for code, letters in _SOUND["classes"].items() for letter in letters}
VOWELS = frozenset(_SOUND["vowels"])
SILENT = frozenset(_SOUND["silent"])


def text(value: str) -> str:
    """Return `value` without case, accents, width and repeated blanks."""
    folded = MARKS.sub("", value.translate(LETTERS).lower()).replace("ς", "σ")
    folded = PAIRS.sub(lambda pair: VOICED[pair.group()], folded)
    return BLANKS.sub(" ", folded).strip(" ")


def name(value: str) -> str:
    """Return a person name (PS3.5 6.2.1) as a key: `text` with its delimiters read as blanks."""
    return text(DELIMITERS.sub(" ", value))


def sound(word: str) -> str:
    """Return the code of a normalised word (`name`), which begins the code of each word it begins."""
    code, last = "", ""
    for position, letter in enumerate(word):
        if letter in SILENT:
            continue
        if letter in VOWELS:
            code += "0" if position == 0 else ""
            last = ""
            continue
        own = CODES.get(letter, letter)
        code += "" if own == last else own
        last = own
    return code


def words(key: str) -> list[str]:
    """Return the words of a normalised name."""
    return [word for word in re.split(r"[ .-]+", key) if word]
