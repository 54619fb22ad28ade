"""Reading the file in which a site lists its own attributes to search by (``EXTENDED_ATTRIBUTES``)."""

from __future__ import annotations

from pathlib import Path

from dicouch.rewrite.extended import Extended, parse


def read_listed(path: str | Path | None) -> list[Extended]:
    """Read the list; see `dicouch.rewrite.extended`.

    Parameters
    ----------
    path : path or None
        None: nothing is listed.

    Raises
    ------
    ValueError
        If the file cannot be read, or an entry makes no sense; the message names both.
    """
    if path is None:
        return []
    try:
        return parse(Path(path).read_bytes(), str(path))
    except (OSError, ValueError) as problem:
        raise ValueError(f"EXTENDED_ATTRIBUTES: {problem}") from problem
