"""What a site limits is refused early, with a reason, and the rest of the request is stored (PS3.18 Table 10.5.3-1)."""

import os
import shutil

import psutil
import pytest
import requests

from tests.awkward_files import proper
from tests.integration.test_stow_losses import END, FAILED, OTHER, items, part, post, unique
from tests.requests_made import Made, body, content_type, image, metadata
from tests.server import serve
from tests.unit.made_part10 import element, item, sequence


@pytest.fixture(scope="module")
def limited(fresh_database, tmp_path_factory):
    """Give a server with low limits."""
    folder = tmp_path_factory.mktemp("limited")
    limits = {
        "MAX_REQUEST_SIZE": "200000",
        "MAX_INSTANCE_SIZE": "20000",
        "MAX_INSTANCES": "4",
        "SPOOL_DIR": str(folder),
    }
    with serve(fresh_database, folder / "log", **limits) as running:
        yield running


@pytest.mark.one_database("embedded")
def test_the_size_of_a_request(limited):
    answer = post(limited, part(unique()) * 3 + part(bytes(200_000)) + END)
    assert answer.status_code == 413
    assert "200000 bytes" in answer.json()["reason"]


@pytest.mark.one_database("embedded")
def test_the_size_of_a_request_that_does_not_tell_it(limited):
    one = unique()
    data = part(one) + part(bytes(300_000)) + END
    answer = post(limited, (data[at : at + 5000] for at in range(0, len(data), 5000)))
    assert answer.status_code == 202
    assert len(items(answer)) == 1
    assert "200000 bytes" in answer.headers["Warning"]
    assert [failure["00081197"]["Value"] for failure in items(answer, OTHER)] == [[0xA700]]
    answer = post(limited, (bytes(5000) for _ in range(60)), "application/dicom")
    assert answer.status_code == 413


@pytest.mark.one_database("embedded")
def test_the_size_of_an_instance(limited):
    one = unique()
    answer = limited.store(one, unique(bytes(30_000)), unique())
    assert answer.status_code == 202
    assert len(items(answer)) == 2
    (failure,) = items(answer, OTHER)
    assert failure["00081197"]["Value"] == [0xA700]
    assert "larger" in failure["00000902"]["Value"][0]
    assert limited.store(unique(bytes(30_000))).status_code == 413
    assert post(limited, unique(bytes(30_000)), "application/dicom").status_code == 413


@pytest.mark.one_database("embedded")
def test_the_number_of_instances(limited):
    answer = limited.store(*(unique() for _ in range(6)))
    assert answer.status_code == 202
    assert len(items(answer)) == 4
    assert "more than 4 parts" in answer.headers["Warning"]
    (failure,) = items(answer, OTHER)
    assert failure["00081197"]["Value"] == [0xA700]
    assert "more than 4 parts" in failure["00000902"]["Value"][0]


@pytest.mark.one_database("embedded")
def test_limits_of_metadata_and_bulk_data(limited):
    def send(*parts):
        return post(limited, body(*parts), content_type())

    pixels = Made(bytes(12), location="bulk/1")
    answer = send(metadata(*(image(number) for number in range(1, 7))), pixels)
    assert answer.status_code == 202
    assert len(items(answer)) == 4
    assert "more than 4 instances" in answer.headers["Warning"]
    assert [failure["00081197"]["Value"] for failure in items(answer, OTHER)] == [[0xA700]]
    large = image(9, "large", rows=200, columns=100)
    answer = send(metadata(large, image(8)), pixels, Made(bytes(40_000), location="large"))
    assert answer.status_code == 202
    assert items(answer, FAILED)[0]["00081197"]["Value"] == [0xA700]
    assert send(metadata(large), Made(bytes(40_000), location="large")).status_code == 413


@pytest.mark.one_database("embedded")
def test_nothing_is_left_of_refused_requests(limited):
    """Spooled files have no name: what would be left are descriptors."""
    master = psutil.Process(limited.pid)

    def descriptors():
        return sum(process.num_fds() for process in [master, *master.children()])

    def refused():
        large = image(9, "large", rows=200, columns=100)
        assert limited.store(unique(bytes(30_000))).status_code == 413
        assert (
            post(limited, body(metadata(large), Made(bytes(40_000), location="large")), content_type()).status_code
            == 413
        )
        assert post(limited, body(metadata(large)) * 2, content_type()).status_code == 409
        assert post(limited, part(bytes(9000))[:-99]).status_code == 400

    for _ in range(8):
        refused()
    before = descriptors()
    for _ in range(12):
        refused()
    assert descriptors() <= before + 4  # a connection more or less


@pytest.mark.one_database("embedded")
def test_a_nearly_full_disk(fresh_database, tmp_path):
    free = shutil.disk_usage(tmp_path).free
    settings = {"MIN_FREE_SPACE": str(free * 2), "SPOOL_DIR": str(tmp_path)}
    with serve(fresh_database, tmp_path / "log", **settings) as running:
        answer = running.store(unique())
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert "bytes are free" in answer.json()["reason"]
        assert running.get("/studies").status_code == 200


@pytest.fixture
def configured(fresh_database, database):
    """Give a function that sets a limit of the database while a test runs."""
    if not database.name.startswith("Apache"):
        pytest.skip("only Apache CouchDB has these limits")
    root = fresh_database.rpartition("/")[0]
    before = []

    def configure(section, key, value):
        url = f"{root}/_node/_local/_config/{section}/{key}"
        known = requests.get(url, timeout=30)
        before.append((url, known.json() if known.ok else None))
        requests.put(url, json=value, timeout=30).raise_for_status()

    yield configure
    for url, value in before:
        if value is None:
            requests.delete(url, timeout=30).raise_for_status()
        else:
            requests.put(url, json=value, timeout=30).raise_for_status()


@pytest.mark.one_database("couchdb")
def test_the_attachment_limit_of_the_database(server, configured):
    configured("couchdb", "max_attachment_size", "50000")
    small, large = unique(), unique(bytes(60_000))
    answer = server.store(small, large, unique(bytes(60_000)))
    assert answer.status_code == 202
    assert len(items(answer)) == 1
    assert [failure["00081197"]["Value"] for failure in items(answer, FAILED)] == [[0xA700], [0xA700]]
    assert server.store(large).status_code == 413


@pytest.mark.one_database("couchdb")
def test_the_document_limit_of_the_database(server, configured):
    configured("couchdb", "max_document_size", "30000")
    many = [item(element(0x00204000, "LT", f"{number}" * 9)) for number in range(2000)]
    large = proper(sequence(0x52009230, *many))
    small = [proper(element(0x00100010, "PN", "Doe")) for _ in range(3)]
    answer = server.store(*small, large)
    assert answer.status_code == 202
    assert len(items(answer)) == 3
    assert [failure["00081197"]["Value"] for failure in items(answer, FAILED)] == [[0xA700]]
    assert server.store(large).status_code == 413


def test_a_database_that_is_gone(database, tmp_path):
    """503 with Retry-After, and nothing is acknowledged."""
    url = f"{database.url}/gone-{os.getpid()}"
    requests.put(url, timeout=30).raise_for_status()
    with serve(url, tmp_path / "log") as running:
        requests.delete(url, timeout=30).raise_for_status()
        answer = running.store(unique())
        assert answer.status_code in (409, 503), answer.text
        assert not items(answer) if answer.status_code == 409 else answer.headers["Retry-After"]
