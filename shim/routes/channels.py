"""Event channels: WebSockets on which subscribers are told what becomes of their workitems (PS3.18 8.10.4, 11.13)."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Iterable
from functools import partial
from wsgiref.types import StartResponse, WSGIEnvironment

import orjson
from flask import Response, request
from simple_websocket import ConnectionClosed, Server
from wsproto.utilities import ProtocolError

from dicouch.errors import DicomWebError
from dicouch.read.channels import Channel
from dicouch.rewrite import workitems
from dicouch.routes import current
from dicouch.services import Services, services
from dicouch.write.worklist import Worklist

# Seconds between two looks whether the other side is still there, and signs of life that it has to answer.
PING, LOOK = 25, 1.0
# Bytes of a message of the client, which has nothing to say.
LARGEST = 1024
TRY_AGAIN_LATER, GOING_AWAY, POLICY_VIOLATION = 1013, 1001, 1008


class Switched(Response):
    """The answer of a connection that is no HTTP any more: gunicorn is told to leave it alone."""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        raise StopIteration


def open_channel(aetitle: str) -> Response:
    """Open an event channel, and send events on it until either side ends it."""
    title = workitems.title_of(aetitle)
    _check_upgrade()
    ours, authorization = services(), current.authorization()
    # Whoever may not read the database is told so in HTTP.
    ours.couch.json("GET", "", authorization=authorization)
    channel = ours.channels.open(title)
    try:
        opened = Worklist(ours.couch, authorization, ours.channels.server).opens(title)
        if opened["restarted"]:
            channel.put(workitems.GLOBAL, workitems.scp_status("RESTARTED"))
        socket = _accept()
        with contextlib.suppress(ConnectionClosed, OSError):
            _send(socket, channel, ours, authorization)
    finally:
        ours.channels.close(channel)
    return Switched(status=101)


def _accept() -> Server:
    """Answer the handshake; DicomWebError 400 for one that is none."""
    # A process that ends does not wait for the threads that read.
    reader = partial(threading.Thread, daemon=True)
    try:
        accepted = Server.accept(request.environ, ping_interval=PING, max_message_size=LARGEST, thread_class=reader)
    except ProtocolError as problem:
        raise DicomWebError(400, f"the handshake of the WebSocket is none: {problem}") from problem
    # Nobody reads what a client says, so that no more of it is kept.
    accepted.input_buffer = deque(maxlen=1)
    return accepted


def _check_upgrade() -> None:
    """Refuse what is no opening handshake (RFC 6455 4.2.1): DicomWebError 426 and 400."""
    headers = request.headers
    asked = request.method == "GET" and headers.get("Upgrade", "").lower() == "websocket"
    if not asked or headers.get("Sec-WebSocket-Version") != "13":
        needs = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
        raise DicomWebError(426, "an event channel is a WebSocket (RFC 6455)", needs)
    if "upgrade" not in headers.get("Connection", "").lower() or len(headers.get("Sec-WebSocket-Key", "")) != 24:
        raise DicomWebError(400, "the handshake of the WebSocket is not whole (RFC 6455 4.2.1)")


def _send(socket: Server, channel: Channel, ours: Services, authorization: str | None) -> None:
    """Send events until the channel ends or falls behind, or its client's right does."""
    while socket.connected:
        try:
            event = channel.events.get(timeout=LOOK)
        except queue.Empty:
            continue
        if event is None:
            return socket.close(GOING_AWAY, "the server goes down")
        if not ours.memory.admits(authorization):
            return socket.close(POLICY_VIOLATION, "the credentials are no longer valid")
        socket.send(orjson.dumps(event).decode())
        if channel.late:
            return socket.close(TRY_AGAIN_LATER, "events were lost: read the state of the workitems")
    return None
