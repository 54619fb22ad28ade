"""A small client for the tests of this folder: what they send is what is tested."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
import requests


class Couch:
    """Requests to one database.

    Parameters
    ----------
    url : str
        The database, with credentials.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()

    def request(self, method: str, path: str = "", **options) -> requests.Response:
        return self.session.request(method, f"{self.url}{'/' + path if path else ''}", timeout=60, **options)

    def get(self, path: str = "", **options) -> requests.Response:
        return self.request("GET", path, **options)

    def post(self, path: str = "", **options) -> requests.Response:
        return self.request("POST", path, **options)

    def put(self, path: str, **options) -> requests.Response:
        return self.request("PUT", path, **options)

    def delete(self, path: str, **options) -> requests.Response:
        return self.request("DELETE", path, **options)

    def save(self, *docs: dict) -> list[dict]:
        """Store documents; each must be accepted."""
        answer = self.post("_bulk_docs", json={"docs": list(docs)})
        assert answer.status_code == 201, answer.text
        assert not [one for one in answer.json() if "error" in one], answer.text
        return answer.json()

    def design(self, name: str, **fields) -> None:
        """Store or replace a design document."""
        path = f"_design/{name}"
        present = self.get(path)
        if present.ok:
            fields["_rev"] = present.json()["_rev"]
        answer = self.put(path, json=fields)
        assert answer.status_code == 201, answer.text

    def view(self, path: str, **options) -> dict:
        """Query a view ``design/view``; options are JSON-encoded."""
        design, name = path.split("/")
        answer = self.get(
            f"_design/{design}/_view/{name}", params={key: json.dumps(value) for key, value in options.items()}
        )
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="module")
def couch(fresh_database: str) -> Couch:
    """Give a database that this module has to itself."""
    return Couch(fresh_database)


def segment(identifier: str) -> str:
    """Encode an id as one segment of a path."""
    return quote(identifier, safe="")
