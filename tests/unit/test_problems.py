"""Pages of errors work without the database (RFC 9110 15)."""

import pytest

from dicouch.app import create_app
from dicouch.config import Config


@pytest.fixture(scope="module")
def client():
    # Nothing listens there.
    return create_app(Config(couchdb_url="http://127.0.0.1:9", remember=0, prefix="/pacs")).test_client()


def test_the_page_while_the_database_does_not_answer(client):
    for path in ("/pacs/studies", "/ui/conflicts", "/pacs/studies/1.2/metadata"):
        page = client.get(path, headers={"Accept": "text/html, */*;q=0.8"})
        assert page.status_code == 503
        assert page.content_type == "text/html; charset=utf-8"
        assert f"Try again in {page.headers['Retry-After']} seconds" in page.text
        assert 'href="/ui/studies"' in page.text
        assert client.get(path).json["error"] == "service_unavailable"


def test_below_a_prefix_of_a_proxy(client):
    page = client.get("/pacs/nothing", headers={"Accept": "text/html", "X-Forwarded-Prefix": "/here"})
    assert 'href="/here/ui/studies"' in page.text
    assert 'href="/here/"' in page.text


def test_what_a_client_sends_is_no_part_of_the_page(client):
    page = client.get("/pacs/<img src=x>", headers={"Accept": "text/html", "X-Forwarded-Prefix": '/"><script>'})
    assert "<img" not in page.text
    assert "<script" not in page.text


@pytest.mark.parametrize("path", ["/", "/wado", "/pacs", "/pacs/wado"])
def test_a_missing_request_type(client, path):
    answer = client.get(path)
    assert (answer.status_code, answer.json["error"]) == (400, "bad_request")
    assert "requestType is missing" in answer.json["reason"]
    assert client.options(path).status_code == 200
