"""The URL that a client used (RFC 9110 7.2, RFC 7239): with the port, behind proxies, below a prefix."""

import pytest
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request, Response

from dicouch.server.proxy import ProxyHeaders

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def url(host: str | None, port: str, headers: dict[str, str], scheme: str = "http", root: str = "") -> str:
    """Return the root URL that a request comes to."""
    found = []

    @Request.application
    def application(request):
        found.append(request.root_url)
        return Response()

    environ = EnvironBuilder("/studies", f"{scheme}://x{root}", headers=headers).get_environ()
    del environ["HTTP_HOST"]
    if host is not None:
        environ["HTTP_HOST"] = host
    environ |= {"SERVER_NAME": "127.0.0.1", "SERVER_PORT": port}
    list(ProxyHeaders(application)(environ, lambda status, headers: None))
    return found[0]


@pytest.mark.parametrize(
    ("host", "port", "headers", "scheme", "expected"),
    [
        # A Host without a port is completed.
        ("127.0.0.1", "5985", {}, "http", "http://127.0.0.1:5985/"),
        ("pacs.example", "5985", {}, "http", "http://pacs.example:5985/"),
        ("pacs.example:", "5985", {}, "http", "http://pacs.example:5985/"),
        ("[::1]", "5985", {}, "http", "http://[::1]:5985/"),
        ("pacs.example", "8443", {}, "https", "https://pacs.example:8443/"),
        ("pacs.example", "80", {}, "https", "https://pacs.example:80/"),
        ("pacs.example", "443", {}, "http", "http://pacs.example:443/"),
        # The usual port needs no name.
        ("pacs.example", "80", {}, "http", "http://pacs.example/"),
        ("pacs.example", "443", {}, "https", "https://pacs.example/"),
        # A port that the client names counts: of a container, of a tunnel.
        ("localhost:8080", "5985", {}, "http", "http://localhost:8080/"),
        ("[::1]:8080", "5985", {}, "http", "http://[::1]:8080/"),
        # HTTP/1.0 without Host; a socket in the file system, of which gunicorn gives no port.
        (None, "5985", {}, "http", "http://127.0.0.1:5985/"),
        ("pacs.example", "", {}, "http", "http://pacs.example/"),
        # Browsers leave out the usual port only: another port is mapped to this one.
        ("pacs.example", "5985", {"User-Agent": BROWSER}, "http", "http://pacs.example/"),
        ("pacs.example", "8443", {"User-Agent": BROWSER}, "https", "https://pacs.example/"),
        ("pacs.example:8080", "5985", {"User-Agent": BROWSER}, "http", "http://pacs.example:8080/"),
        ("pacs.example", "5985", {"User-Agent": "python-requests/2.32"}, "http", "http://pacs.example:5985/"),
        # A proxy stands in between: its port is not ours.
        ("pacs.example", "5985", {"X-Forwarded-Proto": "https"}, "http", "https://pacs.example/"),
        ("pacs.example", "5985", {"X-Forwarded-For": "10.0.0.1"}, "http", "http://pacs.example/"),
        ("pacs.example", "5985", {"X-Real-IP": "10.0.0.1"}, "http", "http://pacs.example/"),
        ("pacs.example", "5985", {"Via": "1.1 proxy"}, "http", "http://pacs.example/"),
        ("pacs.example", "5985", {"Forwarded": "for=10.0.0.1"}, "http", "http://pacs.example/"),
        ("inner", "5985", {"Forwarded": "host=pacs.example;proto=https"}, "http", "https://pacs.example/"),
        ("inner", "5985", {"X-Forwarded-Host": "pacs.example"}, "http", "http://pacs.example/"),
        ("pacs.example", "5985", {"X-Forwarded-Port": "8080"}, "http", "http://pacs.example:8080/"),
        ("[::1]", "5985", {"X-Forwarded-Port": "443", "X-Forwarded-Proto": "https"}, "http", "https://[::1]/"),
        (
            "inner",
            "5985",
            {"X-Forwarded-Host": "pacs.example", "X-Forwarded-Port": "8443", "X-Forwarded-Proto": "https"},
            "http",
            "https://pacs.example:8443/",
        ),
    ],
)
def test_the_root_url(host, port, headers, scheme, expected):
    assert url(host, port, headers, scheme) == expected


def test_below_a_prefix():
    assert url("pacs.example", "5985", {}, root="/mount") == "http://pacs.example:5985/mount/"
    assert url("pacs.example", "5985", {"X-Forwarded-Prefix": "/pacs"}) == "http://pacs.example/pacs/"
