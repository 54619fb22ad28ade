"""Who asks: credentials that CouchDB knows, those that it does not know, and a site that asks for a login."""

from __future__ import annotations

import json
import shutil
import sys
import uuid
from urllib.parse import quote, urlsplit

import pytest
import requests
from dicomweb_client import cli
from pydicom import dcmread
from pydicom.data import get_testdata_file

from dicouch.scripts import demo, explain, load, push_views
from dicouch.scripts.connection import CommandError, split_credentials, with_credentials
from tests.integration.conftest import serve

USER, STRANGER, PASSWORD = "ünal@klinik", "stranger", "pä ss:w/ö@r#d?%€"


@pytest.fixture
def command(server, monkeypatch, capsys):
    """Give dicomweb-client's command line, which says `Bearer None` in every request."""

    def ask(*words):
        monkeypatch.setattr(sys, "argv", ["dicomweb_client", "--url", server.url, *words])
        with pytest.raises(SystemExit) as ended:
            cli._main()
        told = capsys.readouterr()
        assert not ended.value.code, told.err
        return told.out

    return ask


@pytest.mark.one_database("embedded")
def test_the_command_line_of_dicomweb_client(command, tmp_path):
    """All its commands but `retrieve bulkdata`, which fails in the client itself (`args.media_type` is no option)."""
    path = get_testdata_file("CT_small.dcm")
    data = dcmread(path)
    study, series, instance = data.StudyInstanceUID, data.SeriesInstanceUID, data.SOPInstanceUID
    command("store", "instances", path)
    command("store", "instances", "--study", study, path)
    below = {"studies": [], "series": ["--study", study], "instances": ["--study", study, "--series", series]}
    for level, place in below.items():
        for words in (place, [], ["--filter", f"PatientID={data.PatientID}", "--limit", "5", "--fuzzy"]):
            (row,) = json.loads(command("search", level, *words))
            assert f"/studies/{study}" in row["00081190"]["Value"][0]
        assert data.PatientID in command("search", level, "--field", "PatientID", "--prettify")
        assert study in command("search", level, "--dicomize")
    paths = {
        "studies": ["studies", "--study", study],
        "series": ["series", "--study", study, "--series", series],
        "instances": ["instances", "--study", study, "--series", series, "--instance", instance],
    }
    for level, place in paths.items():
        folder = tmp_path / level
        folder.mkdir()
        told = json.loads(command("retrieve", *place, "metadata"))
        assert (told if level == "instances" else told[0])["00080018"]["Value"] == [instance]
        command("retrieve", *place, "full")
        command("retrieve", *place, "full", "--save", "--output-dir", str(folder))
        assert dcmread(folder / f"{instance}.dcm").PixelData == data.PixelData
        if level != "instances":  # there the client reads a data set as a list of them
            command("retrieve", *place, "metadata", "--save", "--output-dir", str(folder))
            assert json.loads((folder / f"{instance}.json").read_text())["00080018"]["Value"] == [instance]
    frames = [*paths["instances"], "frames", "--numbers", "1"]
    assert command("retrieve", *frames).startswith("bytearray(b'\\xaf\\x00")
    command("retrieve", *frames, "--save", "--output-dir", str(tmp_path))
    assert (tmp_path / f"{instance}_1.dat").read_bytes() == data.PixelData


def make_user(server, name):
    users = f"{server.database.rpartition('/')[0]}/_users"
    requests.put(users, timeout=30)
    body = {"name": name, "password": PASSWORD, "roles": [], "type": "user"}
    requests.put(f"{users}/org.couchdb.user:{quote(name)}", json=body, timeout=30).raise_for_status()


@pytest.fixture(scope="module")
def user(server):
    """Make a user whose name and password are not ASCII; return the database's root, without credentials."""
    parts = urlsplit(server.database)
    root = f"{parts.scheme}://{parts.hostname}:{parts.port}"
    make_user(server, USER)
    security = {"admins": {"roles": ["_admin"]}, "members": {"names": [USER], "roles": ["_admin"]}}
    requests.put(f"{server.database}/_security", json=security, timeout=30).raise_for_status()
    return root


def test_any_user_password_and_name_of_a_database(server, fresh_database, user, tmp_path, capsys):
    """In the URL of every command and of the server; the name is all that CouchDB takes in one."""
    root = server.database.rpartition("/")[0]
    name = f"d{uuid.uuid4().hex}_$()+-/z"
    place = f"{root}/{quote(name, safe='')}"
    requests.put(place, timeout=30).raise_for_status()
    try:
        security = {"admins": {"names": [USER]}, "members": {"names": [USER]}}
        requests.put(f"{place}/_security", json=security, timeout=30).raise_for_status()
        url = with_credentials(user, (USER, PASSWORD))
        assert (split_credentials(url), url.isascii()) == ((user, (USER, PASSWORD)), True)
        assert push_views.main(["--url", url, "--database", name]) == 0
        settings = {"COUCHDB_URL": url, "COUCHDB_DATABASE": name}
        with serve(fresh_database, tmp_path / "log", **settings) as running:
            login = with_credentials(running.url, (USER, PASSWORD))
            (tmp_path / "files").mkdir()
            shutil.copy(get_testdata_file("CT_small.dcm"), tmp_path / "files")
            assert load.main([str(tmp_path / "files"), "--url", login]) == 0
            assert demo.fetch(f"{login}/studies", "application/dicom+json").json()
            assert explain.main(["studies", "--url", url, "--database", name]) == 0
            # The changes feed is let in, too: else nothing would be remembered.
            assert "silent" not in running.get("/studies").headers["Server-Timing"]
            with pytest.raises(CommandError, match="401"):
                load.check_server(with_credentials(running.url, (USER, "€")))
        assert push_views.main(["--url", with_credentials(user, (USER, "€")), "--database", name]) == 2
        assert "refuses user" in capsys.readouterr().err
    finally:
        requests.delete(place, timeout=30)


def basic(name, password):
    # RFC 7617 2.1: UTF-8.
    return requests.auth._basic_auth_str(name.encode(), password.encode())


@pytest.mark.parametrize("given", ["Bearer None", "Negotiate YII=", "Bearer a.b.c", "Basic None", "Token x"])
def test_an_open_site_stays_open(server, given):
    assert server.get("/studies", headers={"Authorization": given}).status_code in (200, 204)


def test_who_is_known_and_who_is_not(server, user):
    assert server.get("/studies", headers={"Authorization": basic(USER, PASSWORD)}).status_code in (200, 204)
    assert server.get("/studies", headers={"Authorization": basic(USER, "wrong")}).status_code == 401
    assert server.get("/studies", headers={"Authorization": basic("nobody", "x")}).status_code == 401


def test_the_session_of_a_browser(server, user):
    """The server's own rights do not stand in for those of a user who has none."""
    make_user(server, STRANGER)
    cookies = {}
    for name in (USER, STRANGER):
        answer = requests.post(f"{user}/_session", json={"name": name, "password": PASSWORD}, timeout=30)
        answer.raise_for_status()
        cookies[name] = answer.cookies["AuthSession"]
    for cookie, status in ((cookies[USER], 404), (cookies[STRANGER], 403), ("stale", 404)):
        assert server.get("/studies/1.2.3/metadata", cookies={"AuthSession": cookie}).status_code == status
    # Pages say so, too.
    for path in ("/", "/ui/studies", "/ui/studies/1.2.3", "/ui/studies/1.2.3/delete", "/ui/capabilities"):
        page = {"headers": {"Accept": "text/html"}, "cookies": {"AuthSession": cookies[STRANGER]}}
        answer = server.get(path, **page)
        assert answer.status_code == 403, path
        assert "the database refuses" in answer.text
        page["cookies"] = {"AuthSession": cookies[USER]}
        assert server.get(path, **page).status_code == (404 if "1.2.3" in path else 200)


def test_a_site_that_asks_for_a_login(fresh_database, user, tmp_path):
    with (
        pytest.raises(AssertionError, match="did not start"),
        serve(fresh_database, tmp_path / "open.log", SHIM_BIND="0.0.0.0:0"),
    ):
        pass
    assert "OPEN_TO_THE_NETWORK=yes" in (tmp_path / "open.log").read_text()
    known = {"Authorization": basic(USER, PASSWORD)}
    # The server's own account for what nobody asks, and a login for everybody; or no account at all.
    for settings in ({"AUTHORIZATION": "required"}, {"COUCHDB_URL": user}):
        log = tmp_path / f"{len(settings)}.log"
        with serve(fresh_database, log, ready=(401,), REMEMBER="10", **settings) as closed:
            for _ in range(2):
                assert closed.get("/studies", headers=known).status_code in (200, 204)
                # Nobody who is there: CouchDB locks an account after five wrong passwords.
                for headers in ({}, {"Authorization": "Bearer None"}, {"Authorization": basic("nobody", "x")}):
                    answer = closed.get("/studies", headers=headers)
                    assert answer.status_code == 401
                    assert answer.headers["WWW-Authenticate"].startswith("Basic")
