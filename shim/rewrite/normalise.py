"""Text as it stands in search keys: without case, accents and width. ``views/lib/normalise.js`` is the same.

Both read the table ``letters``, and ``tests/designdocs/test_normalise.py`` compares their results; `sound` says why
Python does not call the JavaScript.
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


def text(value: str) -> str:
    """Return `value` without case, accents, width and repeated blanks."""
    folded = MARKS.sub("", value.translate(LETTERS).lower()).replace("ς", "σ")
    folded = PAIRS.sub(lambda pair: VOICED[pair.group()], folded)
    return BLANKS.sub(" ", folded).strip(" ")


def name(value: str) -> str:
    """Return a person name (PS3.5 6.2.1) as a key: `text` with its delimiters read as blanks."""
    return text(DELIMITERS.sub(" ", value))
