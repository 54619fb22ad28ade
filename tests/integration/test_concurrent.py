"""Many clients at once: no conflict surfaces, counts are exact, no attribute is lost."""

from concurrent.futures import ThreadPoolExecutor

from tests.made import instance

CLIENTS = 8


def store_all(server, batches):
    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(lambda files: server.store(*files), batches))
    assert {answer.status_code for answer in answers} == {200}, [a.text for a in answers if a.status_code != 200][:1]


def test_eight_clients_and_one_study(server):
    batches = [
        [
            instance("7.1", f"7.1.{client}", f"7.1.{client}.{batch}.{number}", InstanceNumber=str(number))
            for number in range(10)
        ]
        for client in range(1, CLIENTS + 1)
        for batch in range(1, 4)
    ]
    store_all(server, batches)
    (study,) = server.get("/studies?StudyInstanceUID=7.1").json()
    assert (study["00201206"]["Value"], study["00201208"]["Value"]) == ([CLIENTS], [240])
    series = server.get("/studies/7.1/series").json()
    assert [row["00201209"]["Value"] for row in series] == [[30]] * CLIENTS


def test_eight_clients_and_many_studies(server):
    batches = [[instance(f"7.2.{study}", f"7.2.{study}.1", f"7.2.{study}.1.1")] for study in range(1, 101)]
    store_all(server, batches)
    rows = [row for row in server.get("/studies").json() if row["0020000D"]["Value"][0].startswith("7.2.")]
    assert len(rows) == 100
    assert {row["00201208"]["Value"][0] for row in rows} == {1}


def test_no_differing_value_is_lost(server):
    batches = [
        [instance("7.3", f"7.3.{client}", f"7.3.{client}.1", StudyDescription=f"Version {client}")]
        for client in range(1, CLIENTS + 1)
    ]
    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(lambda files: server.store(*files), batches))
    assert {answer.status_code for answer in answers} <= {200, 202}
    document = server.document("7.3:study")
    values = {document["dataset"]["00081030"]["Value"][0]}
    values |= {variant["value"]["Value"][0] for variant in document["variants"]["00081030"]}
    assert values == {f"Version {client}" for client in range(1, CLIENTS + 1)}
    assert any("StudyDescription" in answer.headers.get("Warning", "") for answer in answers)


def test_one_uid_with_other_bytes_from_every_client(server):
    """Small instances of several clients go in one write: each has its own answer, and one of them stays whole."""
    files = [instance("7.4", "7.4.1", "7.4.1.1", PatientComments=f"client {client}") for client in range(CLIENTS)]
    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(server.store, files))
    assert {answer.status_code for answer in answers} == {200, 202}
    items = [answer.json()["00081199"]["Value"][0] for answer in answers]
    # The first had nothing to replace; every other says what it did (B000H).
    assert sorted(item.get("00081196", {}).get("Value", [0])[0] for item in items) == [0] + [0xB000] * (CLIENTS - 1)
    accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
    stored = server.get("/studies/7.4/series/7.4.1/instances/7.4.1.1", headers={"Accept": accept}).content
    assert sum(file in stored for file in files) == 1
    assert server.get("/studies/7.4/instances/count").json() == {"count": 1}
