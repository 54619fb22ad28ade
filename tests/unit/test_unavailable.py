"""Every 503 says when to ask again (RFC 9110 15.6.4)."""

from __future__ import annotations

import pytest

from dicouch.app import create_app
from dicouch.config import Config
from dicouch.errors import DicomWebError
from dicouch.routes.problems import answer
from tests.unit.test_origins import NOWHERE, ROUTES


def test_every_route_says_so_while_the_database_is_away():
    ask = create_app(Config(**NOWHERE)).test_client()
    refused = {}
    for method, path in ROUTES:
        found = ask.open(path, method=method)
        assert found.status_code < 500 or found.status_code == 503, (method, path)
        if found.status_code == 503:
            refused[method, path] = int(found.headers["Retry-After"])
    assert len(refused) > 60
    assert all(1 <= seconds <= 10 for seconds in refused.values())


@pytest.mark.parametrize(("headers", "seconds"), [(None, "5"), ({"Retry-After": "600"}, "600")])
def test_a_reason_of_its_own(headers, seconds):
    with create_app(Config(**NOWHERE)).test_request_context():
        assert answer(DicomWebError(503, "full", headers)).headers["Retry-After"] == seconds
        assert "Retry-After" not in answer(DicomWebError(502, "broken", headers and {})).headers
