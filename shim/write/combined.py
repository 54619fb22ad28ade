"""One request to the database for what several threads ask at the same moment.

A request that writes or names several documents costs CouchDB much less than one for each of them, so clients that
store at the same time share it. A thread that comes alone does not wait for others.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass
class _Call(Generic[Item, Result]):
    """Items that go together, and what comes of them."""

    items: list[Item] = field(default_factory=list)
    results: Future[list[Result]] = field(default_factory=Future)


class Combined(Generic[Item, Result]):
    """A function that is called once for the items of all threads that come while it runs for others.

    `ask` takes credentials and at most `most` items, unless a single thread brings more; it returns as many results.
    """

    def __init__(self, ask: Callable[[str | None, list[Item]], list[Result]], most: int = 128) -> None:
        self._ask = ask
        self._most = most
        self._changed = threading.Condition()
        # The calls that wait, in their order, and the credentials for which one is running.
        self._waiting: dict[str | None, list[_Call[Item, Result]]] = {}
        self._running: set[str | None] = set()

    def __call__(self, authorization: str | None, items: list[Item]) -> list[Result]:
        """Return the results of `items`; what the function raises is raised in every thread whose items it had.

        Only items with the same credentials go together.
        """
        with self._changed:
            waiting = self._waiting.setdefault(authorization, [])
            if not waiting or len(waiting[-1].items) + len(items) > self._most:
                waiting.append(_Call())
            call = waiting[-1]
            start = len(call.items)
            call.items += items
            while not call.results.done() and (authorization in self._running or waiting[0] is not call):
                self._changed.wait()
            if mine := not call.results.done():
                waiting.pop(0)
                self._running.add(authorization)
        if mine:
            self._run(authorization, call)
        return call.results.result()[start : start + len(items)]

    def _run(self, authorization: str | None, call: _Call[Item, Result]) -> None:
        try:
            call.results.set_result(self._ask(authorization, call.items))
        except BaseException as problem:  # noqa: BLE001 - raised again in each thread that waits for this
            call.results.set_exception(problem)
        finally:
            with self._changed:
                self._running.discard(authorization)
                if not self._waiting[authorization]:
                    del self._waiting[authorization]
                self._changed.notify_all()
