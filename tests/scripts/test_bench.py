"""The benchmark: every part in its smallest size on the database that is here, and what its figures depend on."""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pydicom
import pytest

from dicouch.scripts.bench import archive, made, qido, versions
from dicouch.scripts.bench import main as bench
from dicouch.scripts.bench.client import Refused, Request, Sample, Side, background, fetch, race, run
from dicouch.scripts.bench.files import PLACEHOLDER, Identity, Template, new_run, series_of
from dicouch.scripts.bench.options import ARCHIVE, PARTS, Options, parse
from dicouch.scripts.bench.queries import KINDS
from dicouch.scripts.bench.report import Goal, Report, Row
from dicouch.scripts.bench.servers import settled
from dicouch.scripts.databases import Database


@dataclass
class Answers:
    """What a server was asked, and over which connections."""

    root: str = ""
    requests: list[str] = field(default_factory=list)
    connections: set[tuple] = field(default_factory=set)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.requests.append(handler.path)
        self.connections.add(handler.client_address)
        if handler.path == "/slow":
            time.sleep(0.05)
        length = 7 if handler.path == "/short" else 1000
        handler.send_response(404 if handler.path == "/missing" else 200)
        handler.send_header("Content-Length", str(length))
        handler.end_headers()
        handler.wfile.write(b"x" * length)


@pytest.fixture
def answers() -> Iterator[Answers]:
    """Run a server that keeps its connections."""
    told = Answers()
    methods = {
        "protocol_version": "HTTP/1.1",
        "do_GET": lambda handler: told.answer(handler),
        "log_message": lambda *_: None,
    }
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (BaseHTTPRequestHandler,), methods))
    told.root = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield told
    server.shutdown()
    server.server_close()
    thread.join()


# -- the client ------------------------------------------------------------------------------------------------------


def test_operations_are_spread_over_kept_connections_and_timed(answers):
    sample = run(answers.root, [[Request("GET", "/slow"), Request("GET", "/slow")]] * 6, 3)
    assert len(sample.seconds) == 6
    assert all(0.1 <= seconds < 5 for seconds in sample.seconds)
    assert 0.2 <= sample.wall < sum(sample.seconds)
    assert sample.received == 12 * 1000
    assert len(answers.requests) == 12
    assert len(answers.connections) == 3


def test_an_answer_that_is_wrong_stops_the_measurement(answers):
    with pytest.raises(Refused, match="404"):
        run(answers.root, [[Request("GET", "/missing")]] * 2, 2)
    with pytest.raises(Refused, match="7 bytes, not 8"):
        run(answers.root, [[Request("GET", "/short", least=8)]])
    with pytest.raises(Refused, match="no rows"):
        run(answers.root, [[Request("GET", "/", check=lambda content: "no rows")]])
    with pytest.raises(Refused):
        run("http://127.0.0.1:9", [[Request("GET", "/")]] * 2, 2)


def test_sides_take_turns_and_one_that_refuses_does_not_stop_the_others(answers):
    sides = {name: Side(answers.root, [[Request("GET", f"/{name}")]] * 4) for name in ("a", "missing", "b")}
    taken = race(sides, rounds=2)
    assert answers.requests == ["/a", "/a", "/missing", "/b", "/b", "/a", "/a", "/b", "/b"]
    assert isinstance(taken["missing"], Refused)
    assert [len(taken[name].seconds) for name in "ab"] == [4, 4]


def test_a_client_in_the_background_must_have_worked(answers):
    with background(answers.root, iter([Request("GET", "/slow")] * 1000)) as client:
        time.sleep(0.5)
    assert 2 < len(answers.requests) < 1000
    assert 0.5 * len(answers.requests) < client.rate < 4 * len(answers.requests)
    with pytest.raises(Refused, match="404"), background(answers.root, iter([Request("GET", "/missing")])):
        pass


def test_sample():
    sample = Sample(tuple(number / 100 for number in range(1, 101)), wall=10.0, received=5)
    assert sample.p50 == pytest.approx(0.505)
    assert sample.p95 == pytest.approx(0.96)
    assert sample.rate == 10
    assert Sample.joined([sample, sample]).rate == 10


# -- what is stored --------------------------------------------------------------------------------------------------


def test_files_differ_in_what_identifies_them_and_nothing_else():
    template = Template(4, 6, frames=3)
    first, second = (Identity(**vars(identity)) for identity in series_of(new_run(), 2))
    one, other = (template.file(identity, bytes(template.pixels)) for identity in (first, second))
    assert len(one) == len(other) == template.size
    read, same = pydicom.dcmread(io.BytesIO(one)), pydicom.dcmread(io.BytesIO(other))
    assert read.SOPInstanceUID == read.file_meta.MediaStorageSOPInstanceUID == first.instance
    assert (read.Rows, read.Columns, read.NumberOfFrames) == (4, 6, 3)
    assert read.pixel_array.shape == (3, 4, 6)
    differing = {element.keyword for element in read if element != same[element.tag]}
    assert differing == {"SOPInstanceUID", "InstanceNumber"}


def test_an_archive_has_as_many_studies_for_each_key_as_the_searches_expect():
    number = new_run()
    studies = [made.identity(number, study) for study in range(2000)]
    for name, size in (("patient_id", 1), ("accession", 1), ("study", 1), ("date", made.PAGE)):
        values = [getattr(study, name) for study in studies]
        assert all(values.count(value) == size for value in set(values)), name
    families = [study.name.partition("^")[0] for study in studies]
    assert all(families.count(family) == made.PAGE for family in set(families))
    assert sum("SMITH" in family for family in families) == 2 * made.PAGE
    lengths = {name: len(value) for name, value in vars(PLACEHOLDER).items()}
    assert all({name: len(value) for name, value in vars(study).items()} == lengths for study in studies)


def test_documents_are_stamped_in_every_form_of_a_value():
    stamp = made.Stamp(
        {
            "_id": f"{PLACEHOLDER.study}:study",
            "_rev": "1-x",
            "summary": "PLACEHOL^PATIENT · 1799-12-31 · Q7",
            "series": {PLACEHOLDER.series: PLACEHOLDER.modality},
            "keys": {"name": "placehol patient", "date": "17991231", "id": "PLACEH-PID"},
        }
    )
    identity = made.identity(12345678, 3)
    assert json.loads(stamp.document(identity)) == {
        "_id": f"{identity.study}:study",
        "summary": f"{identity.name} · 1995-01-01 · CR",
        "series": {identity.series: "CR"},
        "keys": {"name": identity.name.replace("^", " ").lower(), "date": "19950101", "id": identity.patient_id},
    }


def test_a_list_is_replaced_by_the_rows_of_its_view():
    step = {
        "method": "GET",
        "path": "_design/dicom/_list/studies/studies_by_date",
        "params": {"reduce": "false", "startkey": ["2"], "q": '{"limit":25}'},
        "body": None,
    }
    request = qido.plain(step)
    assert request.path.startswith("/_design/dicom/_view/studies_by_date?")
    assert "limit=25" in request.path
    assert "q=" not in request.path
    keyed = qido.plain({**step, "body": {"keys": ["a"], "query": {}}})
    assert (keyed.method, keyed.body) == ("POST", b'{"keys": ["a"]}')


def test_documents_that_are_there_already_may_be_written_again():
    conflict, other = b'{"id":"1","error":"conflict"}', b'{"id":"2","error":"forbidden"}'
    for again, content, refused in (
        (False, b'[{"ok":true,"id":"1"}]', False),
        (False, b"[" + conflict + b"]", True),
        (True, b"[" + conflict + b"]", False),
        (True, b"[" + conflict + b"," + other + b"]", True),
    ):
        assert bool(made.refused(again, content)) is refused, (again, content)


# -- an archive that grows -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instances", "expected"),
    [(8, [8]), (10_000, [10_000]), (300_000, [10_000, 100_000, 300_000]), (10**6, [10**4, 10**5, 10**6])],
)
def test_the_sizes_of_an_archive_that_grows(instances, expected):
    assert archive.sizes(instances) == expected


def test_a_run_that_was_stopped_goes_on_behind_the_steps_that_were_done(tmp_path):
    couch = Database("http://127.0.0.1:9", "none", "", "", "")
    asked = []

    def make():
        asked.append(1)
        yield Row("archive", "documents; 10 instances", "dicouch", p50=1.5)

    first = archive.Steps(Report({}), tmp_path / "steps.json", couch)
    rows = first.once("documents-1", make)
    with pytest.raises(Refused), first.spending("index-1"):
        run("http://127.0.0.1:9", [[Request("GET", "/")]])
    report = Report({})
    second = archive.Steps(report, tmp_path / "steps.json", couch)
    assert second.once("documents-1", make) == rows == report.rows
    assert asked == [1]
    with second.spending("index-1"):
        time.sleep(0.05)
    rate = float(second.spent("index-1", 10).partition(" documents/s")[0].rpartition("(")[2])
    assert 10 / 5 < rate <= 10 / 0.05


def test_what_is_missing_of_an_archive_is_written(monkeypatch):
    """By the last document of each chunk; where all are there and yet too few, everything."""
    chunks = [range(2), range(2, 3)]
    for there, left in (([], chunks), ([1], [range(2, 3)]), ([1, 2], chunks)):
        ids = {made.identity(archive.number_of(3), study, made.SERIES, made.INSTANCES).instance for study in there}

        def answer(_url, request, ids=ids):
            keys = json.loads(request.body)["keys"]
            rows = [{"id": key} if key.rpartition(":")[2] in ids else {"error": "not_found"} for key in keys]
            return {}, json.dumps({"rows": rows}).encode()

        monkeypatch.setattr(archive, "fetch", answer)
        assert archive.missing("http://couch", 3, chunks) == left


# -- the report ------------------------------------------------------------------------------------------------------


def test_ratios_are_above_one_for_what_is_faster(tmp_path):
    report = Report({})
    taken = {
        "dicouch, folder": Sample((0.01,) * 10, 0.1, 1_000_000, 0.05),
        "Orthanc": Sample((0.02,) * 10, 0.2, 1_000_000),
        "CouchDB": Refused(404, "GET /: 404"),
    }
    goals = [Goal("dicouch, folder", "Orthanc", 1), Goal("dicouch", "Orthanc", 3)]
    report.compare("stow", "a | b", taken, connections=8, per=10, goals=goals)
    ours, orthanc, couch = report.rows
    assert ours.ratios == {"Orthanc": 2.0}
    assert (ours.p50, ours.rate, ours.megabytes, ours.cpu) == pytest.approx((10, 1000, 10, 0.5))
    assert ours.goal == "reached: at least 1 x Orthanc; MISSED: at least 3 x Orthanc"
    assert orthanc.goal == ""
    assert "404" in couch.note
    text = report.write(tmp_path).read_text()
    assert text.count("a / b") == 3
    assert json.loads(next(tmp_path.glob("*.json")).read_text())["rows"][0]["connections"] == 8


def test_command_line():
    options = parse(["qido", "stow", "--studies", "10,20", "--tiny", "--no-orthanc", "--engines", "spidermonkey"])
    assert options.parts == ("qido", "stow")
    assert options.studies == (10, 20)
    assert options.instances < Options().instances
    assert (options.orthanc, options.engines) == (False, ("spidermonkey",))
    assert parse([]).parts == PARTS
    for wrong in (["nothing"], ["--studies", "0"], ["--samples", "-1"], ["--engines", "v8"]):
        with pytest.raises(SystemExit):
            parse(wrong)


# -- the parts -------------------------------------------------------------------------------------------------------


LONG = (ARCHIVE, "together", "cost", "metadata", "memory", "qido", "stow")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", [*PARTS, ARCHIVE])
def test_part(part, tmp_path, capfd, monkeypatch, pytestconfig):
    if part in LONG and not pytestconfig.getoption("--all"):
        pytest.skip("NOT TESTED: make test ARGS=--all runs every part of the bench")
    monkeypatch.delenv("COUCHDB_URL", raising=False)
    code = bench.main(
        [part, "--tiny", "--engines", "quickjs", "--out", str(tmp_path), "--keep", str(tmp_path / "data")]
    )
    told = capfd.readouterr()
    results = json.loads(next(tmp_path.glob("*.json")).read_text())
    assert code == 0, told.out + told.err
    rows = [row for row in results["rows"] if row["server"].startswith("dicouch")]
    assert {row["part"] for row in rows} == {part}
    assert [row["measure"] for row in rows if "not measured" in row["note"]] == []
    if part in (ARCHIVE, "qido"):
        assert {row["measure"].partition(";")[0] for row in rows} >= {kind.name for kind in KINDS}
    if part == "stow":
        assert any(row["ratios"].get("CouchDB") for row in rows)


def test_settling_ends_where_the_database_does_not_tell(answers):
    started = time.monotonic()
    settled(answers.root)()
    assert time.monotonic() - started < 5
    assert fetch(answers.root, Request("GET", "/"))[1] == b"x" * 1000


@pytest.mark.parametrize(("module", "words"), [("cli", ["push-views"]), ("push_views", [])])
def test_another_checkout_pushes_its_design_documents_as_it_can(tmp_path, module, words):
    """One with the command `dicouch`, and one of before, whose modules ran."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "push_views.py").write_text("")  # as beside the command: it does nothing
    told = "import os, sys; open('told', 'w').write(' '.join([os.environ['COUCHDB_URL'], *sys.argv[1:]]))"
    (tmp_path / "scripts" / f"{module}.py").write_text(told)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    python.chmod(0o755)
    assert versions.interpreter(tmp_path) == (str(python), "scripts")
    versions.push_views(tmp_path, {"COUCHDB_URL": "http://couch"})
    assert (tmp_path / "told").read_text() == " ".join(["http://couch", *words])
