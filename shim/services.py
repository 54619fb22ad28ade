"""What the requests of a process share: `Services.from_config` makes it, `services` finds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from flask import current_app

from dicouch.config import Config
from dicouch.couch.client import Couch
from dicouch.couch.known import Register
from dicouch.couch.ring import Ring
from dicouch.couch.study_memory import Memory
from dicouch.read.fingerprints import Fingerprints
from dicouch.read.neighbours import Neighbours
from dicouch.read.search.by_extended import Indexes
from dicouch.read.search.listed import read_listed
from dicouch.rewrite.extended import Extended
from dicouch.store.places import Bytes
from dicouch.write.bulk import BulkWriter
from dicouch.write.headers import Merged
from dicouch.write.pace import Pace

NAME = "dicouch"


@dataclass(frozen=True)
class Services:
    """The parts of the application that outlive a request."""

    config: Config
    couch: Couch
    # Where Part 10 bytes are.
    store: Bytes
    # Answers, in memory that is made before gunicorn forks and that its processes share; validators of metadata.
    cache: Ring
    fingerprints: Fingerprints
    # What is known of headers, of studies that were searched, of instances; which series are read one by one.
    merged: Merged
    studies: Memory
    register: Register
    neighbours: Neighbours
    # How far the index is behind; small documents of several requests in one write.
    pace: Pace
    bulk: BulkWriter
    # Further attributes that the site searches by, and which of them have an index.
    extended: list[Extended]
    indexes: Indexes

    @classmethod
    def from_config(cls, config: Config) -> Services:
        """Build everything that a configuration asks for."""
        couch = Couch(config.couchdb_url, config.couchdb_database)
        cache = Ring()
        return cls(
            config=config,
            couch=couch,
            store=Bytes.from_config(config, couch),
            cache=cache,
            fingerprints=Fingerprints(cache),
            merged=Merged(),
            studies=Memory(),
            register=Register(config.remember),
            neighbours=Neighbours(),
            pace=Pace(couch),
            bulk=BulkWriter(couch),
            extended=read_listed(config.extended_attributes),
            indexes=Indexes(couch),
        )


def services() -> Services:
    """Return the services of the running application."""
    return cast(Services, current_app.extensions[NAME])
