"""Searches that no index orders (a name with something in its middle, a description): which studies can match at all.

A list function takes a fifth of a millisecond for every row it is given. What the studies say as text comes from a view
ten times as fast, and a study matches only if its text holds what stands between the wild cards of the key; the list
then looks at those that do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

from dicouch.rewrite import normalise, requests
from dicouch.rewrite.plan import Range
from dicouch.rewrite.requests import CouchRequest
from dicouch.rewrite.values import is_universal, is_wild

# How many texts are read at a time, at first and at most, and how many studies are yielded of these: a search that
# wants a few may find them among the newest.
FIRST_STEP, LAST_STEP = 500, 5000
FIRST_MOST, LAST_MOST = 100, 1000
# Less is found in too many texts: CT, M, F.
SHORTEST = 3
# What stands for the text of a study that says too much; ``names.text`` has the same.
TOO_LONG = "\uffff"
# Values of these are compared as they are; of the others a text tells nothing.
PLAIN = frozenset({"AE", "AS", "CS", "LO", "LT", "SH", "ST", "UC", "UR", "UT"})
WILD = re.compile(r"[*?]")


def needles(match: dict) -> list[list[str]]:
    """Return what a study's text must hold to match: one of each list.

    Parameters
    ----------
    match : dict
        Matching keys, the tree that ``lib/match/match.js`` reads.

    Returns
    -------
    list of list of str
        Empty when the keys say nothing of the kind: ranges, numbers, sequences, names by sound.
    """
    found = []
    for key in match.values():
        values = key.get("values", [])
        if not values or key.get("empty") or any(map(is_universal, values)):
            continue
        if key["vr"] == "PN":
            some = [_of_name(value, key.get("fuzzy", False)) for value in values]
        else:
            some = [[_longest(value)] if key["vr"] in PLAIN else [] for value in values]
        found.append([needle for one in some for needle in one] if all(some) else [])
    return [some for some in found if some and min(map(len, some)) >= SHORTEST]


def _longest(text: str) -> str:
    return max((part.strip(" \0") for part in WILD.split(text)), key=len)


def _of_name(value: str, fuzzy: bool) -> list[str]:
    """Return the parts of each component group of a name; nothing where one may be anything (PS3.5 6.2.1)."""
    if fuzzy and not is_wild(value):
        return []
    parts = [_longest(group) for group in map(normalise.name, value.split("=")) if group]
    return parts if all(parts) else []


def candidates(ask: Callable[[CouchRequest], dict], chosen: Range, wanted: list[list[str]]) -> Iterator[list[str]]:
    """Yield the UIDs of studies whose text holds what is wanted, newest first, some at a time.

    Parameters
    ----------
    ask : callable
        Sends a request and returns the decoded answer.
    chosen : Range
        Rows of text (`dicouch.rewrite.plan.text_range`).
    wanted : list of list of str
        As `needles` gives them.
    """
    step, most, skip = FIRST_STEP, FIRST_MOST, 0
    while True:
        rows = ask(requests.rows(chosen, step, skip))["rows"]
        found = [row["id"].partition(":")[0] for row in rows if holds(row["value"], wanted)]
        while found:
            yield found[:most]
            found = found[most:]
            most = min(most * 2, LAST_MOST)
        if len(rows) < step:
            return
        chosen, skip = replace(chosen, params={**chosen.params, "startkey": rows[-1]["key"]}), 1
        step = min(step * 2, LAST_STEP)


def holds(text: str, wanted: list[list[str]]) -> bool:
    """Return whether a study that says `text` may match."""
    return text == TOO_LONG or all(any(needle in text for needle in some) for some in wanted)
