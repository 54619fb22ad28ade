"""Conditional requests and ranges, as a table (RFC 9110 13, 14.2)."""

import pytest
from flask import Flask

from dicouch.routes import answers, problems

VALUE = bytes(range(100))
TAG = "5f3a"


@pytest.fixture(scope="module")
def client():
    app = Flask(__name__)
    problems.register(app)
    app.after_request(problems.check_match)
    app.add_url_rule("/value", "value", lambda: answers.ranged(100, lambda start, end: [VALUE[start:end]], "a/b", TAG))
    app.add_url_rule("/untagged", "untagged", lambda: answers.ranged(100, lambda start, end: [VALUE[start:end]], "a/b"))
    return app.test_client()


PAST, FUTURE = "Sat, 01 Jan 2000 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"
RANGE = {"Range": "bytes=0-9"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        # 13.1.2: weak comparison.
        ({"If-None-Match": '"5f3a"'}, 304),
        ({"If-None-Match": 'W/"5f3a"'}, 304),
        ({"If-None-Match": '"a", W/"b,c" , W/"5f3a"'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"other"'}, 200),
        ({"If-None-Match": 'W/"5f3"'}, 200),
        ({"If-None-Match": ""}, 200),
        # 13.1.1: strong comparison.
        ({"If-Match": '"5f3a"'}, 200),
        ({"If-Match": '"a", "5f3a"'}, 200),
        ({"If-Match": "*"}, 200),
        ({"If-Match": 'W/"5f3a"'}, 412),
        ({"If-Match": '"other"'}, 412),
        # 13.2.2: If-Match first, then If-None-Match.
        ({"If-Match": '"other"', "If-None-Match": '"5f3a"'}, 412),
        ({"If-Match": '"5f3a"', "If-None-Match": 'W/"5f3a"'}, 304),
        ({"If-Match": '"other"', **RANGE}, 412),
        ({"If-Match": '"5f3a"', **RANGE}, 206),
        # 13.1.3, 13.1.4: ignored without a date of modification.
        ({"If-Modified-Since": FUTURE}, 200),
        ({"If-Unmodified-Since": PAST}, 200),
        ({"If-None-Match": '"other"', "If-Modified-Since": FUTURE}, 200),
        # 13.1.5: strong comparison; a date is none of ours.
        ({"If-Range": '"5f3a"', **RANGE}, 206),
        ({"If-Range": 'W/"5f3a"', **RANGE}, 200),
        ({"If-Range": "5f3a", **RANGE}, 200),
        ({"If-Range": '"other"', **RANGE}, 200),
        ({"If-Range": FUTURE, **RANGE}, 200),
        ({"If-Range": "", **RANGE}, 200),
        ({"If-Range": '"5f3a"'}, 200),
        ({"If-None-Match": 'W/"5f3a"', **RANGE}, 304),
        ({"If-None-Match": '"5f3a"', "Range": "bytes=100-"}, 304),
        # 14.2: what is no range is ignored, what is outside of the value is not.
        (RANGE, 206),
        ({"Range": "bytes=-10"}, 206),
        ({"Range": "bytes=90-1000"}, 206),
        ({"Range": "bytes=-1000"}, 206),
        ({"Range": "bytes=100-"}, 416),
        ({"Range": "bytes=-0"}, 200),
        ({"Range": "bytes=9-0"}, 200),
        ({"Range": "bytes=x"}, 200),
        ({"Range": "lines=0-9"}, 200),
        ({"Range": "bytes=0-9,20-29"}, 200),
    ],
)
def test_what_a_condition_comes_to(client, headers, status):
    response = client.get("/value", headers=headers)
    assert response.status_code == status
    if status == 412:
        assert response.json["error"] == "precondition_failed"
    if status in (200, 206, 304):
        assert response.headers["ETag"] == '"5f3a"'
        assert response.headers["Vary"] == "Accept, Accept-Encoding, Authorization"
    if status == 206:
        first, last = response.headers["Content-Range"].removeprefix("bytes ").removesuffix("/100").split("-")
        assert response.data == VALUE[int(first) : int(last) + 1]
    elif status == 200:
        assert response.data == VALUE


def test_a_condition_on_what_has_no_tag(client):
    assert client.get("/untagged", headers={"If-Match": '"5f3a"'}).status_code == 412
    for headers in ({"If-None-Match": '"None"'}, {"If-Match": "*"}, {"If-Range": '"None"', **RANGE}):
        assert client.get("/untagged", headers=headers).status_code == 200
    # There is something (13.1.2).
    assert client.get("/untagged", headers={"If-None-Match": "*"}).status_code == 304
    # Where nothing can be had, conditions do not count (13.2.1).
    for headers in ({"If-None-Match": "*"}, {"If-Match": '"x"'}, {"If-None-Match": "*", "If-Match": '"x"'}):
        assert client.get("/nothing", headers=headers).status_code == 404


@pytest.mark.parametrize(
    ("headers", "status"), [({"If-None-Match": 'W/"5f3a"'}, 304), ({"If-Match": '"x"'}, 412), (RANGE, 200)]
)
def test_head_is_as_get(client, headers, status):
    response = client.head("/value", headers=headers)
    assert (response.status_code, response.data) == (status, b"")


def test_ranges_of_an_empty_value():
    app = Flask(__name__)
    problems.register(app)
    app.add_url_rule("/", "empty", lambda: answers.ranged(0, lambda start, end: [b""], "a/b", TAG))
    assert app.test_client().get("/", headers=RANGE).status_code == 416
    assert app.test_client().get("/").status_code == 200


def test_no_range_of_nothing():
    """A suffix range of an empty value cannot be satisfied (RFC 9110 14.1.2)."""
    app = Flask(__name__)
    problems.register(app)
    app.add_url_rule("/empty", "empty", lambda: answers.ranged(0, lambda start, end: [], "a/b", TAG))
    refused = app.test_client().get("/empty", headers={"Range": "bytes=-5"})
    assert (refused.status_code, refused.headers["Content-Range"]) == (416, "bytes */0")
    assert app.test_client().get("/empty").status_code == 200
