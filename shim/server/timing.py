"""What a request cost (``Server-Timing``): time in CouchDB and in the shim, what was asked and what was remembered."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field

from flask import Response, g, has_app_context, request
from werkzeug.http import quote_header_value

from dicouch.server.request_body import RequestBody

# Headers must stay short: so many requests are told one by one, and so much of each.
MOST_ENTRIES = 8
LONGEST_DESCRIPTION = 100
# Where the trace lies in the environment of WSGI, for who looks when the answer is sent.
TRACE = "dicouch.trace"


@dataclass
class Trace:
    """The requests to CouchDB that one request of a client led to, and what it found in the memory."""

    started: float = field(default_factory=time.perf_counter)
    # Method and target of each, and the seconds until its answer was read.
    asked: list[tuple[str, float]] = field(default_factory=list)
    # How often something was remembered, or not, and seconds since the oldest of it was read.
    hits: int = 0
    misses: int = 0
    age: float = 0.0
    # Whether nothing is remembered, as changes by others are not heard of.
    silent: bool = False
    # Flask's name of the route, None for no resource; seconds in CouchDB and in the shim until the answer began.
    endpoint: str | None = None
    couch: float = 0.0
    shim: float = 0.0
    # The body, where the route reads one.
    body: RequestBody | None = None


def begin() -> None:
    """Begin to measure the current request."""
    g.trace = request.environ[TRACE] = Trace(endpoint=request.endpoint)


def receiving(body: RequestBody) -> RequestBody:
    """Take note of what reads the body of the current request."""
    g.trace.body = body
    return body


def observe(name: str, seconds: float) -> None:
    """Take note of a request to CouchDB, or of more seconds of the last one."""
    trace = _trace()
    if trace is not None:
        asked = trace.asked
        if asked and asked[-1][0] == name:
            seconds += asked.pop()[1]
        asked.append((name, seconds))


def _trace() -> Trace | None:
    return g.get("trace") if has_app_context() else None


def recalled(found: bool | None, age: float) -> None:
    """Take note of a look into the memory; see `dicouch.couch.memory.Memory.observe`."""
    trace = _trace()
    if trace is not None:
        trace.hits += found is True
        trace.misses += found is False
        trace.silent |= found is None
        trace.age = max(trace.age, age)


def add_header(response: Response) -> Response:
    """Add ``Server-Timing`` (https://www.w3.org/TR/server-timing/), durations in milliseconds."""
    trace = g.get("trace")
    if trace is not None:
        trace.couch = couch = sum(seconds for _asked, seconds in trace.asked)
        trace.shim = shim = max(0.0, time.perf_counter() - trace.started - couch)
        entries = [f"couch;dur={couch * 1000:.2f}", f"shim;dur={shim * 1000:.2f}"]
        if trace.silent:
            entries.append('memory;desc="silent: changes by others are not heard of"')
        elif trace.hits or trace.misses:
            age = f", age {trace.age:.1f} s" if trace.hits else ""
            entries.append(f'memory;desc="hits {trace.hits}, misses {trace.misses}{age}"')
        entries += [
            f"ask;dur={seconds * 1000:.2f};desc={quoted(described(asked))}"
            for asked, seconds in trace.asked[:MOST_ENTRIES]
        ]
        response.headers["Server-Timing"] = ", ".join(entries)
    return response


def described(name: str) -> str:
    """Return the method and the function or view of a request, without what it asks for: UIDs say who a patient is."""
    method, _, target = name.partition(" ")
    path = target.partition("?")[0]
    design, last = path.partition("/_design/")[2].removeprefix("dicom/"), path.rpartition("/")[2]
    return f"{method} {design or (last if last.startswith('_') else 'document')}"


def quoted(text: str) -> str:
    """Return a text as a quoted string of a header."""
    return quote_header_value(re.sub("[^ -~]", "?", text[:LONGEST_DESCRIPTION]), allow_token=False)
