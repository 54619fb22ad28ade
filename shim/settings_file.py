"""Settings files in TOML: their tables become dataclasses, and every mistake is told with its place."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Made = TypeVar("Made", bound="DataclassInstance")
Read = TypeVar("Read")
KINDS = {"str": "a text", "int": "a whole number", "bool": "true or false"}


def read(path: str | Path, make: Callable[[dict[str, Any]], Read]) -> Read:
    """Read a file and make something of it.

    Raises
    ------
    ValueError
        If it cannot be read, or what `make` says of it; the message names the file.
    """
    try:
        return make(tomllib.loads(Path(path).read_text("utf-8")))
    except (OSError, UnicodeDecodeError, ValueError) as problem:
        raise ValueError(f"{path}: {problem}") from problem


def made_of(kind: type[Made], place: str, table: object, hidden: tuple[str, ...] = ()) -> Made:
    """Make a dataclass of texts, whole numbers, truths and tuples of texts.

    Parameters
    ----------
    kind : type
        The dataclass.
    place : str
        How messages call the table.
    table : object
        As the file has it.
    hidden : tuple of str
        Fields that are no settings.

    Raises
    ------
    ValueError
        Naming the setting that is unknown, missing or of another type.
    """
    if not isinstance(table, dict):
        raise ValueError(f"{place} must be a table")
    known = {one.name: str(one.type).split(" ")[0] for one in fields(kind) if one.name not in hidden}
    for name in table:
        if name not in known:
            raise ValueError(f"{place}: there is no setting {name!r}; there are {', '.join(known)}")
    try:
        return kind(**{name: _value(f"{place}: {name}", value, known[name]) for name, value in table.items()})
    except TypeError as problem:  # of the dataclass: what it needs and has not
        raise ValueError(f"{place}: {str(problem).partition(' ')[2]}") from problem


def _value(place: str, value: object, kind: str) -> object:
    if kind.startswith("tuple"):
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return tuple(one.strip() for one in value)
        raise ValueError(f"{place} must be a list of texts")
    if type(value).__name__ != kind:
        raise ValueError(f"{place} must be {KINDS[kind]}")
    return value.strip() if isinstance(value, str) else value
