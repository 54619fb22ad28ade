"""What several requests ask of the database at the same moment, asked once.

A request that writes or names several documents costs CouchDB much less than one for each of them, so clients that
store at the same time share them. One alone never waits for others.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass
class _Flight(Generic[Item, Result]):
    """Items that go together."""

    items: list[Item] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    problem: BaseException | None = None
    done: bool = False


class Together(Generic[Item, Result]):
    """Calls a function for the items of all threads that call while it runs for others.

    Parameters
    ----------
    ask : callable
        Takes a key and a list of items, returns as many results.
    most : int
        Items of one call, unless a single thread brings more.
    """

    def __init__(self, ask: Callable[[Hashable, list[Item]], list[Result]], most: int = 128):
        self._ask = ask
        self._most = most
        self._changed = threading.Condition()
        # Of each key the flights that wait, in their order, and the keys of which one is on its way.
        self._waiting: dict[Hashable, list[_Flight]] = {}
        self._flying: set[Hashable] = set()

    def __call__(self, key: Hashable, items: list[Item]) -> list[Result]:
        """Return the results of `items`; what the function raises is raised in every thread whose items it had.

        Parameters
        ----------
        key : hashable
            Only what has the same key goes together: the client's credentials.
        items : list
        """
        with self._changed:
            waiting = self._waiting.setdefault(key, [])
            if not waiting or len(waiting[-1].items) + len(items) > self._most:
                waiting.append(_Flight())
            flight = waiting[-1]
            start = len(flight.items)
            flight.items += items
            while not flight.done and (key in self._flying or waiting[0] is not flight):
                self._changed.wait()
            if not flight.done:
                waiting.pop(0)
                self._flying.add(key)
        if not flight.done:
            self._run(key, flight)
        if flight.problem is not None:
            raise flight.problem
        return flight.results[start : start + len(items)]

    def _run(self, key: Hashable, flight: _Flight) -> None:
        try:
            flight.results = self._ask(key, flight.items)
        except BaseException as problem:
            flight.problem = problem
        finally:
            with self._changed:
                flight.done = True
                self._flying.discard(key)
                if not self._waiting[key]:
                    del self._waiting[key]
                self._changed.notify_all()
