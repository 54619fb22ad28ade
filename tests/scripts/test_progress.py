"""Long commands: a bar on a terminal, lines in a log, stopped by Ctrl-C, and the next run that goes on."""

import contextlib
import json
import os
import pty
import re
import subprocess
import sys
import termios
import uuid

import pytest
import requests

from dicouch.couch.client import Couch, Pending
from dicouch.scripts import check_bytes, cli, load, move_bytes, progress, rebuild_headers
from dicouch.scripts.push_views import push
from dicouch.scripts.walk_documents import documents, studies_of
from tests.made import instance

# The same requests are tested on both databases elsewhere.
pytestmark = pytest.mark.one_database("couchdb")

STUDIES = ("1.2", "1.2.3", "1.10")
# In the order of their documents' ids: a colon is behind a full stop and behind all digits.
IN_ORDER = ["1.10", "1.2.3", "1.2"]
# Runs a command, sends itself a SIGINT after some calls of one of its functions, and says how many calls there were.
CODE = """
import importlib, os, signal, sys
from dicouch.scripts import cli, load, progress
progress.INTERVAL, load.BATCH_FILES = 0, 1
load.batches.__defaults__ = (1, 1)
module, function, number, *arguments = sys.argv[1:]
place = importlib.import_module(module)
*names, last = function.split(".")
for name in names:
    place = getattr(place, name)
real, calls = getattr(place, last), []

def called(*given, **options):
    calls.append(1)
    result = real(*given, **options)
    if len(calls) == int(number):
        os.kill(os.getpid(), signal.SIGINT)
    return result

setattr(place, last, called)
code = cli.main(arguments)
print("calls", len(calls))
sys.exit(code)
"""


def on_terminal(command, environment):
    """Run a command on a terminal; return its exit code and what it wrote."""
    ours, its = pty.openpty()
    termios.tcsetwinsize(its, (24, 120))
    process = subprocess.Popen(command, env=environment, stdin=its, stdout=its, stderr=its)
    os.close(its)
    written = b""
    try:
        while piece := os.read(ours, 4096):
            written += piece
    except OSError:
        pass  # EIO: the other end is closed
    os.close(ours)
    return process.wait(60), written.decode()


@pytest.fixture(scope="module")
def site(fresh_database, tmp_path_factory):
    """Two linked instances of each of three studies; return the environment of a command that works on them."""
    root, _, name = fresh_database.rpartition("/")
    push(root, name)
    folder = tmp_path_factory.mktemp("linked")
    for study in STUDIES:
        for number in (1, 2):
            (folder / f"{study}.{number}.dcm").write_bytes(instance(study, f"{study}.1", f"{study}.1.{number}"))
    told = {"COUCHDB_URL": root, "COUCHDB_DATABASE": name, "DATA_DIR": str(folder / "data"), "LINK_ROOTS": str(folder)}
    with pytest.MonkeyPatch.context() as patched:
        for one, value in told.items():
            patched.setenv(one, value)
        assert load.main([str(folder), "--link"]) == 0
    return folder, told


# A function, the call that is interrupted, how many calls the second run makes, and what the bar is called. What was
# under way when it was interrupted is done again; but uploads end, and are noted.
COMMANDS = {
    "load": ("dicouch.scripts.link", "Linker._one", 2, 1, "storing"),
    "push-views": ("dicouch.scripts.warm", "_ready", 1, None, "indexes of dicom-new"),
    "check": ("dicouch.scripts.check_bytes", "problem_of", 3, 4, "checking"),
    "rebuild-headers": ("dicouch.scripts.rebuild_headers", "Headers.rebuild", 2, 2, "rebuilding"),
    "move-bytes": ("dicouch.scripts.move_bytes", "Mover.move", 3, 6, "moving"),
}


def arguments_of(name, folder, root):
    """Return the arguments of a command that has something to do."""
    if name == "load":
        new = folder / "new"
        new.mkdir(exist_ok=True)
        for path in sorted(folder.glob("*.dcm"))[:3]:
            (new / path.name).write_bytes(path.read_bytes())
        return [str(new), "--link", "--workers", "1"]
    if name == "push-views":
        database = f"test-{uuid.uuid4().hex}"
        requests.put(f"{root}/{database}", timeout=30).raise_for_status()
        requests.put(f"{root}/{database}/1", json={}, timeout=30).raise_for_status()
        return ["--database", database]
    return {"check": ["--digests"], "move-bytes": ["--to", "attachment"]}.get(name, [])


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_is_stopped_goes_on(site, name):
    folder, told = site
    module, function, number, left, title = COMMANDS[name]
    arguments = [name, *arguments_of(name, folder, told["COUCHDB_URL"])]
    command = [sys.executable, "-c", CODE, module, function]
    environment = os.environ | told

    code, text = on_terminal([*command, str(number), *arguments], environment)
    assert code == 130, text
    assert re.search(rf"\r{title}: +\d+%\|.*\|.*\[\d\d:\d\d<\S+, .*/\w+\]", text), text
    assert text.splitlines()[-2:] == [
        f"{name}: stopped; running it again {cli.COMMANDS[name].again}",
        f"calls {number}",
    ]

    # The second run, into a pipe: lines with rate and time left, and only the rest is done.
    done = subprocess.run([*command, "0", *arguments], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert any(re.fullmatch(rf"{title}: +\d+%.*\[\d\d:\d\d<\S+, .*/\w+\]", line) for line in lines), lines
    assert not any("\r" in line for line in lines)
    calls = int(done.stdout.splitlines()[-1].split()[1])
    assert calls == left or (left is None and calls > number)
    if name == "load":
        assert "stored before        2 " in done.stdout
    if name == "check":
        assert "6 instances, 0 with a problem" in done.stdout
    if name in ("check", "rebuild-headers"):
        assert f"{name}: goes on behind " in lines[0]
    assert [path.name for path in (folder / "data").glob("*") if path.suffix in (".checkpoint", ".journal")] == []


def test_documents_and_studies_behind_one(site, monkeypatch):
    _folder, told = site
    couch = Couch(told["COUCHDB_URL"], told["COUCHDB_DATABASE"])
    every = [document["_id"] for document in documents(couch)]
    assert list(dict.fromkeys(name.partition(":")[0] for name in every)) == IN_ORDER == list(studies_of(couch))
    for place, name in enumerate(every):
        assert [one["_id"] for one in documents(couch, after=name)] == every[place + 1 :]
        assert [one["_id"] for one in documents(couch, STUDIES, after=name)] == every[place + 1 :]
    assert list(studies_of(couch, "1.2.3;")) == ["1.2"]
    assert progress.count_studies(couch) == 3
    assert progress.count_instances(couch) == len(every)
    assert progress.count_instances(couch, ["1.10", "1.2.3"]) == 4
    with monkeypatch.context() as patched:
        patched.setattr(Pending, "is_answered", lambda _pending, _seconds: False)  # as of an index that is far behind
        assert progress.count_studies(couch) is progress.count_instances(couch) is None
    assert progress.count_studies(couch) == 3
    missing = Couch(told["COUCHDB_URL"], "test-none")
    assert progress.count_studies(missing) is progress.count_instances(missing) is None


def test_a_problem_is_told_by_the_run_that_goes_on(site, monkeypatch, capsys):
    """What the first run found counts in the second, unless it is mended by then."""
    _folder, told = site
    for one, value in told.items():
        monkeypatch.setenv(one, value)
    looked = []

    def problem_of(_store, document, _digests):
        looked.append(document["_id"])
        if len(looked) == 4:
            raise KeyboardInterrupt
        return wrong.get(document["_id"], "")

    monkeypatch.setattr(check_bytes, "problem_of", problem_of)
    names = [document["_id"] for document in documents(Couch(told["COUCHDB_URL"], told["COUCHDB_DATABASE"]))]
    wrong = dict.fromkeys(names[:2] + names[5:], "it is gone")
    assert cli.main(["check"]) == 130
    capsys.readouterr()
    del wrong[names[0]]
    assert cli.main(["check"]) == 1
    assert looked[4:] == [*names[:2], *names[3:]]
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [f"{names[1]}: it is gone", f"{names[5]}: it is gone"]
    assert lines[2].startswith(f"1 instances up to {names[2]}: ")
    assert "not read again" in lines[2]
    assert lines[3].startswith("6 instances, 2 with a problem")

    looked.clear()
    assert cli.main(["check"]) == 130
    assert cli.main(["check", "--from-start"]) == 1
    assert looked[4:] == names
    assert "not read again" not in capsys.readouterr().out
    assert cli.main(["check"]) == 1
    assert looked[10:] == names


def test_headers_are_made_anew_by_another_design_document(site, monkeypatch):
    _folder, told = site
    monkeypatch.setenv("DATA_DIR", told["DATA_DIR"])
    couch = Couch(told["COUCHDB_URL"], told["COUCHDB_DATABASE"])
    made = []

    def rebuild(_headers, study):
        made.append(study)
        if len(made) == 2:
            raise KeyboardInterrupt
        return 0

    monkeypatch.setattr(rebuild_headers.Headers, "rebuild", rebuild)
    with pytest.raises(KeyboardInterrupt):
        rebuild_headers.rebuild_all(couch, quiet=True)
    url = f"{told['COUCHDB_URL']}/{told['COUCHDB_DATABASE']}/_design/dicom"
    design = requests.get(url, timeout=30).json()
    changed = requests.put(url, json=design | {"version": "another"}, timeout=30).json()
    rebuild_headers.rebuild_all(couch, quiet=True)
    assert made[2:] == IN_ORDER
    requests.put(url, json=design | {"_rev": changed["rev"]}, timeout=30).raise_for_status()
    rebuild_headers.rebuild_all(couch, quiet=True, from_start=True)
    assert made[5:] == IN_ORDER


def test_bytes_are_moved_whatever_other_runs_did_before(site, monkeypatch, tmp_path):
    """Half to one place, all to another, all to the first: nothing of the first run is believed in the third."""
    _folder, told = site
    places = [tmp_path / "a", tmp_path / "b"]
    for one, value in (told | {"BYTES_ROOTS": ":".join(map(str, places))}).items():
        monkeypatch.setenv(one, value)
    real, calls = move_bytes.Mover.move, []

    def move(mover, document):
        calls.append(document["_id"])
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(mover, document)

    monkeypatch.setattr(move_bytes.Mover, "move", move)
    for code, here in zip((130, 0, 0), (places[0], places[1], places[0]), strict=True):
        assert cli.main(["move-bytes", "--to", f"folder:{here}"]) == code
    found = [[path for path in one.rglob("*") if path.is_file()] for one in places]
    assert list(map(len, found)) == [6, 0]
    assert cli.main(["move-bytes", "--to", "attachment"]) == 0


class Stopped(Exception):
    pass


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Make checkpoints of the same work."""
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    return lambda *about: progress.Checkpoint("check", Couch("http://127.0.0.1:1", "dicom"), *about)


def stopped(checkpoint, *reached):
    with contextlib.suppress(Stopped), checkpoint:
        for key, done in reached:
            checkpoint.kept["count"] = checkpoint.kept.get("count", 0) + 1
            checkpoint.reach(key, done)
        raise Stopped


def test_a_checkpoint(place, tmp_path, capsys):
    stopped(place("a"), ("1", True), ("2", True))
    assert capsys.readouterr().err == ""
    with place("b") as other:
        assert (other.after, other.kept) == ("", {})
    with place("a") as again:
        assert (again.after, again.kept) == ("2", {"count": 2})
        assert capsys.readouterr().err == "check: goes on behind 2, where it was stopped\n"
    with place("a") as anew:
        assert anew.after == ""
    assert list(tmp_path.iterdir()) == []


def finished(checkpoint, *reached):
    with checkpoint:
        for key, done in reached:
            checkpoint.reach(key, done)


def test_a_finished_run_keeps_where_it_failed_first(place, tmp_path):
    finished(place(), ("1", True), ("2", False), ("3", True))
    again = place()
    finished(again, ("2", False), ("3", True))
    assert again.after == "1"
    last = place()
    finished(last, ("2", True), ("3", True))
    assert last.after == "3"
    assert list(tmp_path.iterdir()) == []
    # From the start, where not even the first is done.
    finished(place(), ("1", True), ("2", False))
    again = place()
    again._from_start = True
    finished(again, ("1", False))
    assert list(tmp_path.iterdir()) == []


def test_an_old_checkpoint_counts_for_nothing(place, tmp_path):
    stopped(place(), ("1", True))
    (path,) = tmp_path.iterdir()
    path_time = path.stat().st_mtime
    os.utime(path, (path_time, path_time - progress.LASTING + 60))
    with contextlib.suppress(Stopped), place() as again:
        assert again.after == "1"
        raise Stopped
    os.utime(path, (path_time, path_time - progress.LASTING - 60))
    with place() as anew:
        assert (anew.after, anew.kept) == ("", {})
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_commands_start_is_known_at_any_port(place, monkeypatch):
    def path(url, name="dicom"):
        return progress.Checkpoint("check", Couch(url, name)).path

    urls = ("http://127.0.0.1:1", "http://127.0.0.1:2")
    for ours in ("", "embedded"):
        monkeypatch.setenv("COUCHDB_URL", ours)
        assert path(urls[0]) == path(urls[1]) != path(urls[0], "other")
    monkeypatch.setenv("COUCHDB_URL", urls[0])
    assert path(urls[0]) != path(urls[1])


def test_what_failed_is_tried_again(place):
    stopped(place(), ("1", True), ("2", False), ("3", True))
    with place() as again:
        assert (again.after, again.kept) == ("1", {"count": 1})


def test_a_checkpoint_that_cannot_be_read_is_none(place, tmp_path):
    stopped(place(), ("1", True))
    (path,) = tmp_path.iterdir()
    for text in ("", "{}", "[]", '{"after": "1"', '"text"'):
        path.write_text(text)
        with place() as again:
            assert again.after == ""


def test_a_run_that_is_killed_loses_a_second(place, tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "SAVED", 0)
    checkpoint = place().__enter__()
    checkpoint.reach("1")
    (path,) = tmp_path.iterdir()
    assert json.loads(path.read_text())["after"] == "1"


def test_what_takes_less_than_a_minute_says_nothing_in_a_log(capsys):
    with progress.Bar(range(1000), desc="quick") as bar:
        for _ in bar:
            pass
    assert capsys.readouterr().err == ""
