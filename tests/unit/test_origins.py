"""Who may use the server through a browser, by which name, and from which network: routes x origins x names."""

from __future__ import annotations

import itertools
import re

import pytest

from dicouch.app import create_app
from dicouch.config import Config
from dicouch.server import listening
from tests.conftest import EXTENT

# Nothing listens there: an answer of the database is a 503, and whoever gets one was let in.
NOWHERE = {"couchdb_url": "http://127.0.0.1:9", "remember": 0.0}
LOOPBACK = ["http://localhost:3000", "http://127.0.0.1", "https://[::1]:8080", "http://app.localhost:1"]
FOREIGN = [
    "https://evil.example",
    "null",
    "http://localhost.evil.example",
    "http://localhost@evil.example",
    "http://127.0.0.1.evil.example",
    "file://",
    "chrome-extension://localhost",
    "http://[",
    "http://localhost:3000,http://evil.example",
    "http://192.168.1.5",
    "http://localhost:x",
]
NAMED = "https://viewer.example"


def client(**settings):
    return create_app(Config(**{**NOWHERE, **settings})).test_client()


def routes():
    """Return method and path of every rule of the application, with UIDs in the place of variables."""
    rules = create_app(Config(**NOWHERE)).url_map.iter_rules()
    return sorted(
        {
            (method, re.sub(r"<(?:\w+:)?(\w+)>", lambda match: "1" if match[1] == "frames" else "1.2", rule.rule))
            for rule in rules
            for method in rule.methods
        }
    )


def stores(method, path):
    return method == "POST" and re.fullmatch(r"/dicom-web/studies(/1\.2)?", path)


def reads(method, path):
    return method in ("GET", "HEAD", "OPTIONS") or (method, path) == ("POST", "/dicom-web/documents/1.2/_bulk_get")


def is_edit(method, path):
    return not reads(method, path) and not stores(method, path)


ROUTES = routes()


def with_some(names):
    """Return each name with one route in three, the next with the next third; with every route with `--all`."""
    return [(name, ROUTES if EXTENT["all"] else ROUTES[number % 3 :: 3]) for number, name in enumerate(names)]


def test_all_routes_are_walked():
    assert len(ROUTES) > 80
    assert {method for method, path in ROUTES if is_edit(method, path)} == {"POST", "PUT", "DELETE"}
    assert sum(bool(stores(*route)) for route in ROUTES) == 2


@pytest.mark.parametrize(("origin", "some"), with_some(FOREIGN))
def test_pages_of_others_get_nothing_anywhere(origin, some):
    ask = client()
    for method, path in some:
        answer = ask.open(path, method=method, headers={"Origin": origin})
        assert answer.status_code == 403, (method, path)
        assert "Access-Control-Allow-Origin" not in answer.headers
        asked = ask.options(path, headers={"Origin": origin, "Access-Control-Request-Method": method})
        assert asked.status_code == 403
        assert "Access-Control-Allow-Origin" not in asked.headers
        if method != "HEAD":
            assert "ORIGINS" in answer.json["reason"]


@pytest.mark.parametrize(("origin", "some"), with_some(LOOPBACK))
def test_pages_of_this_machine_search_retrieve_and_store(origin, some):
    ask = client()
    for method, path in some:
        answer = ask.open(path, method=method, headers={"Origin": origin})
        asked = ask.options(path, headers={"Origin": origin, "Access-Control-Request-Method": method})
        if is_edit(method, path):
            assert (answer.status_code, asked.status_code) == (403, 403), (method, path)
            assert "Access-Control-Allow-Origin" not in answer.headers
        else:
            assert answer.status_code != 403, (method, path)
            assert answer.headers["Access-Control-Allow-Origin"] == origin
            assert "Origin" in answer.vary
            assert "DELETE" not in asked.headers.get("Access-Control-Allow-Methods", "")


def test_the_settings_let_others_in():
    """`ORIGINS` lets read and store, `EDIT_ORIGINS` everything; each only whom it names."""
    reading = client(origins=(NAMED,))
    editing = client(origins=(), edit_origins=(NAMED,))
    anybody = client(origins=("*",))
    for number, (method, path) in enumerate(ROUTES):
        edit = is_edit(method, path)
        clients = [
            (reading, NAMED, not edit),
            (reading, "http://viewer.example", False),
            (reading, "https://viewer.example:8443", False),
            (reading, "http://localhost:3000", False),
            (editing, NAMED, True),
            (editing, "http://localhost:3000", False),
            (anybody, "null", not edit),
            (anybody, "https://evil.example", not edit),
        ]
        for ask, origin, let_in in clients if EXTENT["all"] else clients[number % 3 :: 3]:
            answer = ask.open(path, method=method, headers={"Origin": origin})
            # A form without a token is refused as well, see below.
            assert answer.headers.get("Access-Control-Allow-Origin") == (origin if let_in else None), (method, path)


def test_the_own_pages_and_programs_are_let_in():
    ask = client()
    said = [{}, {"Origin": "http://localhost"}, {"Sec-Fetch-Site": "same-origin"}]
    for number, (method, path) in enumerate(ROUTES):
        for headers in said if EXTENT["all"] else said[number % 3 :: 3]:
            answer = ask.open(path, method=method, headers={"Host": "localhost", **headers})
            assert answer.status_code not in (403, 421) or (method == "POST" and "/ui/" in path), (method, path)
    behind = {"Host": "127.0.0.1:5985", "X-Forwarded-Host": "pacs.example", "Origin": "https://pacs.example"}
    assert ask.delete("/dicom-web/studies/1.2", headers=behind).status_code == 503


def test_a_form_of_another_site_without_an_origin():
    ask = client()
    for site, method in itertools.product(("cross-site", "same-site"), ("POST", "DELETE")):
        answer = ask.open("/dicom-web/studies/1.2", method=method, headers={"Sec-Fetch-Site": site})
        assert answer.status_code == 403
    # A link to a page, or a picture of ours in a page of another site.
    assert ask.get("/dicom-web/studies/1.2", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 503


OURS = ["localhost", "LOCALHOST:5985", "localhost.", "x.localhost"]
OURS += ["127.0.0.1:5985", "127.9.9.9", "[::1]:5985", "10.0.0.5"]


@pytest.mark.parametrize(("host", "some"), with_some(OURS))
def test_names_of_this_server(host, some):
    ask = client()
    for method, path in some:
        assert ask.open(path, method=method, headers={"Host": host}).status_code != 421, (method, path)


OTHERS = ["evil.example", "evil.example:5985", "localhost.evil.example", "127.0.0.1.nip.io", "localhost@evil", "x"]


@pytest.mark.parametrize(("host", "some"), with_some(OTHERS))
def test_names_that_others_point_to_this_machine(host, some):
    """DNS rebinding: the page and the server have the same origin, so only the name says that it is not ours."""
    ask = client()
    same = {"Host": host, "Origin": f"http://{host}", "X-Forwarded-Host": "localhost", "Forwarded": "host=localhost"}
    for method, path in some:
        for headers in ({"Host": host}, same):
            answer = ask.open(path, method=method, headers=headers)
            assert answer.status_code == 421, (method, path)
            assert "Access-Control-Allow-Origin" not in answer.headers
    assert answer.json["error"] == "misdirected_request"


def test_names_that_a_site_adds(monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "station.hospital.example")
    ask = client(host_names=("pacs.example",), shim_bind="dicom.example:80")
    for host in ("pacs.example", "PACS.example:8080", "dicom.example", "station.hospital.example", "station.local:1"):
        assert ask.get("/dicom-web/studies", headers={"Host": host}).status_code == 503, host
    assert ask.get("/dicom-web/studies", headers={"Host": "other.example"}).status_code == 421
    assert client(host_names=("*",)).get("/dicom-web/studies", headers={"Host": "any.example"}).status_code == 503


@pytest.mark.parametrize("mode", ["required"])
def test_a_login_that_is_required(mode):
    ask = client(authorization=mode)
    for method, path in ROUTES:
        answer = ask.open(path, method=method)
        if method == "OPTIONS":
            assert answer.status_code in (200, 404), path
        elif path in ("/healthz", "/readyz"):  # supervisors have none, and nothing of what is stored is told
            assert answer.status_code == (200 if path == "/healthz" else 503)
        else:
            assert answer.status_code == 401, (method, path)
            assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    assert ask.get("/dicom-web/studies", auth=("ann", "secret")).status_code == 503


@pytest.mark.parametrize(
    ("address", "local"),
    [
        (("127.0.0.1", 1), True),
        (("127.8.0.1", 1), True),
        (("::1", 1, 0, 0), True),
        (("::ffff:127.0.0.1", 1, 0, 0), True),
        ("/run/dicouch.sock", True),
        (("0.0.0.0", 1), False),
        (("::", 1, 0, 0), False),
        (("192.168.1.5", 1), False),
        (("fe80::1%eth0", 1, 0, 2), False),
    ],
)
def test_where_strangers_reach_it(address, local):
    assert listening.is_local(address) is local
    lending = Config(couchdb_url="http://admin:x@127.0.0.1:9")
    if local:
        listening.check([address], lending)
        return
    with pytest.raises(ValueError, match="OPEN_TO_THE_NETWORK=yes"):
        listening.check([("127.0.0.1", 1), address], lending)
    # A database that cannot be asked counts as open.
    with pytest.raises(ValueError, match="AUTHORIZATION=required"):
        listening.check([address], Config(couchdb_url="http://127.0.0.1:9"))
    listening.check([address], Config(authorization="required"))
    listening.check([address], Config(open_to_the_network="yes"))
