"""The normalisation of text that stored keys and query values share with ``designdocs/dicom/views/lib/normalise.js``.

``tests/fixtures/normalise.json`` holds both sides to one table.
"""

from __future__ import annotations

import re
import unicodedata

# Letters that Unicode does not decompose, as people type them.
LETTERS = str.maketrans(
    {
        "ß": "ss",
        "æ": "ae",
        "ø": "o",
        "đ": "d",
        "ð": "d",
        "ł": "l",
        "œ": "oe",
        "ı": "i",
        "þ": "th",
        "ħ": "h",
        "ŧ": "t",
        "ς": "σ",
    }
)
MARKS = re.compile("[\u0300-\u036f]")
BLANKS = re.compile("[\u0000-\u0020\u007f\u00a0\u3000]+")
DELIMITERS = re.compile(r"[\^,=]")


def text(value: str) -> str:
    """Return `value` without case, accents and repeated blanks."""
    folded = MARKS.sub("", unicodedata.normalize("NFKD", value).lower()).translate(LETTERS)
    return BLANKS.sub(" ", unicodedata.normalize("NFC", folded)).strip(" ")


def name(value: str) -> str:
    """Return a person name (PS3.5 6.2.1) as a key: `text` with its delimiters read as blanks."""
    return text(DELIMITERS.sub(" ", value))
