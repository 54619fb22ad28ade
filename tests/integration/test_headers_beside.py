"""Headers that others delete or write after a worker has merged into them: the next instance mends what it finds."""

import threading

import requests

from tests.eventually import eventually
from tests.integration.test_delete import counts, delete
from tests.made import instance


def remove(server, document_id):
    document = server.document(document_id)
    address = f"{server.database}/{document_id}"
    requests.delete(address, params={"rev": document["_rev"]}, timeout=30).raise_for_status()


def test_headers_deleted_in_the_database(server):
    # Each worker has merged by now, and would not ask again.
    for number in range(1, 9):
        assert server.store(instance("9.3", "9.3.1", f"9.3.1.{number}")).status_code == 200
    remove(server, "9.3:study")
    remove(server, "9.3:9.3.1")
    eventually(lambda: counts(server, "9.3"), lambda found: not found)
    assert server.store(instance("9.3", "9.3.1", "9.3.1.9")).status_code == 200
    assert counts(server, "9.3") == [(1, 9)]
    assert len(server.get("/studies/9.3/series").json()) == 1


def test_what_another_writer_brought_meanwhile_is_told(server):
    files = [instance("9.4", "9.4.1", f"9.4.1.{number}", StudyDescription="Thorax") for number in range(1, 10)]
    for data in files[:8]:
        assert "Warning" not in server.store(data).headers
    body = {"series": "9.4.2", "modality": "OT", "attributes": {"00081030": {"vr": "LO", "Value": ["Abdomen"]}}}
    address = f"{server.database}/_design/dicom/_update/study/9.4:study"
    requests.put(address, json=body, timeout=30).raise_for_status()
    assert "StudyDescription" in server.store(files[8]).headers["Warning"]


def test_storing_beside_deleting_leaves_no_instance_without_headers(server):
    files = [instance("9.5", "9.5.1", f"9.5.1.{number}") for number in range(1, 4)]
    stop = threading.Event()

    def keep_deleting():
        while not stop.is_set():
            delete(server, "/studies/9.5")

    deleting = threading.Thread(target=keep_deleting)
    deleting.start()
    try:
        for number in range(24):
            assert server.store(files[number % 3]).status_code in (200, 202)
    finally:
        stop.set()
        deleting.join()
    place = {"startkey": '"9.5:"', "endkey": '"9.5:z"'}
    ids = [row["id"] for row in requests.get(f"{server.database}/_all_docs", params=place, timeout=30).json()["rows"]]
    stored = [document_id for document_id in ids if document_id.count(":") == 2]
    assert (("9.5:study" in ids) and ("9.5:9.5.1" in ids)) == bool(stored)
    assert counts(server, "9.5") == ([(1, len(stored))] if stored else [])
