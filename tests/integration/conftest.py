"""A server of each test module's own, in front of each database that is there."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import requests

from dicouch.scripts.databases import Database
from tests.archive import fill
from tests.files import real_files
from tests.integration.gallery import fill as gallery_of
from tests.server import Server, serve


@pytest.fixture(scope="module")
def server(fresh_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Give a server of the test module's own, on each database."""
    with serve(fresh_database, tmp_path_factory.mktemp("server") / "gunicorn.log") as running:
        yield running


@dataclass(frozen=True)
class Bundled:
    """A server with every real file in it, and what the answers to storing them said by the tag of their sequence."""

    server: Server
    told: dict[str, list[dict]]

    def paths(self) -> set[str]:
        """Return the resources of all instances that the database has, below the DICOMweb root."""
        rows = requests.get(f"{self.server.database}/_all_docs", timeout=60).json()["rows"]
        found = [row["id"].split(":") for row in rows if row["id"].count(":") == 2]
        return {"/studies/{}/series/{}/instances/{}".format(*place) for place in found}


@pytest.fixture(scope="session")
def bundled(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundled]:
    """Store every real file in requests of 25, once for all modules; those may store more."""
    told: dict[str, list[dict]] = {"00081199": [], "00081198": [], "0008119A": []}
    files = list(real_files().values())
    url = f"{database.url}/bundled-{uuid.uuid4().hex}"
    requests.put(url, timeout=30).raise_for_status()
    with serve(url, tmp_path_factory.mktemp("bundled") / "gunicorn.log") as running:
        for start in range(0, len(files), 25):
            response = running.store(*files[start : start + 25])
            assert response.status_code in (200, 202), response.text
            for tag, known in told.items():
                known += response.json().get(tag, {}).get("Value", [])
        yield Bundled(running, told)
    requests.delete(url, timeout=60).raise_for_status()


@pytest.fixture(scope="module")
def archive(server: Server) -> Server:
    """Give a server with the studies 0 to 59 of the synthetic archive, three series of four instances each."""
    fill(server.database, 0, 60, series=3, instances=4)
    return server


@pytest.fixture(scope="module")
def gallery(server: Server):
    """Give a server with files of every kind in it."""
    return gallery_of(server)
