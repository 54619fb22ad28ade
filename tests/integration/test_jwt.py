"""Tokens (RFC 7519) on an Apache CouchDB that has its handler for them: whose one is, decides what is seen."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path

import pytest
import requests

from dicouch.scripts.connection import redact
from dicouch.scripts.databases import find_couchdb, private_couchdb
from tests.conftest import skip
from tests.server import serve

KEY = b"a key that only this test and its database have"
HANDLERS = ", ".join(f"{{chttpd_auth, {kind}_authentication_handler}}" for kind in ("cookie", "jwt", "default"))


def token(name: str, key: bytes = KEY, seconds: int = 600) -> dict[str, str]:
    """Return the header of a user, signed with HS256 (RFC 7515)."""

    def encoded(part: bytes) -> bytes:
        return base64.urlsafe_b64encode(part).rstrip(b"=")

    head = {"alg": "HS256", "typ": "JWT"}
    claims = {"sub": name, "exp": int(time.time()) + seconds}
    signed = b".".join(encoded(json.dumps(part).encode()) for part in (head, claims))
    signature = encoded(hmac.new(key, signed, hashlib.sha256).digest())
    return {"Authorization": f"Bearer {(signed + b'.' + signature).decode()}"}


@pytest.fixture(scope="module")
def restricted(tmp_path_factory, pytestconfig):
    """Give the URL of a database that only ann may read, on a CouchDB that knows tokens."""
    if not find_couchdb():
        skip(pytestconfig, "tokens of Apache CouchDB", "no `couchdb` on PATH or in /opt/couchdb/bin")
    with private_couchdb(tmp_path_factory.mktemp("jwt")) as database:
        settings = f"{database.url}/_node/_local/_config"
        for name, value in (
            ("jwt_keys/hmac:_default", base64.b64encode(KEY).decode()),
            ("chttpd/authentication_handlers", HANDLERS),
        ):
            requests.put(f"{settings}/{name}", json=value, timeout=30).raise_for_status()
        database.process.kill()  # it reads its handlers when it starts
        database.process.wait()
        database.restart()
        deadline = time.monotonic() + 30
        while True:
            try:
                requests.get(redact(database.url), timeout=30)
                break
            except requests.ConnectionError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        url = f"{database.url}/tokens"
        requests.put(url, timeout=30).raise_for_status()
        only_ann = {"members": {"names": ["ann"]}, "admins": {"names": []}}
        requests.put(f"{url}/_security", json=only_ann, timeout=30).raise_for_status()
        yield url


def test_tokens(restricted, tmp_path: Path):
    with serve(restricted, tmp_path / "log", AUTHORIZATION="required", ready=(401,)) as server:
        for headers, status in (
            (token("ann"), 200),
            (token("bob"), 403),
            (token("ann", b"another key"), 401),
            (token("ann", seconds=-60), 401),
            ({}, 401),
        ):
            for _time in range(2):  # once more, when it is remembered
                assert server.get("/studies", headers=headers).status_code == status, headers
