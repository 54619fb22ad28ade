"""Events as they happen, for viewers: ``text/event-stream`` (https://html.spec.whatwg.org/multipage/server-sent-events.html).

Each stream holds a thread of the server, so that there is a bound on them. docs/changes.md tells how it is used.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import orjson
from flask import Response, request

from dicouch.couch.response import CouchError
from dicouch.dicom.media.negotiate import parse_media_type
from dicouch.errors import DicomWebError
from dicouch.read.events import Batch
from dicouch.rewrite.events import Filter, Position
from dicouch.routes import answers, current
from dicouch.services import Services, services

KIND = "text/event-stream"
# Seconds without an event after which a comment shows that the connection lives; milliseconds after which a browser
# whose stream ended comes again.
HEARTBEAT, RETRY = 15.0, 3000
# Seconds after which a stream looks whether it may go on.
SLICE = 1.0


def stream() -> Response:
    """Answer with the events from now on, or from behind ``Last-Event-ID``, while the client may read the database."""
    current.negotiated([parse_media_type(KIND)])
    wanted = Filter.parse(request.args.items(multi=True))
    ours, authorization = services(), current.authorization()
    ours.couch.json("GET", "", authorization=authorization)  # whoever may not read is told now
    last = request.headers.get("Last-Event-ID") or request.args.get("lastEventId", "")
    heard = Position.read(last)
    if request.method == "HEAD":
        return _headed(Response(content_type=KIND))
    ours.events.join()
    try:
        position = ours.events.begin(heard)
    except BaseException as problem:
        ours.events.leave()
        if isinstance(problem, CouchError) and problem.status in (401, 403):
            raise DicomWebError(503, "the account in COUCHDB_URL may not write the log of changes") from problem
        raise
    # Who asks for what is of another log has missed some, and has to load anew.
    lost = bool(last.strip()) and position != heard
    pieces = _pieces(ours, position, wanted, lost, authorization, request.environ.get("gunicorn.socket"))
    response = _headed(Response(pieces, content_type=KIND))
    response.call_on_close(ours.events.leave)
    return response


def _headed(response: Response) -> Response:
    response.headers["X-Accel-Buffering"] = "no"  # nginx would keep events back
    response.vary.update(("Authorization", "Last-Event-ID"))
    return answers.not_stored(response)


def _pieces(
    ours: Services,
    position: Position,
    wanted: Filter,
    lost: bool,
    authorization: str | None,
    client: socket.socket | None,
) -> Iterator[bytes]:
    """Yield the stream until the client may not read any more, or the process stops."""
    every = max(1.0, ours.config.remember)
    yield f"retry: {RETRY}\nid: {position}\n\n".encode()
    if lost:
        yield b"event: reset\ndata: {}\n\n"
    told = checked = time.monotonic()
    while ours.events.is_open() and not _is_gone(client):
        try:
            batch = ours.events.behind(position, SLICE)
        except (CouchError, DicomWebError):
            return  # the client comes again, from where it is
        now = time.monotonic()
        if now - checked >= every:
            if not ours.memory.admits(authorization):
                return
            checked = now
        if batch is not None:
            position, told = batch.position, now
            yield written(batch, wanted)
        elif now - told >= HEARTBEAT:
            told = now
            yield b": \n\n"


def _is_gone(client: socket.socket | None) -> bool:
    """Return whether a client has closed its connection: its place is for others before anything is sent in vain."""
    if client is None:
        return False
    try:
        return client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except (BlockingIOError, InterruptedError, ValueError):  # nothing came; TLS cannot look ahead
        return False
    except OSError:
        return True


def written(batch: Batch, wanted: Filter) -> bytes:
    """Return the events of a batch that are wanted; the last has the id, so that who resumes misses none of them."""
    events = [event for event in batch.events if wanted.takes(event)]
    texts = [f"event: {event.kind}\ndata: {orjson.dumps(event.told()).decode()}\n" for event in events]
    return ("\n".join([*texts, ""]) if texts else "").rstrip("\n").encode() + f"\nid: {batch.position}\n\n".encode()
