"""What of a client's credentials is handed through to CouchDB: what CouchDB knows, or as the site decides."""

from __future__ import annotations

import base64
import binascii
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping

from dicouch.couch.client import COOKIE, Couch
from dicouch.couch.response import CouchError
from dicouch.errors import DicomWebError

# A signed token of three parts (RFC 7515 3.1); `Bearer None` is none.
TOKEN = re.compile(r"Bearer +[\w-]+\.[\w-]+\.[\w-]+ *", re.IGNORECASE | re.ASCII)
BASIC = re.compile(r"Basic +([\w+/=-]+) *", re.IGNORECASE | re.ASCII)
SESSION = "AuthSession"
AUTH_SESSION = re.compile(rf"{COOKIE}{SESSION}=[\w.~=-]+", re.ASCII)
# Seconds for which CouchDB's word on whose a token or a cookie is, is taken; and of how many.
TRUSTED = 60.0
MOST = 4096


class Credentials:
    """Chooses what of a request says who asks.

    Parameters
    ----------
    couch : Couch
    mode : {"known", "all", "required", "none"}
        ``known``: Basic with a user's name, and a token or a session's cookie of which CouchDB says whose it is; a
        client with anything else counts as one without credentials. ``all``: whatever comes in ``Authorization``.
        ``required``: as ``known``, and who brings nothing is refused. ``none``: nothing.
    """

    def __init__(self, couch: Couch, mode: str) -> None:
        # The resource has the place of a database.
        self._sessions = Couch(couch.root, "_session", 10.0)
        self._sessions.credentials = couch.credentials
        self._mode = mode
        # Of a token or a cookie: whether it is a user's, and when CouchDB was asked.
        self._asked: OrderedDict[str, tuple[bool, float]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, authorization: str | None, cookies: Mapping[str, str]) -> str | None:
        """Return what `Couch` takes as the client's own credentials, None where it has none.

        Parameters
        ----------
        authorization : str or None
            The header of the client's request.
        cookies : mapping

        Raises
        ------
        DicomWebError
            401 where the site requires credentials and there are none, 503 when nobody says whose they are.
        """
        if self._mode == "all":
            return authorization
        found = None
        if self._mode != "none":
            cookie = cookies.get(SESSION, "")
            if authorization and (_names_somebody(authorization) or self._is_known(authorization, TOKEN)):
                found = authorization
            elif self._is_known(f"{COOKIE}{SESSION}={cookie}", AUTH_SESSION):
                found = f"{COOKIE}{SESSION}={cookie}"
        if found is None and self._mode == "required":
            raise DicomWebError(401, "this site asks for a login", {"WWW-Authenticate": 'Basic realm="dicouch"'})
        return found

    def _is_known(self, credentials: str, form: re.Pattern[str]) -> bool:
        """Return whether credentials have a form, and CouchDB knows whose they are."""
        if not form.fullmatch(credentials):
            return False
        now = time.monotonic()
        with self._lock:
            known, asked = self._asked.get(credentials, (False, -TRUSTED))
        if now - asked < TRUSTED:
            return known
        try:
            known = bool(self._sessions.json("GET", "", authorization=credentials)["userCtx"]["name"])
        except CouchError:
            known = False  # a signature or a time that CouchDB does not take
        with self._lock:
            self._asked[credentials] = known, now
            while len(self._asked) > MOST:
                self._asked.popitem(last=False)
        return known


def _names_somebody(authorization: str) -> bool:
    """Return whether this is Basic with a user's name (RFC 7617 2)."""
    match = BASIC.fullmatch(authorization)
    try:
        return match is not None and base64.b64decode(match[1]).find(b":") > 0
    except binascii.Error:
        return False
