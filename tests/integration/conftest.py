"""A server of each test module's own, in front of each database that is there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.archive import fill
from tests.integration.gallery import fill as gallery_of
from tests.server import Server, serve


@pytest.fixture(scope="module")
def server(fresh_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Give a server of the test module's own, on each database."""
    with serve(fresh_database, tmp_path_factory.mktemp("server") / "gunicorn.log") as running:
        yield running


@pytest.fixture(scope="module")
def archive(server: Server) -> Server:
    """Give a server with the studies 0 to 59 of the synthetic archive, three series of four instances each."""
    fill(server.database, 0, 60, series=3, instances=4)
    return server


@pytest.fixture(scope="module")
def gallery(server: Server):
    """Give a server with files of every kind in it."""
    return gallery_of(server)
