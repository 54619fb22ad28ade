"""What a search for a part of a text looks up: its pieces of three characters, as the index of studies has them.

``views/lib/names.js`` makes the same pieces of what the studies say; ``tables/contained.json`` is read by both. A study
matches only if it has all of them, so the range of any one piece holds all that match.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from dicouch.rewrite import normalise
from dicouch.rewrite.query import Query
from dicouch.rewrite.values import is_wild
from dicouch.tables import read_table

_TABLE = read_table("contained")
# Attributes whose pieces are indexed, with the names that they have in the index.
ATTRIBUTES: dict[str, str] = _TABLE["attributes"]
LENGTH: int = _TABLE["length"]
# Stands for all pieces of an attribute that has too many.
TOO_MANY = ""
# Of a long text so many pieces are compared at most, and a key of more values is not looked up.
MOST_COMPARED, MOST_VALUES = 8, 16
WILD = re.compile(r"[*?]")
# Words of this length and more are found by their sound, too (lib/match/fuzzy.js).
LONG_WORD = 4


def of_key(query: Query, tag: str) -> list[list[list[str]]]:
    """Return what a study must have to match the key of one of `ATTRIBUTES`.

    Conditions that must all hold; each a list of alternatives, of which one must hold; each a list of pieces that the
    attribute must have. Empty where the key says nothing of the kind.
    """
    key = query.keys.get(tag, {})
    of_values = [_alternatives(key, value) for value in query.values(tag)]
    if key.get("every"):
        conditions = of_values
    else:
        # Where one value may be anything, so may all.
        conditions = [[pieces for some in of_values for pieces in some] if all(of_values) else []]
    return [some for some in conditions if some and all(some) and len(some) <= MOST_VALUES]


def _alternatives(key: dict[str, Any], value: str) -> list[list[str]]:
    if key["vr"] != "PN":
        return [of_text(value)]
    if key.get("fuzzy") and not is_wild(value):
        return [of_words(normalise.name(value))]
    return [of_text(group) for group in map(normalise.name, value.split("=")) if group]


def of_text(pattern: str) -> list[str]:
    """Return the pieces that stand between the wild cards of a matching key (PS3.4 C.2.2.2.4).

    A blank beside a wild card may be the delimiter of a name's component that is not there (PS3.5 6.2.1).
    """
    return _spread(run.strip(" \0") for run in WILD.split(pattern))


def of_words(name: str) -> list[str]:
    """Return the pieces of those words of a normalised name that fuzzy matching finds by how they begin alone."""
    return _spread(word for word in normalise.words(name) if not _has_sound(word))


def _has_sound(word: str) -> bool:
    # JavaScript counts a character outside the basic plane twice.
    return max(word) > "\uffff" or (len(word) >= LONG_WORD and len(normalise.sound(word)) > 1)


def _spread(texts: Iterable[str]) -> list[str]:
    """Return pieces that together have all characters of texts; of long ones some, from the beginning to the end.

    Each is counted, which costs as much as reading a row; those between would seldom be rarer.
    """
    last = [(text, len(text) - LENGTH) for text in texts if len(text) >= LENGTH]
    places = [(text, at) for text, end in last for at in [*range(0, end, LENGTH), end]]
    distinct = list(dict.fromkeys(text[at : at + LENGTH] for text, at in places))
    return distinct[:: -(-len(distinct) // MOST_COMPARED) or 1]
