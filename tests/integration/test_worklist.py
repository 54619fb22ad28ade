"""UPS-RS through gunicorn (PS3.18 11): every cell of PS3.4 Table CC.1.1-2, over HTTP and by direct writes; searches."""

from __future__ import annotations

import itertools
import subprocess

import pytest
import requests

from dicouch.dicom.media.dicom_xml import dataset_to_xml, xml_to_dataset
from tests import workitems
from tests.server import push
from tests.workitems import CELLS, DISCONTINUED, OTHER, PERFORMED, STATES, TRANSACTION, code, creation, text

UIDS = (f"2.25.{number}" for number in itertools.count(100))
# PS3.18 Tables 11.4.3-1, 11.6.3-1, 11.7.3-1 and 11.8.3-1.
STATUSES = {
    **{"0111": 409, "C300": 409, "C302": 409, "C310": 409, "C311": 409, "C304": 409},
    **{"C301": 400, "C303": 400, "C307": 404},
}


def send(server, method, path, dataset=None, **options):
    options.setdefault("json", dataset)
    return requests.request(method, f"{server.url}{path}", timeout=30, **options)


def create(server, uid, **more):
    answer = send(server, "POST", f"/workitems?workitem={uid}", creation(**more))
    assert answer.status_code == 201, answer.text
    return answer


def change(server, uid, state, transaction=TRANSACTION):
    dataset = {"00741000": text("CS", state), "00081195": text("UI", *([transaction] if transaction else []))}
    return send(server, "PUT", f"/workitems/{uid}/state", dataset)


def claim(server, uid):
    assert change(server, uid, "IN PROGRESS").status_code == 200


def warning(answer):
    return answer.headers.get("Warning", "")


def bring(server, documents):
    """Write documents as replication does."""
    docs = [{**doc, "_rev": f"{number}-a", **(doc.get("_more") or {})} for number, doc in enumerate(documents, 1)]
    answer = requests.post(f"{server.database}/_bulk_docs", json={"docs": docs, "new_edits": False}, timeout=30)
    assert answer.json() == []


def placed(server):
    """Give each cell of the table a workitem in its state, which arrived by replication; return the UIDs."""
    uids = [next(UIDS) for _cell in CELLS]
    docs = [workitems.in_state(uid, state) for uid, (_event, state, _expected) in zip(uids, CELLS, strict=True)]
    for doc in filter(None, docs):
        doc["dataset"].update({**PERFORMED, **DISCONTINUED})
    bring(server, filter(None, docs))
    return uids


def run(server, event, state, uid):
    """Send what an event of the table is."""
    known = TRANSACTION
    if "without" in event:
        known = "" if state in ("null", "SCHEDULED") or "without a" in event else OTHER
    if event == "N-CREATE":
        return send(server, "POST", f"/workitems?{uid}", creation())
    if event == "Request Cancel":
        return send(server, "POST", f"/workitems/{uid}/cancelrequest?requester=BOSS", {})
    if event.startswith("N-SET"):
        query = f"?transaction-uid={known}" if known else ""
        return send(server, "POST", f"/workitems/{uid}{query}", {"00741204": text("LO", "Other")})
    return change(server, uid, event.partition(" to ")[2].partition(",")[0], known)


def test_state_table(server):
    for uid, (event, state, expected) in zip(placed(server), CELLS, strict=True):
        if event.startswith("N-SET, without correct") and state == "SCHEDULED":
            continue  # any UID is the correct one, and none is another row
        answer = run(server, event, state, uid)
        cell = event, state, answer.text, warning(answer)
        after = server.get(f"/workitems/{uid}").json().get("00741000", {}).get("Value", ["null"])[0]
        assert after == (expected if expected in STATES else state), cell
        if expected in STATES or expected == "0000" or expected[0] == "B":
            good = {"N-CREATE": 201, "Request Cancel": 202}.get(event, 200)
            assert answer.status_code == good, cell
            assert bool(warning(answer)) == (expected[0] == "B" or event == "N-CREATE"), cell
        else:
            status = 400 if event.startswith("N-SET") and expected == "C300" else STATUSES[expected]
            assert answer.status_code == status, cell
            assert set(answer.json()) == {"error", "reason"}
            assert warning(answer).startswith("299 "), cell


def test_direct_writes(server):
    for uid, (event, state, expected) in zip(placed(server), CELLS, strict=True):
        if event.startswith("N-SET, without a") or (event.startswith("N-SET") and state in ("null", "SCHEDULED")):
            continue  # see tests/designdocs
        place = f"{server.database}/workitem-{uid}"
        old = requests.get(place, timeout=30).json()
        document = workitems.direct(event, old if "_id" in old else None, uid)
        if event != "N-CREATE" and "_rev" in old:
            document["_rev"] = old["_rev"]
        answer = requests.put(place, json=document, timeout=30)
        allowed = 201 if expected in STATES or expected == "0000" else 403
        allowed = 409 if event == "N-CREATE" and state != "null" else allowed
        assert answer.status_code == allowed, (event, state, answer.text)


def test_life_of_a_workitem(server):
    uid = next(UIDS)
    base = f"{server.url}/workitems/{uid}"
    answer = create(server, uid, **{"00100010": text("PN", {"Alphabetic": "Müller^Jörg"})})
    assert answer.headers["Location"] == answer.headers["Content-Location"] == base
    assert "The Workitem was created with modifications." in warning(answer)
    got = server.get(f"/workitems/{uid}")
    assert got.headers["Content-Type"] == "application/dicom+json"
    assert got.headers["Cache-Control"] == "no-store"
    dataset = got.json()
    assert dataset["00100010"]["Value"] == [{"Alphabetic": "Müller^Jörg"}]
    assert dataset["00080018"]["Value"] == [uid]
    # What is retrieved creates another one, nothing being added; its UID is in the data set.
    other = next(UIDS)
    whole = {**dataset, "00080018": text("UI", other)}
    again = send(server, "POST", "/workitems", [whole])
    assert again.status_code == 201
    assert not warning(again)
    assert send(server, "POST", f"/workitems?workitem={uid}", creation()).status_code == 409

    claim(server, uid)
    assert "Transaction UID is missing" in warning(send(server, "POST", f"/workitems/{uid}", PERFORMED))
    refused = send(server, "POST", f"/workitems/{uid}?transaction-uid={OTHER}", PERFORMED)
    assert (refused.status_code, "Transaction UID is incorrect" in warning(refused)) == (400, True)
    assert change(server, uid, "COMPLETED").status_code == 409  # final state requirements
    xml = dataset_to_xml({**PERFORMED, "00081195": text("UI", TRANSACTION)})
    headers = {"Content-Type": "application/dicom+xml"}
    assert send(server, "POST", f"/workitems/{uid}", data=xml, headers=headers).status_code == 200
    assert change(server, uid, "COMPLETED").status_code == 200
    assert "already in the requested state of COMPLETED" in warning(change(server, uid, "COMPLETED"))
    for kind in ("application/dicom+xml", 'multipart/related; type="application/dicom+xml"'):
        found = server.get(f"/workitems/{uid}", headers={"Accept": kind})
        body = found.content[found.content.index(b"<?xml") : found.content.index(b"</NativeDicomModel>") + 19]
        assert xml_to_dataset(body)["00741000"]["Value"] == ["COMPLETED"]
    assert TRANSACTION not in server.get(f"/workitems/{uid}").text
    assert TRANSACTION not in requests.get(f"{server.database}/workitem-{uid}", timeout=30).text

    document = server.document(f"workitem-{uid}")
    gone = requests.delete(f"{server.database}/workitem-{uid}", params={"rev": document["_rev"]}, timeout=30)
    assert gone.status_code == 200
    assert server.get(f"/workitems/{uid}").status_code == 410
    assert change(server, uid, "CANCELED").status_code == 410
    assert server.get("/workitems/1.2.3.4").status_code == 404
    assert server.get(f"/workitems/{other}", headers={"Accept": "image/png"}).status_code == 406


@pytest.mark.either_database
@pytest.mark.parametrize(
    ("method", "path", "body", "kind", "status"),
    [
        ("POST", "/workitems", b"{", "application/dicom+json", 400),
        ("POST", "/workitems", b"[]", "application/dicom+json", 400),
        ("POST", "/workitems", b'{"PatientID":{"vr":"LO"}}', "application/json", 400),
        ("POST", "/workitems", b'{"00741002":{"vr":"SQ","Value":[1]}}', "application/json", 400),
        ("POST", "/workitems", b"<a/>", "application/dicom+xml", 400),
        ("POST", "/workitems", b"x", "text/plain", 415),
        ("POST", "/workitems?workitem=a%20b", b"{}", "application/json", 400),
        ("POST", "/workitems?workitem=1.2.840.10008.5.1.4.34.5", b"{}", "application/json", 400),
        ("PUT", "/workitems/1.2/state", b"{}", "application/json", 400),
        ("POST", "/workitems/1.2/subscribers/%5C", b"", None, 400),
        ("POST", "/workitems/1.2/subscribers/AE?deletionlock=maybe", b"", None, 400),
        ("POST", "/workitems/1.2/subscribers/AE", b"", None, 404),
        ("POST", "/workitems/1.2/subscribers/AE/suspend", b"", None, 400),
        ("POST", "/workitems/1.2.840.10008.5.1.4.34.5.1/subscribers/AE", b"", None, 400),
        ("POST", "/workitems/1.2.840.10008.5.1.4.34.5.1/subscribers/AE?Nonsense=1", b"", None, 400),
        ("POST", "/workitems/1.2.840.10008.5.1.4.34.5/subscribers/NOBODY/suspend", b"", None, 404),
        ("DELETE", "/workitems/1.2.840.10008.5.1.4.34.5/subscribers/NOBODY", b"", None, 404),
        ("GET", "/subscribers/AE", b"", None, 426),
    ],
)
def test_bad_requests(server, method, path, body, kind, status):
    answer = send(server, method, path, data=body, headers={"Content-Type": kind} if kind else {})
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error", "reason"}


@pytest.fixture(scope="module")
def listed(server):
    """Twelve workitems of three patients, two stations, two codes and four days, one of them at work."""
    uids = [next(UIDS) for _number in range(12)]
    for number, uid in enumerate(uids):
        create(
            server,
            uid,
            **{
                "00100010": text("PN", {"Alphabetic": ["Smith^John", "Meyer^Eva", "Schmidt^Jo"][number % 3]}),
                "00100020": text("LO", f"LISTED{number % 3}"),
                "00404005": text("DT", f"203101{1 + number // 3:02}1000"),
                "00404018": code(["SEG", "QA"][number % 2]),
                "00404025": code(["WS-A", "WS-B"][number // 6]),
                "00741202": text("LO", "LISTED"),
            },
        )
    claim(server, uids[0])
    return uids


@pytest.mark.either_database
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("WorklistLabel=LISTED", range(12)),
        ("WorklistLabel=LISTED&limit=3&offset=4", [4, 5, 6]),
        ("PatientID=LISTED1", [1, 4, 7, 10]),
        ("PatientID=LISTED1&ProcedureStepState=SCHEDULED&offset=1&limit=2", [4, 7]),
        ("ScheduledWorkitemCodeSequence.CodeValue=QA&WorklistLabel=LISTED", range(1, 12, 2)),
        ("00404025.00080100=WS-A&00741000=IN%20PROGRESS", [0]),
        ("00404025.00080100=WS-A&00741000=SCHEDULED", range(1, 6)),
        ("ScheduledStationNameCodeSequence.CodeValue=WS-B&ScheduledProcedureStepStartDateTime=20310103", [6, 7, 8]),
        ("ScheduledProcedureStepStartDateTime=20310102-20310103", range(3, 9)),
        ("ScheduledProcedureStepStartDateTime=203101031000-", range(6, 12)),
        ("ScheduledProcedureStepStartDateTime=20310104&ScheduledWorkitemCodeSequence.CodeValue=SEG", [10]),
        ("PatientName=smyth&fuzzymatching=true&WorklistLabel=LISTED", [0, 2, 3, 5, 6, 8, 9, 11]),
        ("PatientName=Mey*&WorklistLabel=LISTED", [1, 4, 7, 10]),
        ("PatientID=LISTED%3F&ProcedureStepState=IN%20PROGRESS", [0]),
        ("ProcedureStepState=COMPLETED&WorklistLabel=LISTED", []),
        ("PatientID=NOBODY", []),
    ],
)
def test_search(server, listed, query, expected):
    found = server.get(f"/workitems?{query}")
    assert found.status_code == 200
    uids = [row["00080018"]["Value"][0] for row in found.json()]
    assert uids == [listed[number] for number in expected]
    count = server.get(f"/workitems/count?{query}").json()["count"]
    # Of a page, how many there are in all.
    pages = {
        "WorklistLabel=LISTED&limit=3&offset=4": 12,
        "PatientID=LISTED1&ProcedureStepState=SCHEDULED&offset=1&limit=2": 4,
    }
    assert count == pages.get(query, len(uids))


def test_rows_of_searches(server, listed):
    row = server.get("/workitems?PatientID=LISTED0&limit=1").json()[0]
    # Return keys of types 1 and 2 (Table CC.2.5-3), what was matched, and what is asked for.
    assert {"00741000", "00741204", "00404005", "00404041", "0040A370", "00100020"} <= set(row)
    assert not {"00741216", "00404010", "00081195"} & set(row)
    more = server.get("/workitems?PatientID=LISTED0&limit=1&includefield=00404010,TransactionUID").json()[0]
    assert set(more) - set(row) == {"00404010"}
    assert "00741216" in server.get("/workitems?PatientID=LISTED0&limit=1&includefield=all").json()[0]
    told = server.get("/workitems?TransactionUID=1.2&PatientID=LISTED0")
    assert len(told.json()) == 4
    assert "TransactionUID" in warning(told)
    by_uid = server.get(f"/workitems?SOPInstanceUID={listed[3]},{listed[5]}").json()
    assert [one["00080018"]["Value"][0] for one in by_uid] == [listed[3], listed[5]]
    xml = server.get(
        "/workitems?PatientID=LISTED0", headers={"Accept": 'multipart/related; type="application/dicom+xml"'}
    )
    assert xml.content.count(b"<NativeDicomModel") == 4
    nobody = server.get("/workitems?PatientID=X", headers={"Accept": "multipart/related"})
    assert (nobody.status_code, nobody.content) == (204, b"")
    explained = server.get("/workitems?00404025.00080100=WS-A&00741000=IN%20PROGRESS&explain").json()
    assert explained["requests"][0]["scanned"] == 1


@pytest.mark.one_database("couchdb")
def test_replication(server):
    """What one site does arrives in one step at another; two claims of one workitem are one claim in the end."""
    root, _, name = server.database.rpartition("/")
    other = f"{root}/{name}-other"
    requests.put(other, timeout=30).raise_for_status()
    done, disputed = next(UIDS), next(UIDS)

    def replicate(source, target):
        body = {"source": source, "target": target, "doc_ids": [f"workitem-{uid}" for uid in (done, disputed)]}
        told = requests.post(f"{root}/_replicate", json=body, timeout=60).json()
        assert (told["ok"], told["history"][0]["doc_write_failures"]) == (True, 0)

    def document(database, uid):
        return requests.get(f"{database}/workitem-{uid}?conflicts=true", timeout=30).json()

    try:
        push(root, f"{name}-other")
        create(server, done)
        create(server, disputed)
        replicate(server.database, other)
        claim(server, done)
        claim(server, disputed)
        send(server, "POST", f"/workitems/{done}?transaction-uid={TRANSACTION}", PERFORMED)
        assert change(server, done, "COMPLETED").status_code == 200
        theirs = workitems.moved(document(other, disputed), "IN PROGRESS", transaction=OTHER)
        assert requests.put(f"{other}/workitem-{disputed}", json=theirs, timeout=30).status_code == 201
        replicate(server.database, other)
        replicate(other, server.database)

        arrived = document(other, done)
        assert [entry["state"] for entry in arrived["history"]] == ["SCHEDULED", "IN PROGRESS", "COMPLETED"]
        arrived["dataset"]["00741000"]["Value"] = ["SCHEDULED"]
        assert requests.put(f"{other}/workitem-{done}", json=arrived, timeout=30).status_code == 403
        here, there = document(server.database, disputed), document(other, disputed)
        assert here["_rev"] == there["_rev"]
        assert len(here["_conflicts"]) == 1
        owner = TRANSACTION if here["lock"] == workitems.lock(disputed, TRANSACTION, 1) else OTHER
        for transaction in (TRANSACTION, OTHER):
            answer = send(server, "POST", f"/workitems/{disputed}?transaction-uid={transaction}", PERFORMED)
            assert answer.status_code == (200 if transaction == owner else 400)
    finally:
        requests.delete(other, timeout=60)


@pytest.mark.one_database("embedded")
def test_what_the_page_shows_runs(server):
    """Run the commands of docs/worklist.md."""
    text_ = (workitems.ROOT / "docs/worklist.md").read_text("utf-8")
    commands = text_.split("```sh\n")[1].split("```")[0].replace("http://127.0.0.1:5985/dicom-web", server.url)
    told = subprocess.run(
        ["bash", "-ec", commands.replace("curl ", "curl -sS -f ")], capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr
    assert "Location:" in told.stdout
    assert '"2.25.77"' in told.stdout
    row = server.get("/workitems/2.25.77").json()
    assert row["00741000"]["Value"] == ["IN PROGRESS"]
    assert row["00741002"]["Value"][0]["00741004"]["Value"] == [50]


def test_conditions_and_capabilities(server):
    answer = send(server, "POST", "/workitems", creation(), headers={"If-Match": '"x"'})
    assert answer.status_code == 412
    told = requests.options(f"{server.url}/workitems/1.2/subscribers/AE", timeout=30)
    assert told.headers["Allow"] == "DELETE, OPTIONS, POST"
    assert requests.options(f"{server.url}/workitems", timeout=30).headers["Allow"] == "GET, HEAD, OPTIONS, POST"
