"""A patient's metadata replicated from the server and searched without it: the same rows, in node and in a browser."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests import offline
from tests.server import ROOT, Server

LOGIC = ROOT / "scripts/logic"


@pytest.fixture(scope="module")
def expected(server: Server) -> Iterator[list[dict[str, Any]]]:
    """Give what the server answers to each query."""
    offline.fill(server)
    yield offline.answers(server)


@pytest.fixture(scope="session")
def package() -> str:
    """Give the package's script, made anew."""
    subprocess.run(["node", "pack.js"], cwd=LOGIC, check=True, timeout=60)
    return str(LOGIC / "dist/index.js")


def test_in_node_as_on_the_server(server, expected, package, tmp_path):
    given = {
        "module": package,
        "pouchdb": str(LOGIC / "node_modules/pouchdb"),
        "folder": str(tmp_path / "local"),
        "url": server.url,
        "studies": offline.STUDIES,
        "queries": offline.QUERIES,
        "refused": offline.REFUSED,
    }
    node = ["node", str(ROOT / "tests/js/offline.js")]
    done = subprocess.run(node, input=json.dumps(given), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(offline.QUERIES) >= 100
    assert (found["docs"], found["again"], found["attachments"]) == (10 * 16 + 1 + 7, 0, 0)
    for name in ("array", "pouch"):
        assert offline.differences(expected, found[name]) == [], name
    assert found["refused"] == [server.get(query).status_code for query in offline.REFUSED] == [400] * len(offline.REFUSED)
