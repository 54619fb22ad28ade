"""``BYTES=folder:…``: Part 10 files beside the database."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
import requests

from dicouch.store.folder import FolderStore, LinkStore
from tests.made import instance
from tests.server import Server, serve

PATH = "/studies/6.1/series/6.1.1/instances/6.1.1.1"
STORED = {"Accept": "application/dicom; transfer-syntax=*"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("folder") / "bytes"


@pytest.fixture(scope="module")
def workers(fresh_database: str, folder: Path) -> Iterator[Server]:
    """Give a server of two processes that remember for long, and keep bytes in `folder`."""
    settings = {"BYTES": f"folder:{folder}", "WEB_CONCURRENCY": "2", "REMEMBER": "60"}
    with serve(fresh_database, folder.parent / "log", **settings) as running:
        yield running


@pytest.fixture
def site(workers: Server, folder: Path) -> Iterator[Server]:
    """Give the server without any files, before a test and behind it."""
    assert files(folder) == []
    yield workers
    requests.delete(workers.url + "/studies/6.1", timeout=60)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_stored_found_retrieved_and_deleted(site, folder):
    data = instance("6.1", "6.1.1", "6.1.1.1", pixels=bytes(range(256)) * 128)
    assert site.store(data).status_code == 200
    assert [path.read_bytes() for path in files(folder)] == [data]
    assert "_attachments" not in site.document("6.1:6.1.1:6.1.1.1")
    assert site.get(PATH, headers=STORED).content == data
    frame = site.get(PATH + "/frames/1", headers={"Accept": "application/octet-stream; transfer-syntax=*"})
    assert frame.content == bytes(range(256)) * 128
    assert len(site.get("/studies/6.1/metadata").json()) == 1
    assert requests.delete(site.url + "/studies/6.1", timeout=60).status_code == 204
    assert files(folder) == []
    assert site.get(PATH, headers=STORED).status_code == 404


def test_the_same_again_and_other_content_leave_one_file(site, folder):
    first = instance("6.1", "6.1.1", "6.1.1.1")
    second = instance("6.1", "6.1.1", "6.1.1.1", StudyDescription="Again")
    assert site.store(first, first).status_code == 200
    assert site.store(first).status_code == 200
    assert [path.read_bytes() for path in files(folder)] == [first]
    assert site.store(second).status_code == 202
    assert [path.read_bytes() for path in files(folder)] == [second]
    assert site.get(PATH, headers=STORED).content == second


def test_a_refused_instance_leaves_no_file(site, folder):
    assert site.store(instance("6.1", "6.1.1", "6.1.1.1"), study="6.2").status_code == 409
    assert files(folder) == []


def test_deleting_one_document_leaves_the_bytes_of_another(tmp_path):
    # A file deleted and stored again at once: the first document's bytes go when the second's are there already.
    store = FolderStore(tmp_path)
    old, new = (store.put(BytesIO(b"same"), "ab" * 32) for _time in range(2))
    store.discard({"store": old})
    assert store.locate({"store": new}).read_bytes() == b"same"


def test_names_that_no_file_can_have(tmp_path):
    for name in ("x\0", "x" * 5000, "", "."):
        assert FolderStore(tmp_path).locate({"store": f"folder:{name}"}) is None
        assert LinkStore([str(tmp_path)]).locate({"store": f"link:{tmp_path}/{name}", "size": 1}) is None


def test_discarding_a_link_leaves_the_file_that_it_leads_to(tmp_path):
    # What tools that look for the same content twice leave of the second.
    store = FolderStore(tmp_path / "bytes")
    kept, link = (store.put(BytesIO(b"same"), "ab" * 32) for _time in range(2))
    second = store.root / link.removeprefix("folder:")
    second.unlink()
    second.symlink_to(store.root / kept.removeprefix("folder:"))
    assert store.locate({"store": link}).read_bytes() == b"same"
    store.discard({"store": link})
    assert not second.is_symlink()
    assert store.locate({"store": kept}).read_bytes() == b"same"
    for name in ("../outside", "", ".", "ab", "ab/..", "x\0", "x" * 5000, "way-out/outside"):
        (tmp_path / "outside").write_bytes(b"outside")
        (store.root / "way-out").unlink(missing_ok=True)
        (store.root / "way-out").symlink_to(tmp_path)
        store.discard({"store": f"folder:{name}"})
        assert (tmp_path / "outside").exists()


def everywhere(site: Server, path: str = PATH, **headers: str) -> list[requests.Response]:
    """Ask often, each time on a connection of its own: both processes answer some."""
    return [site.get(path, headers={**STORED, **headers}) for _time in range(12)]


def test_all_processes_give_what_one_of_them_stored_or_corrected(site):
    first = instance("6.1", "6.1.1", "6.1.1.1", pixels=bytes(range(256)) * 512)
    second = instance("6.1", "6.1.1", "6.1.1.1", pixels=bytes(range(255, -1, -1)) * 128)
    for data in (first, second, first):
        assert site.store(data).ok
        assert {answer.content for answer in everywhere(site)} == {data}
    for _time in range(3):
        fix = {"tag": "00081030", "value": "Mended", "by": "Ann"}
        assert requests.post(site.url + "/studies/6.1/conflicts", json=fix, timeout=30).ok
        assert all(b"Mended" in answer.content for answer in everywhere(site))
        undo = {"tag": "00081030", "undo": True, "by": "Ann"}
        assert requests.post(site.url + "/studies/6.1/conflicts", json=undo, timeout=30).ok
        assert {answer.content for answer in everywhere(site)} == {first}
    assert requests.delete(site.url + "/studies/6.1", timeout=60).status_code == 204
    assert {answer.status_code for answer in everywhere(site)} == {404}


def test_ranges_and_heads_of_a_file(site):
    data = instance("6.1", "6.1.1", "6.1.1.1", pixels=bytes(range(256)) * 512)
    assert site.store(data).ok
    size = len(data)
    for asked, start, end in (("0-99", 0, 100), ("1000-70000", 1000, 70001), ("-50", size - 50, size), ("9-", 9, size)):
        for answer in everywhere(site, Range=f"bytes={asked}"):
            assert answer.status_code == 206
            assert answer.content == data[start:end]
            assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{size}"
    with requests.Session() as session:
        # On one connection: what is not sent to its end would be taken for the next answer.
        for _time in range(5):
            head = session.head(site.url + PATH, headers=STORED, timeout=30)
            assert int(head.headers["Content-Length"]) == size
            part = session.get(site.url + PATH, headers={**STORED, "Range": "bytes=5-9"}, timeout=30)
            assert part.content == data[5:10]
            assert session.get(site.url + PATH, headers=STORED, timeout=30).content == data
