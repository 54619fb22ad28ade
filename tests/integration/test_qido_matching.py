"""QIDO-RS through a running server: every matching kind (PS3.4 C.2.2.2), against what the documents say."""

import json
import random
import re
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlencode

import pytest
import requests

from dicouch.rewrite import normalise
from tests import model
from tests.archive import attribute, study_documents, write
from tests.eventually import eventually

STUDIES = [next(iter(study_documents(number, 3, 4))) for number in range(60)]
FIXTURES = Path(__file__).parents[1] / "fixtures" / "match"
ODD = json.loads((FIXTURES / "odd_studies.json").read_text(encoding="utf-8"))
SEARCHES = json.loads((FIXTURES / "searches.json").read_text(encoding="utf-8"))
# More different pieces of three characters than are indexed of an attribute.
LONG = {
    "name": "Long^Lotte",
    "description": "thorax " + "".join(map(chr, range(0x4E00, 0x4E00 + 300))),
    "date": "20110203",
    "time": "",
}
CASES = [(case["keyword"], case["tag"], case["vr"], value) for case in SEARCHES for value in case["values"]]


def odd_study(number, name, description, date, time):
    study = f"1.3.{number}"
    if isinstance(name, str) and "=" in name:
        name = dict(zip(("Alphabetic", "Ideographic"), name.split("="), strict=False))
    dataset = {
        "00080020": attribute("DA", *[date] * bool(date)),
        "00080030": attribute("TM", *[time] * bool(time)),
        "00080050": attribute("SH", f"ODD {number}"),
        "00081030": attribute("LO", *[description] * bool(description)),
        "00100010": attribute("PN", *[name] * bool(name)),
        "00100020": attribute("LO", f"odd-{number}"),
        "0020000D": attribute("UI", study),
    }
    own = {f"{study}.1": "SR"}
    header = {"_id": f"{study}:study", "type": "study", "summary": "", "dataset": dataset, "series": own}
    series = {"0020000E": attribute("UI", f"{study}.1"), "00080060": attribute("CS", "SR")}
    instance = {tag: attribute("UI", uid) for tag, uid in (("0020000D", study), ("0020000E", f"{study}.1"))}
    instance |= {"00080018": attribute("UI", f"{study}.1.1"), "00080016": attribute("UI", "1.2")}
    file = {"store": "folder:none", "size": 1, "transferSyntax": "1.2", "sha256": "0"}
    return [
        header,
        {"_id": f"{study}:{study}.1", "type": "series", "summary": "", "dataset": series},
        {"_id": f"{study}:{study}.1:{study}.1.1", "type": "instance", "summary": "", "dataset": instance, "file": file},
    ]


@pytest.fixture(scope="module")
def everything(archive):
    """The archive with studies whose values are out of the ordinary; returns the server and all study headers."""
    documents = [document for n, row in enumerate([*ODD, LONG]) for document in odd_study(n, **row)]
    write(archive.database, documents)
    return archive, STUDIES + [document for document in documents if document["type"] == "study"]


def found(server, resource="studies", tag="0020000D", **query):
    answer = server.get(f"/{resource}?{urlencode(query)}")
    assert answer.status_code == 200, answer.text
    return {row[tag]["Value"][0] for row in answer.json()}


def stored(study, tag):
    return study["dataset"].get(tag, {}).get("Value", [])


def expected(studies, tag, vr, values, **how):
    return {stored(study, "0020000D")[0] for study in studies if model.attribute(vr, values, stored(study, tag), **how)}


@pytest.mark.either_database
@pytest.mark.parametrize(
    ("name", "tag", "vr", "value"),
    [pytest.param(*case, id=f"{case[0]}={case[3]}") for case in CASES],
)
def test_a_single_key(everything, name, tag, vr, value):
    server, studies = everything
    wanted = expected(studies, tag, vr, [value])
    assert found(server, **{name: value}) == wanted
    assert found(server, **{tag: value}) == wanted
    assert server.get(f"/studies/count?{urlencode({name: value})}").json() == {"count": len(wanted)}


def test_several_keys_together(everything):
    server, studies = everything
    rng = random.Random(7)
    for _ in range(40):
        chosen = rng.sample(CASES, 2)
        if chosen[0][0] == chosen[1][0] or {"StudyDate", "StudyTime"} == {chosen[0][0], chosen[1][0]}:
            continue
        wanted = set.intersection(*(expected(studies, tag, vr, [value]) for _name, tag, vr, value in chosen))
        assert found(server, **{name: value for name, _tag, _vr, value in chosen}) == wanted, chosen


def test_lists_of_values(everything):
    server, studies = everything
    uids = ["1.2.826.0.1.7", "1.2.826.0.1.9", "1.3.4", "1.2.3"]
    assert found(server, StudyInstanceUID=",".join(uids)) == set(uids[:3])
    assert found(server, StudyInstanceUID="\\".join(uids)) == set(uids[:3])
    assert found(server, StudyInstanceUID=",".join(uids), PatientSex="F") == set(uids[:2])
    assert found(server, StudyInstanceUID="1.3.4,") == {"1.3.4"}
    assert found(server, PatientID="odd-1\\ ") == {"1.3.1"}
    assert found(server, StudyInstanceUID=",", PatientID=" ", PatientName="^", AccessionNumber="ODD*") == {
        stored(study, "0020000D")[0] for study in studies if stored(study, "00080050")[0].startswith("ODD")
    }
    values = ["P000003", "odd-1", "P00001?"]
    assert found(server, PatientID="\\".join(values)) == expected(studies, "00100020", "LO", values)


def test_modalities_in_study(everything):
    server, studies = everything
    kinds = {study["dataset"]["0020000D"]["Value"][0]: set(study["series"].values()) for study in studies}
    lists = (("CT\\MR", False), ("CT,MR", False), ("CT,MR", True), ("CT\\MR", True), ("SR, C?\\XX", False))
    for value, every in (("CT", False), ("C?", False), ("XX", False), *lists):
        wanted = {
            uid for uid, own in kinds.items()
            if (all if every else any)(
                any(model.wild(one.strip(), kind) for kind in own) for one in re.split(r"[,\\]", value)
            )
        }  # fmt: skip
        assert found(server, ModalitiesInStudy=value, multiplevaluematching=str(every).lower()) == wanted
    rows = server.get("/studies?ModalitiesInStudy=CT&limit=5").json()
    assert all("CT" in row["00080061"]["Value"] for row in rows)


def test_combined_date_and_time(everything):
    server, studies = everything
    wanted = set()
    for study in studies:
        date, time = (stored(study, "00080020") or [""])[0].replace(".", ""), (stored(study, "00080030") or ["00"])[0]
        if model.span("DA", date) and "2007080807" <= date + time <= "20100201100059":
            wanted.add(stored(study, "0020000D")[0])
    assert len(wanted) > 2
    assert found(server, StudyDate="20070808-20100201", StudyTime="0700-1000") == wanted
    # Of different forms they are two keys.
    both = expected(studies, "00080020", "DA", ["20070808-20100201"]) & expected(studies, "00080030", "TM", ["07"])
    assert found(server, StudyDate="20070808-20100201", StudyTime="07") == both


def test_empty_values(everything):
    server, studies = everything
    wanted = {stored(study, "0020000D")[0] for study in studies if not stored(study, "00081030")}
    assert wanted
    assert found(server, StudyDescription='""', emptyvaluematching="true") == wanted
    assert found(server, StudyDescription='""') == set()
    assert found(server, PatientName='""', emptyvaluematching="true") == {"1.3.8"}


@pytest.mark.either_database
@pytest.mark.parametrize(
    ("value", "hit", "miss"),
    [
        ("jo smi", "Smith^John", "Doe^John"),
        ("SMYTH", "Smith^Anna", "Doe^John"),
        ("schmid", "Schmidt^Eva", "Doe^John"),
        ("kathar", "Doe^Katharina", "Doe^Anna"),
        ("Catharina", "Doe^Katharina", "Doe^Anna"),
        ("lüdenscheid gün", "Müller-Lüdenscheidt^Günther", "Müller^Anna"),
        ("ivanov", "Иванов^Пётр", "Doe^Anna"),
        ("太", "Yamada^Tarou", "Wang^XiaoDong"),
        ("ohn", "", "Smith^John"),
    ],
)
def test_fuzzy_names(everything, value, hit, miss):
    server, studies = everything
    rows = server.get(f"/studies?{urlencode({'PatientName': value, 'fuzzymatching': 'true'})}").json()
    names = {row["00100010"].get("Value", [{}])[0].get("Alphabetic", "") for row in rows}
    present = {stored(study, "00100010")[0].get("Alphabetic", "") for study in studies if stored(study, "00100010")}
    assert miss not in names
    if not hit:
        return
    assert [name for name in present if normalise.name(name).startswith(normalise.name(hit.partition("^")[0]))]
    if hit in present:
        assert hit in names


def test_series_and_instance_keys(everything):
    server, _studies = everything
    series = [document for n in range(60) for document in study_documents(n, 3, 4) if document["type"] == "series"]

    def having(tag, value):
        return {row["dataset"]["0020000E"]["Value"][0] for row in series if stored(row, tag)[0] == value}

    one = {"resource": "series", "tag": "0020000E"}
    assert found(server, **one, Modality="MR") == having("00080060", "MR")
    assert found(server, **one, SeriesNumber="02") == having("00200011", 2)
    assert found(server, **one, Modality="MR", SeriesNumber="2.0") == having("00080060", "MR") & having("00200011", 2)
    assert found(server, **one, SeriesInstanceUID="1.2.826.0.1.7.1,1.3.0.1,9") == {"1.2.826.0.1.7.1", "1.3.0.1"}
    assert found(server, **one, SeriesInstanceUID="1.2.826.0.1.7.1,1.3.0.1", PatientID="odd-0") == {"1.3.0.1"}
    path = "RequestAttributesSequence.ScheduledProcedureStepID"
    assert found(server, **one, **{path: "S7"}) == {f"1.2.826.0.1.7.{n}" for n in (1, 2, 3)}
    assert found(server, **one, **{path: "S7", "00400275.00401001": "R2"}) == {"1.2.826.0.1.7.2"}
    third = found(server, "studies/1.2.826.0.1.7/series", "0020000E", Modality="*", SeriesNumber="3")
    assert third == {"1.2.826.0.1.7.3"}

    one = {"resource": "instances", "tag": "00080018"}
    assert found(server, **one, SOPInstanceUID="1.2.826.0.1.7.1.2") == {"1.2.826.0.1.7.1.2"}
    assert found(server, **one, SOPInstanceUID="1.2.826.0.1.7.1.2", Modality="XX") == set()
    assert found(server, **one, PatientID="P000003", InstanceNumber="4") == {
        f"1.2.826.0.1.{study}.{n}.4" for study in (6, 7) for n in (1, 2, 3)
    }
    assert len(found(server, **one, InstanceNumber="4")) == 180
    assert len(found(server, **one, SeriesNumber="1", InstanceNumber="1")) == 60
    assert len(found(server, **one, SliceThickness="1.50", PatientID="P000003")) == 24
    assert len(found(server, **one, **{"00091001": "Private 3"})) == 9 * 12
    inside = "studies/1.2.826.0.1.7/instances"
    assert found(server, inside, "00080018", SOPInstanceUID="1.2.826.0.1.7.1.2") == {"1.2.826.0.1.7.1.2"}
    assert found(server, inside, "00080018", SOPInstanceUID="1.2.826.0.1.8.1.2") == set()
    assert found(server, inside, "00080018", InstanceNumber="2", SeriesNumber="3") == {"1.2.826.0.1.7.3.2"}


def test_limits_of_searches_everywhere(everything):
    server, _studies = everything
    answer = server.get("/instances?limit=100000")
    assert len(answer.json()) == 730
    numbers = [len(server.get(f"/instances?limit={n}").json()) for n in (0, 1, 5, 13, 100)]
    assert all(a < b for a, b in pairwise(numbers))


def test_patients(everything):
    server, _studies = everything
    rows = server.get("/patients?PatientName=smith*").json()
    assert rows
    assert all(row["00100010"]["Value"][0]["Alphabetic"].startswith("Smith") for row in rows)
    (row,) = server.get("/patients?PatientID=P000003").json()
    assert [row[tag]["Value"][0] for tag in ("00201200", "00201202", "00201204")] == [2, 6, 24]
    answer = server.get("/patients?StudyDate=20200101&limit=1")
    assert len(answer.json()) == 1
    assert "StudyDate" in answer.headers["Warning"]


def said(row, tag):
    """Return the first value of an attribute in lower case, "" where there is none."""
    (value, *_rest) = row.get(tag, {}).get("Value", [""])
    return (value if isinstance(value, str) else value.get("Alphabetic", "")).lower()


class TestWhatTextsContain:
    """Wild cards at the beginning: one piece of three characters decides which studies the list looks at."""

    @pytest.mark.either_database
    @pytest.mark.parametrize(
        ("tag", "key", "inside"),
        [
            ("00081030", "StudyDescription=*thorax*", "thorax"),
            ("00081030", "StudyDescription=*of ?bdomen", "abdomen"),
            ("00100010", "PatientName=*mit*", "mit"),
        ],
    )
    def test_pages_of_what_is_contained(self, everything, tag, key, inside):
        server, _studies = everything

        every = server.get("/studies?includefield=StudyDescription").json()
        wanted = [row["0020000D"] for row in every if inside in said(row, tag)]
        assert 3 < len(wanted) < len(every) / 2
        path = f"/studies?{key}&includefield=StudyDescription"
        assert [row["0020000D"] for row in server.get(path).json()] == wanted
        pages = [server.get(f"{path}&limit=3&offset={start}").json() for start in range(0, len(wanted) + 3, 3)]
        assert [row["0020000D"] for page in pages for row in page] == wanted
        assert server.get(path.replace("/studies", "/studies/count")).json() == {"count": len(wanted)}
        (first, *_rest) = server.get(f"{path}&limit=1&explain").json()["requests"]
        kind, piece = first["params"]["startkey"][:2]
        assert kind == f"*{key.partition('=')[0]}*"
        assert piece in inside
        below = server.get(f"/series?{key}&limit=1000").json()
        assert {row["0020000D"]["Value"][0] for row in below} == {uid["Value"][0] for uid in wanted}

    def test_with_other_keys(self, everything):
        server, _studies = everything
        every = server.get("/studies?includefield=StudyDescription").json()
        wanted = [
            row["0020000D"]
            for row in every
            if "head" in said(row, "00081030")
            and "CT" in row.get("00080061", {}).get("Value", [])
            and said(row, "00080020") >= "20100101"
            and said(row, "00100040") == "f"
        ]
        assert wanted
        path = "/studies?StudyDescription=*head*&ModalitiesInStudy=CT&StudyDate=20100101-&PatientSex=F"
        assert [row["0020000D"] for row in server.get(path).json()] == wanted

    def test_parts_of_all_values(self, everything):
        server, studies = everything
        rng = random.Random(12)
        tags = {
            "00100010": "PN",
            "00081030": "LO",
            "00080050": "SH",
            "00100020": "LO",
            "00080090": "PN",
            "00200010": "SH",
        }
        for _ in range(150):
            tag, study = rng.choice(list(tags)), rng.choice(studies)
            text = next(iter(stored(study, tag)), "odd")
            text = rng.choice(list(text.values())) if isinstance(text, dict) else text
            start = rng.randrange(max(len(text) - 2, 1))
            value = list(text[start : start + rng.randint(2, 12)])
            value[rng.randrange(len(value))] = rng.choice(["?", "*", value[0]])
            value = f"*{''.join(value)}*".replace("\\", "?")
            values = (
                [value, rng.choice(["*CT*", "*abdom*", "Smith*", "P00000?", "*"])] if rng.random() < 0.2 else [value]
            )
            wanted = expected(studies, tag, tags[tag], values)
            assert found(server, **{tag: "\\".join(values)}) == wanted, (tag, values)

    def test_of_series_and_instances(self, everything):
        server, _studies = everything
        wanted = {row["0020000D"]["Value"][0] for row in server.get("/studies?PatientName=*mit*").json()}
        for resource, tag in (("series", "0020000E"), ("instances", "00080018")):
            rows = server.get(f"/{resource}?PatientName=*mit*&limit=1000").json()
            assert {row["0020000D"]["Value"][0] for row in rows} == wanted
            assert found(server, resource, tag, PatientName="*nobodyhas*") == set()

    def test_a_study_with_too_many_pieces(self, everything):
        server, _studies = everything
        own = "1.3.9"
        assert found(server, StudyDescription=f"*{LONG['description'][100:103]}*") == {own}
        path = "/studies?StudyDescription=*thorax*"
        rows = [row["0020000D"]["Value"][0] for row in server.get(path).json()]
        assert own in rows
        newest = [row["00080020"].get("Value", [""])[0] for row in server.get(path).json()]
        assert newest == sorted(newest, reverse=True)
        pages = [server.get(f"{path}&limit=4&offset={start}").json() for start in range(0, len(rows) + 4, 4)]
        assert [row["0020000D"]["Value"][0] for page in pages for row in page] == rows
        assert server.get("/studies/count?StudyDescription=*thorax*").json() == {"count": len(rows)}
        series = server.get("/series?StudyDescription=*thorax*&limit=1000").json()
        assert {row["0020000D"]["Value"][0] for row in series} == set(rows)

    def test_what_nobody_has_is_told_by_the_rarest_piece(self, everything):
        server, _studies = everything
        told = server.get("/studies?PatientName=*nobodyhas*&explain").json()
        keys = [request["params"]["startkey"][:2] for request in told["requests"]]
        assert keys == [["*PatientName*", piece] for piece in ("ody", "nob", "")]  # all at a time
        assert [request["rows"] for request in told["requests"]] == [0, 0, 0]
        assert (told["rows"], told["walked"]) == (0, [])

    def test_what_reads_all_studies_is_told(self, everything):
        server, _studies = everything
        told = server.get("/studies?PatientName=*it*&PatientSex=F&PatientID=*&explain").json()
        assert told["walked"] == ["PatientName (0010,0010)", "PatientSex (0010,0040)"]
        assert server.get("/series?PatientSex=F&Modality=CT&explain").json()["walked"] == ["PatientSex (0010,0040)"]
        assert server.get("/patients?PatientSex=F&explain").json()["walked"] == ["PatientSex (0010,0040)"]
        assert server.get("/studies/1.2/series?PatientSex=F&explain").json()["walked"] == []

    def test_patients(self, everything):
        server, _studies = everything
        every = server.get("/patients").json()
        rows = server.get("/patients?PatientName=*mit*").json()
        found = {said(row, "00100020") for row in rows}
        assert found >= {said(row, "00100020") for row in every if "mit" in said(row, "00100010")}
        assert len(found) < len(every) / 2
        assert server.get("/patients?PatientName=*nobodyhas*").json() == []
        both = server.get("/patients?PatientName=*mit*%5C*chmid*").json()
        assert len(both) > len(rows)

    def test_what_is_written_shows_at_once(self, everything):
        server, _studies = everything
        assert server.get("/studies?StudyDescription=*unheard of*").json() == []
        document = server.document("1.2.826.0.1.7:study")
        before = document["dataset"]["00081030"]
        address = f"{server.database}/1.2.826.0.1.7:study"
        document["dataset"]["00081030"] = {"vr": "LO", "Value": ["something unheard of"]}
        requests.put(address, json=document, timeout=30).raise_for_status()
        try:
            (row,) = eventually(lambda: server.get("/studies?StudyDescription=*unheard of*").json(), bool)
            assert row["0020000D"]["Value"] == ["1.2.826.0.1.7"]
        finally:
            document = server.document("1.2.826.0.1.7:study")
            document["dataset"]["00081030"] = before
            requests.put(address, json=document, timeout=30).raise_for_status()
