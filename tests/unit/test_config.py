"""Settings from the environment: what is read, and what is refused by name."""

from __future__ import annotations

import pytest

from dicouch.config import Config


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
        ("DUPLICATES", "reject", "duplicates", "reject"),
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
    ],
)
def test_what_makes_no_sense_is_named(name, text):
    with pytest.raises(ValueError, match=name):
        Config.from_environment({name: text})
