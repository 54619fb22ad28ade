"""Reaching a database: the URL, its credentials, and errors a person can act on."""

import os
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import couchdb
import requests
from requests.auth import HTTPBasicAuth

from dicouch.config import split_url

DEFAULT_DATABASE = "dicom"
PROBE_TIMEOUT = 10.0


class CommandError(Exception):
    """A command cannot go on; its message is the one line that the person reads."""


def split_credentials(url: str) -> tuple[str, tuple[str, str] | None]:
    """Take user and password out of a URL.

    Parameters
    ----------
    url : str
        ``http[s]://[user:password@]host[:port][/prefix]``.

    Returns
    -------
    tuple of (str, tuple of (str, str) or None)
        The URL without credentials and without a trailing slash, and the decoded user and password.

    Raises
    ------
    CommandError
        When this is not an ``http`` or ``https`` URL.
    """
    try:
        return split_url(url)
    except ValueError as error:
        raise CommandError(str(error)) from error


def redact(url: str) -> str:
    """Return `url` without user and password, for printing."""
    return split_credentials(url)[0]


def client_of(url: str) -> tuple[str, requests.Session]:
    """Return a URL without user and password, and a session that sends these in UTF-8 (RFC 7617 2.1)."""
    plain, credentials = split_credentials(url)
    session = requests.Session()
    if credentials:
        # Texts would go as Latin-1, and fail beyond it.
        session.auth = HTTPBasicAuth(*(one.encode() for one in credentials))
    return plain, session


def with_credentials(url: str, credentials: tuple[str, str] | None) -> str:
    """Return `url` carrying `credentials`, percent-encoded so that every HTTP client reads them alike."""
    if credentials is None:
        return url
    parts = urlsplit(url)
    user, password = (quote(value, safe="") for value in credentials)
    return urlunsplit((parts.scheme, f"{user}:{password}@{parts.netloc}", parts.path, "", ""))


def database_name() -> str:
    """Name of the database: ``COUCHDB_DATABASE``, or ``dicom``."""
    return os.environ.get("COUCHDB_DATABASE") or DEFAULT_DATABASE


def connect(url: str, timeout: float = 60.0) -> couchdb.Server:
    """Connect to a CouchDB, or to a server that speaks its protocol.

    Parameters
    ----------
    url : str
        Root URL of the server, credentials included.
    timeout : float
        Seconds that one request may take.

    Returns
    -------
    couchdb.Server
        A server that has answered and accepted the credentials.

    Raises
    ------
    CommandError
        When nothing answers there, the login is refused, or something else answers.
    """
    plain, credentials = split_credentials(url)
    # Two requests: the root may be open to everyone while the credentials are wrong.
    welcome = _probe(f"{plain}/", plain, credentials)
    if not isinstance(welcome, dict) or not {"couchdb", "express-pouchdb", "pouchdb-server"} & welcome.keys():
        raise CommandError(f"{plain} is not a CouchDB: its welcome message is missing")
    if credentials is not None:
        _probe(f"{plain}/_session", plain, credentials)
    session = couchdb.http.Session(timeout=timeout)
    return couchdb.Server(with_credentials(plain, credentials), session=session)


def _probe(address: str, plain: str, credentials: tuple[str, str] | None) -> Any:
    """Fetch a JSON resource of the server; every way in which that fails is one clear line."""
    session = client_of(with_credentials(plain, credentials))[1]
    # A proxy or a .netrc of this account must not change who is asked, and as whom.
    session.trust_env = False
    try:
        answer = session.get(address, timeout=PROBE_TIMEOUT, headers={"Accept": "application/json"})
    except requests.exceptions.SSLError as error:
        raise CommandError(f"{plain} has no certificate that is trusted here: {error}") from error
    except requests.exceptions.ConnectTimeout as error:
        raise CommandError(f"{plain} does not answer within {PROBE_TIMEOUT:.0f} s") from error
    except requests.exceptions.ConnectionError as error:
        raise CommandError(f"cannot reach a database at {plain}: {_cause(error)}") from error
    except requests.exceptions.RequestException as error:
        raise CommandError(f"no usable answer from {plain}: {error}") from error
    if answer.status_code in (401, 403):
        user = f"user {credentials[0]!r}" if credentials else "a request without user and password"
        raise CommandError(f"{plain} refuses {user} ({answer.status_code}): {reason(answer)}")
    try:
        body = answer.json()
    except ValueError as error:
        raise CommandError(f"{plain} is not a CouchDB: it answers {answer.status_code} without JSON") from error
    if answer.status_code >= 400:
        raise CommandError(f"{plain} answers {answer.status_code}: {reason(answer)}")
    return body


def reason(answer: requests.Response) -> str:
    """The reason that a CouchDB gives in its JSON body, else the HTTP reason."""
    try:
        body = answer.json()
    except ValueError:
        return answer.reason
    return body.get("reason") or body.get("error") or answer.reason if isinstance(body, dict) else answer.reason


def _cause(error: Exception) -> str:
    """The innermost cause of a connection error, without the client's internals around it."""
    text = str(error)
    for known in (
        "Connection refused",
        "Name or service not known",
        "No route to host",
        "Connection reset",
        "Temporary failure in name resolution",
        "Network is unreachable",
    ):
        if known in text:
            return known.lower()
    return "the connection failed"
