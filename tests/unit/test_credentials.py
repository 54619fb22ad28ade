"""What of a client's credentials is handed through to CouchDB (RFC 9110 11.6.2, RFC 7617, RFC 6750, RFC 7519)."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from dicouch.couch.client import Couch
from dicouch.couch.credentials import Credentials
from dicouch.errors import DicomWebError

TOKEN = "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl"
UNKNOWN = [
    "Bearer None",
    "Bearer ",
    "Bearer",
    "Bearer a.b",
    "Negotiate YII=",
    'Digest username="ann"',
    "AWS4-HMAC-SHA256 Credential=x",
    "Token 123",
    "None",
    "",
    "Basic",
    "Basic None",
    "Basic Og==",
    "Basic !!!!",
    "Cookie AuthSession=good",
]


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture
def session():
    """Serve `/_session` as CouchDB does; what it is asked is kept, and what it says can be changed."""
    told = {"jwt": False, "asked": []}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            assert self.path == "/couch/_session"
            cookie, authorization = self.headers.get("Cookie"), self.headers.get("Authorization")
            told["asked"].append(cookie or authorization)
            # CouchDB without the handler knows nothing of tokens; with it, it refuses what it cannot read.
            status, name = (
                200,
                "ann" if cookie == "AuthSession=good" or (authorization == TOKEN and told["jwt"]) else None,
            )
            if authorization and told["jwt"] and not name:
                status = 400
            body = (
                {"ok": True, "userCtx": {"name": name}} if status == 200 else {"error": "bad_request", "reason": "exp"}
            )
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    told["couch"] = Couch(f"http://127.0.0.1:{server.server_port}/couch", "dicom")
    yield told
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("given", UNKNOWN)
def test_what_couchdb_does_not_know_counts_as_nothing(session, given):
    assert Credentials(session["couch"], "known").of(given, {}) is None
    assert Credentials(session["couch"], "none").of(given, {}) is None
    assert Credentials(session["couch"], "all").of(given, {}) == given
    with pytest.raises(DicomWebError) as problem:
        Credentials(session["couch"], "required").of(given, {})
    assert problem.value.status == 401
    assert problem.value.headers["WWW-Authenticate"].startswith("Basic")


def test_a_user_and_a_password_are_handed_through(session):
    for given in (basic("ann", "x"), basic("ü", "pässwörd€"), basic("ann", ""), basic("a", ":"), "basic YTpi"):
        for mode in ("known", "required", "all"):
            assert Credentials(session["couch"], mode).of(given, {"AuthSession": "good"}) == given
        assert Credentials(session["couch"], "none").of(given, {}) is None
    assert session["asked"] == []


def test_a_token_where_couchdb_has_its_handler(session):
    assert Credentials(session["couch"], "known").of(TOKEN, {}) is None
    session["jwt"] = True
    credentials = Credentials(session["couch"], "known")
    assert [credentials.of(TOKEN, {}) for _ in range(3)] == [TOKEN] * 3
    for _ in range(2):
        assert credentials.of("Bearer None", {}) is None
        assert credentials.of("Bearer a.b.c", {}) is None  # of another server
    assert session["asked"] == [TOKEN, TOKEN, "Bearer a.b.c"]


def test_the_cookie_of_a_session(session):
    credentials = Credentials(session["couch"], "known")
    for _ in range(2):
        assert credentials.of(None, {"AuthSession": "good"}) == "Cookie AuthSession=good"
        assert credentials.of("Bearer None", {"AuthSession": "good"}) == "Cookie AuthSession=good"
        assert credentials.of(None, {"AuthSession": "stale"}) is None
        assert credentials.of(None, {"AuthSession": "a; b=c"}) is None
        assert credentials.of(None, {"other": "good"}) is None
    assert session["asked"] == ["AuthSession=good", "AuthSession=stale"]


def test_a_database_that_does_not_answer():
    credentials = Credentials(Couch("http://127.0.0.1:9", "dicom"), "known")
    with pytest.raises(DicomWebError) as told:  # nobody else's account instead
        credentials.of(TOKEN, {"AuthSession": "good"})
    assert told.value.status == 503
