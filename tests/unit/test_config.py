"""Settings from the environment: what is read, and what is refused by name."""

from __future__ import annotations

import pytest

from dicouch.config import Config, basic_auth, split_url
from dicouch.couch.client import Couch


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("REMEMBER", "0", "remember", 0.0),
        ("REMEMBER", " 2.5 ", "remember", 2.5),
        ("REMEMBER", "", "remember", 10.0),
        ("PREFIX", "/", "prefix", ""),
        ("PREFIX", "a/b/", "prefix", "/a/b"),
        ("SEARCH_LIMIT", "7", "search_limit", 7),
        ("BYTES", "folder:/x", "bytes", "folder:/x"),
        ("BYTES_ROOTS", "/a:/b:", "bytes_roots", ("/a", "/b")),
        ("BYTES_SHARED", "/a:/b", "bytes_shared", ("/a", "/b")),
        ("DUPLICATES", "reject", "duplicates", "reject"),
        ("ORIGINS", "", "origins", ("loopback",)),
        ("ORIGINS", "none", "origins", ()),
        (
            "ORIGINS",
            "loopback, HTTPS://Viewer.example:443/ http://[::1]:80",
            "origins",
            ("loopback", "https://viewer.example", "http://[::1]"),
        ),
        ("EDIT_ORIGINS", "http://viewer.example:8080", "edit_origins", ("http://viewer.example:8080",)),
        ("HOST_NAMES", "PACS.example. *", "host_names", ("pacs.example", "*")),
        ("AUTHORIZATION", "required", "authorization", "required"),
    ],
)
def test_what_is_read(name, text, field, value):
    assert getattr(Config.from_environment({name: text}), field) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("REMEMBER", "-1"),
        ("REMEMBER", "3601"),
        ("REMEMBER", "nan"),
        ("REMEMBER", "soon"),
        ("SEARCH_LIMIT", "0"),
        ("SEARCH_LIMIT", "-5"),
        ("SEARCH_LIMIT", "many"),
        ("MAX_INSTANCES", "1.5"),
        ("BYTES", "folder:relative"),
        ("BYTES", "elsewhere"),
        ("LINK_ROOTS", "relative"),
        ("ALLOW_DELETE", "perhaps"),
        ("DUPLICATES", "keep-both"),
        ("ORIGINS", "viewer.example"),
        ("ORIGINS", "https://viewer.example/ohif"),
        ("EDIT_ORIGINS", "https://ann@viewer.example"),
        ("EDIT_ORIGINS", "http://viewer.example:port"),
        ("HOST_NAMES", "pacs.example:80"),
        ("OPEN_TO_THE_NETWORK", "perhaps"),
        ("AUTHORIZATION", "basic"),
    ],
)
def test_what_makes_no_sense_is_named(name, text):
    with pytest.raises(ValueError, match=name):
        Config.from_environment({name: text})


@pytest.mark.parametrize(
    ("url", "root", "credentials"),
    [
        ("http://h", "http://h", None),
        (" https://H.example:6984/couch/ ", "https://h.example:6984/couch", None),
        ("http://a:b@[::1]:5984", "http://[::1]:5984", ("a", "b")),
        ("http://ann@h", "http://h", ("ann", "")),
        ("http://:x@h", "http://h", ("", "x")),
        ("http://%C3%BC:p%C3%A4ss%E2%82%AC@h", "http://h", ("ü", "päss€")),
        ("http://ü:päss€@h", "http://h", ("ü", "päss€")),
        ("http://a%40b:c%3Ad%2Fe%23f%3Fg%25@h/", "http://h", ("a@b", "c:d/e#f?g%")),
        ("http://a@b:c:d@e@h", "http://h", ("a@b", "c:d@e")),
        ("http://a:100%@h", "http://h", ("a", "100%")),
    ],
)
def test_user_and_password_in_a_url(url, root, credentials):
    assert split_url(url) == (root, credentials)
    couch = Couch(url, "dicom")
    assert (couch.root, couch.credentials) == (root, credentials)


@pytest.mark.parametrize("url", ["", "embedded", "ftp://h", "http://", "http://a:secret/x@h:1", "http://a:secret@h:p"])
def test_what_is_no_url_is_told_without_its_password(url):
    with pytest.raises(ValueError, match="not a URL of a server") as problem:
        split_url(url)
    assert "secret" not in str(problem.value)


def test_credentials_are_utf_8():
    """RFC 7617 2.1: the example of the section."""
    assert basic_auth("test", "123\u00a3") == "Basic dGVzdDoxMjPCow=="


@pytest.mark.parametrize(
    "own",
    [
        {"BYTES": "folder:/srv/a"},
        {"BYTES_ROOTS": "/srv/b:/srv/a/"},
        {"BYTES": "folder:/srv"},
        {"BYTES_ROOTS": "/srv/a/b"},
    ],
)
def test_a_folder_is_of_one_site(own):
    with pytest.raises(ValueError, match="BYTES_SHARED"):
        Config.from_environment({**own, "BYTES_SHARED": "/srv/x/../a"})
