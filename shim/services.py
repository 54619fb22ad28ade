"""What the requests of a process share: `Services.from_config` makes it, `services` finds it."""

from __future__ import annotations

import secrets
import socket
from dataclasses import dataclass, field
from typing import cast

from flask import Flask, current_app

from dicouch.config import Config
from dicouch.couch.changelog import ChangeLog
from dicouch.couch.client import Couch
from dicouch.couch.credentials import Credentials
from dicouch.couch.memory import Memory
from dicouch.read.channels import Channels
from dicouch.read.events import Events, Room
from dicouch.read.search.own_attributes import read_listed
from dicouch.rewrite.extended import Extended
from dicouch.store.places import Bytes
from dicouch.write.bulk import BulkWriter
from dicouch.write.indexed import Indexed
from dicouch.write.pace import Pace

NAME = "dicouch"


@dataclass(frozen=True)
class Services:
    """The parts of the application that outlive a request."""

    config: Config
    couch: Couch
    # Where Part 10 bytes are.
    store: Bytes
    # What of a client's credentials counts.
    credentials: Credentials
    # What is remembered of the database; a part of it is made before gunicorn forks, and shared by its processes.
    memory: Memory
    # What was stored, replaced and deleted, in its order.
    log: ChangeLog
    events: Events
    # Who writes waits for the index; how far that is behind; small documents of several requests in one write.
    indexed: Indexed
    pace: Pace
    bulk: BulkWriter
    # Where subscribers of the worklist are told of events.
    channels: Channels
    # Threads that streams of events and channels share.
    room: Room
    # Further attributes that the site searches by.
    extended: list[Extended]
    # Of the forms' tokens: made before gunicorn forks, so all processes have the same.
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    @classmethod
    def from_config(cls, config: Config) -> Services:
        """Build everything that a configuration asks for."""
        couch = Couch(config.couchdb_url, config.couchdb_database, config.database_timeout)
        memory, log, room = Memory.of(couch, config.remember), ChangeLog(couch), Room()
        indexed = Indexed(couch, memory.states)
        couch.wrote = indexed.wrote
        return cls(
            config=config,
            couch=couch,
            store=Bytes.from_config(config, couch),
            credentials=Credentials(couch, config.authorization),
            memory=memory,
            log=log,
            events=Events(couch, log, memory, config.event_streams, room),
            indexed=indexed,
            pace=Pace(couch),
            bulk=BulkWriter(couch),
            channels=Channels(couch, memory, config.event_channels, room, f"{socket.gethostname()} {config.shim_bind}"),
            room=room,
            extended=read_listed(config.extended_attributes),
        )


def of(app: Flask) -> Services:
    """Return the services of an application."""
    return cast(Services, app.extensions[NAME])


def services() -> Services:
    """Return the services of the running application."""
    return of(current_app)
