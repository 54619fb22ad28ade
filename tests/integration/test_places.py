"""Where bytes are: further folders, moving between places while serving, linked files, and what checks them."""

import os
import threading
from pathlib import Path

import pytest
import requests

from dicouch.config import Config
from dicouch.couch.client import Couch
from dicouch.scripts import check_bytes, load, rebuild_headers
from dicouch.scripts.move_bytes import Mover, move_all
from dicouch.scripts.walk_documents import documents, studies_of
from dicouch.store.places import Bytes
from tests.conftest import share
from tests.eventually import eventually
from tests.integration.test_delete import counts, delete
from tests.integration.test_folder_bytes import STORED, files
from tests.made import instance
from tests.server import serve

STUDY, SERIES = "12.1", "12.1.1"


def path(number):
    return f"/studies/{STUDY}/series/{SERIES}/instances/{SERIES}.{number}"


def made(number):
    return instance(STUDY, SERIES, f"{SERIES}.{number}", pixels=os.urandom(2 * 64 * 64), InstanceNumber=str(number))


@pytest.fixture
def couch(fresh_database):
    root, _, name = fresh_database.rpartition("/")
    return Couch(root, name)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "bytes"


def site(couch, tmp_path, **settings):
    return serve(f"{couch_url(couch)}", tmp_path / "log", **settings)


def couch_url(couch):
    user, password = couch.credentials
    return couch.root.replace("://", f"://{user}:{password}@") + f"/{couch.database}"


def places(couch, place, folder):
    return Bytes.from_config(Config(bytes=place, bytes_roots=(str(folder),)), couch)


def test_moved_back_and_forth_while_clients_read(couch, folder, tmp_path):
    contents = {number: made(number) for number in range(1, 9)}
    with site(couch, tmp_path, BYTES=f"folder:{folder}") as server:
        assert server.store(*contents.values()).status_code == 200
    stop, wrong = threading.Event(), []

    def keep_reading(server):
        while not stop.is_set():
            for number, content in contents.items():
                answer = server.get(path(number), headers=STORED)
                if answer.status_code != 200 or answer.content != content:
                    wrong.append((number, answer.status_code, answer.content[:200]))

    with site(couch, tmp_path, BYTES_ROOTS=str(folder)) as server:
        readers = [threading.Thread(target=keep_reading, args=(server,)) for _ in range(4)]
        for reader in readers:
            reader.start()
        try:
            for place in ["attachment", f"folder:{folder}"] * share(6):
                summary = move_all(couch, places(couch, place, folder), quiet=True)
                assert (summary.moved, summary.there, summary.failed) == (8, 0, [])
                assert len(files(folder)) == (8 if place != "attachment" else 0)
        finally:
            stop.set()
            for reader in readers:
                reader.join()
        assert wrong == []
        assert move_all(couch, places(couch, f"folder:{folder}", folder), [STUDY], quiet=True).there == 8
        # The site keeps new bytes in the database now, and still deletes those that are in the folder.
        assert delete(server, f"/studies/{STUDY}").status_code == 204
    assert files(folder) == []


@pytest.mark.one_database("embedded")
def test_a_damaged_file_stays_where_it_is(couch, folder, tmp_path):
    with site(couch, tmp_path, BYTES=f"folder:{folder}") as server:
        assert server.store(made(1), made(2)).status_code == 200
        damaged = files(folder)[0]
        content = bytearray(damaged.read_bytes())
        content[-1] ^= 1
        damaged.write_bytes(content)
        summary = move_all(couch, places(couch, "attachment", folder), quiet=True)
        assert summary.moved == 1
        assert "digest" in summary.failed[0][1]
        assert damaged.read_bytes() == content
        store = places(couch, f"folder:{folder}", folder)
        told = [check_bytes.problem_of(store, document, True) for document in documents(couch)]
        assert sorted(bool(problem) for problem in told) == [False, True]
        assert delete(server, f"/studies/{STUDY}").status_code == 204


@pytest.mark.one_database("couchdb")
def test_others_write_the_document_meanwhile(couch, folder, tmp_path):
    with site(couch, tmp_path) as server:
        assert server.store(made(1)).status_code == 200
        before = server.document(f"{STUDY}:{SERIES}:{SERIES}.1")
        second = made(1)
        assert server.store(second).status_code in (200, 202)
        assert Mover(couch, places(couch, f"folder:{folder}", folder)).move(before)
        (moved,) = files(folder)
        assert moved.read_bytes() == second
        assert server.document(f"{STUDY}:{SERIES}:{SERIES}.1")["file"]["store"].startswith("folder:")
        assert delete(server, f"/studies/{STUDY}").status_code == 204


@pytest.mark.one_database("embedded")
def test_a_document_cannot_name_a_file_outside_the_folders(couch, folder, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret" * 1000)
    folder.mkdir()
    (folder / "way-out").symlink_to(tmp_path)
    with site(couch, tmp_path, BYTES=f"folder:{folder}", LINK_ROOTS=str(folder)) as server:
        assert server.store(made(1)).status_code == 200
        for store in ("folder:../secret", f"folder:{secret}", "folder:way-out/secret", f"link:{secret}", "nowhere"):
            document = server.document(f"{STUDY}:{SERIES}:{SERIES}.1")
            document["file"]["store"] = store
            requests.put(f"{server.database}/{document['_id']}", json=document, timeout=30).raise_for_status()
            answer = eventually(lambda: server.get(path(1), headers=STORED), lambda answer: answer.status_code == 503)
            assert answer.json()["reason"]
            assert len(server.get(f"/studies/{STUDY}/series/{SERIES}/instances").json()) == 1
        assert delete(server, f"/studies/{STUDY}").status_code == 204
    assert secret.exists()


@pytest.mark.one_database("couchdb")
def test_linked_files(couch, folder, tmp_path, monkeypatch):
    folder.mkdir()
    contents = {number: made(number) for number in (1, 2, 3)}
    for number, content in contents.items():
        (folder / f"{number}.dcm").write_bytes(content)
    monkeypatch.setenv("COUCHDB_URL", couch_url(couch).rpartition("/")[0])
    monkeypatch.setenv("COUCHDB_DATABASE", couch.database)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    with site(couch, tmp_path, LINK_ROOTS=str(folder), CHECK_LINKS="yes") as server:
        assert load.main([str(folder), "--link"]) == 2  # this side's LINK_ROOTS names nothing
        monkeypatch.setenv("LINK_ROOTS", str(folder / "elsewhere"))
        assert load.main([str(folder), "--link"]) == 1
        monkeypatch.setenv("LINK_ROOTS", str(folder))
        assert load.main([str(folder), "--link"]) == 0
        assert counts(server, STUDY) == [(1, 3)]
        assert "_attachments" not in server.document(f"{STUDY}:{SERIES}:{SERIES}.1")
        assert server.get(path(1), headers=STORED).content == contents[1]
        changed = bytearray(contents[2])
        changed[-1] ^= 1
        (folder / "2.dcm").write_bytes(changed)
        (folder / "3.dcm").unlink()
        for number in (2, 3):
            answer = server.get(path(number), headers=STORED)
            assert answer.status_code == 503
            assert f"{number}" in answer.json()["reason"]
        for accept in ("multipart/related; type=application/octet-stream", "application/octet-stream"):
            for part in ("/frames/1", "/bulkdata/7FE00010"):
                answer = server.get(path(3) + part, headers={"Accept": accept})
                assert (answer.status_code, answer.json()["error"]) == (503, "service_unavailable"), part
        assert server.get(f"/studies/{STUDY}/series/{SERIES}/instances/{SERIES}.3/rendered").status_code == 503
        assert len(server.get(f"/studies/{STUDY}/series/{SERIES}/instances").json()) == 3
        assert delete(server, f"/studies/{STUDY}").status_code == 204
    assert (folder / "1.dcm").read_bytes() == contents[1]


@pytest.mark.one_database("embedded")
def test_headers_are_made_anew_from_instances(couch, tmp_path):
    with site(couch, tmp_path) as server:
        assert server.store(made(1), instance("12.2", "12.2.1", "12.2.1.1")).status_code == 200
        for document_id in (f"{STUDY}:study", f"{STUDY}:{SERIES}"):
            address = f"{server.database}/{document_id}"
            requests.delete(address, params={"rev": server.document(document_id)["_rev"]}, timeout=30)
        assert list(studies_of(couch)) == [STUDY, "12.2"]
        assert rebuild_headers.rebuild_all(couch, quiet=True) == (2, 2, [])
        assert rebuild_headers.rebuild_all(couch, [STUDY], quiet=True) == (1, 0, [])
        assert counts(server, STUDY) == [(1, 1)]


def test_files_that_no_document_names(tmp_path):
    for name in ("named", "left", "young"):
        (tmp_path / name).write_bytes(b"x")
    now = (tmp_path / "left").stat().st_mtime + 2 * check_bytes.YOUNG
    os.utime(tmp_path / "young", (now, now))
    assert check_bytes.orphans([str(tmp_path)], {str(tmp_path / "named")}, now) == [Path(tmp_path / "left")]
