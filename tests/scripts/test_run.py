"""`make run`: what it starts, says and stops."""

import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import time
import weakref
from pathlib import Path

import psutil
import pytest
import requests

from dicouch.scripts import cli, examples, run, viewer, watch
from dicouch.scripts.connection import CommandError, redact
from dicouch.scripts.databases import DatabaseError, embedded, find_couchdb, private_couchdb
from tests.eventually import eventually

ROOT = Path(__file__).resolve().parents[2]
OURS = (
    "COUCHDB_URL",
    "COUCHDB_DATABASE",
    "DATA_DIR",
    "SHIM_BIND",
    "BYTES",
    "PREFIX",
    "WEB_CONCURRENCY",
    "OPEN_TO_THE_NETWORK",
    "AUTHORIZATION",
    "OHIF",
)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(**values):
    return {**{key: value for key, value in os.environ.items() if key not in OURS}, **values}


class Running:
    """`dicouch run`, or another command, and what it has printed so far."""

    def __init__(self, log, command="run", **values):
        self.log = log
        self.values = values
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/dicom-web"
        with open(log, "wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dicouch.scripts.cli", command],
                cwd=ROOT,
                env=environment(SHIM_BIND=f"127.0.0.1:{self.port}", **values),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def text(self):
        return self.log.read_text()

    def wait_for(self, text, limit=60):
        deadline = time.monotonic() + limit
        while text not in self.text:
            assert self.process.poll() is None, self.text
            assert time.monotonic() < deadline, self.text
            time.sleep(0.02)
        return self

    def family(self):
        """The command and all that it started, wherever it has moved to."""
        me = psutil.Process(self.process.pid)
        return [me, *me.children(recursive=True)]

    def stop(self, number, limit=40):
        """Send a signal, and return the exit code and what is left of the family."""
        family = self.family()
        self.process.send_signal(number)
        code = self.process.wait(limit)
        _, left = psutil.wait_procs(family, 20)
        return code, left


@pytest.fixture(params=["embedded", "couchdb"])
def kind(request):
    """Give each kind of database that it can start by itself."""
    if request.param == "couchdb" and not find_couchdb():
        pytest.skip("no couchdb here")
    return request.param


@pytest.fixture
def values(kind, tmp_path):
    """Environment of a run."""
    chosen = {"COUCHDB_URL": "embedded"} if kind == "embedded" else {}
    return {"DATA_DIR": str(tmp_path / "data"), **chosen}


@pytest.fixture
def start(tmp_path, values):
    """Start the command; whatever it leaves is ended."""
    started = []

    def begin(command="run", **more):
        running = Running(tmp_path / f"run-{len(started)}.log", command, **values, **more)
        started.append(running)
        return running

    yield begin
    for running in started:
        if running.process.poll() is None:
            running.process.terminate()
            running.process.wait(60)


@pytest.fixture
def here(monkeypatch, capfd):
    """Run a command in this process, which has read the modules; return its code and what it wrote."""

    def run_here(*command, **values):
        for name in OURS:
            monkeypatch.delenv(name, raising=False)
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delitem(sys.modules, "dicouch.server.gunicorn_conf", raising=False)  # which reads settings
        code = cli.main(list(command))
        return code, *capfd.readouterr()

    return run_here


@pytest.mark.one_database("couchdb")
def test_it_serves_and_finds_its_data_again(start, here, tmp_path):
    hooks = tmp_path / "webhooks.toml"
    hooks.write_text('[[webhook]]\nname = "a"\nurl = "http://127.0.0.1:1"\n')
    running = start(WEBHOOKS=str(hooks)).wait_for("Fauxton ").wait_for("webhooks    are sent")
    (sender,) = (one for one in running.family() if "dicouch.scripts.webhooks" in one.cmdline())
    sender.kill()
    running.wait_for("again       webhooks")
    answer = requests.get(f"{running.url}/studies", timeout=30)
    assert answer.status_code in (200, 204)
    fauxton = re.search(r"Fauxton +(\S+)", running.text)[1]
    assert "Fauxton" in requests.get(fauxton, timeout=30).text
    private = Path(re.search(r"user and password are in (\S+)", running.text)[1])
    secret = re.search('"password": "(.*?)"', private.read_text())[1]
    assert secret not in running.text
    assert private.stat().st_mode & 0o077 == 0
    url_file = Path(running.values["DATA_DIR"]) / "database.url"
    assert url_file.stat().st_mode & 0o077 == 0
    database = f"{url_file.read_text()}/dicom"
    requests.put(f"{database}/_local/mark", json={"mine": True}, timeout=30).raise_for_status()

    # Another command works on the database that runs; another server does not start on the same folder.
    code, _told, wrong = here("push-views", "--dry-run", **running.values)
    assert (code, wrong) == (0, "")
    code, told, wrong = here("run", SHIM_BIND=f"127.0.0.1:{free_port()}", **running.values)
    assert (code, told) == (1, "")
    assert re.fullmatch(r"run: another server works on .*\n", wrong)

    assert running.stop(signal.SIGTERM) == (0, [])
    assert running.text.endswith("stopped\n")
    assert not url_file.exists()

    began = time.monotonic()
    again = start().wait_for("DICOMweb ")
    assert time.monotonic() - began < 30
    assert "pushed" not in again.text
    mark = requests.get(f"{url_file.read_text()}/dicom/_local/mark", timeout=30)
    assert mark.json()["mine"] is True
    assert again.stop(signal.SIGINT) == (0, [])


@pytest.mark.one_database("embedded")
def test_the_demonstration_starts_a_server_and_stays(start):
    running = start("demo").wait_for("until Ctrl-C", limit=120)
    assert running.text.count("\n$ curl ") == 3
    assert re.search(r"00100010 PatientName +PN .*CompressedSamples\^", running.text)
    assert "39206 bytes, bit for bit the file that was stored\n" in running.text
    for study in examples.STUDIES:
        found = requests.get(f"{running.url}/studies", params={"StudyInstanceUID": study.uid}, timeout=30).json()
        assert [one["00100010"]["Value"][0]["Alphabetic"].split("^")[0] for one in found] == ["Example"]
        if viewer.installed():
            assert f"/ohif/{study.mode}?StudyInstanceUIDs={study.uid}  {study.title}\n" in running.text
    # Where a server runs already, it is used.
    command = [sys.executable, "-c", "from dicouch.scripts import demo; print(demo.server(None).__enter__())"]
    settings = environment(SHIM_BIND=f"127.0.0.1:{running.port}")
    used = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, timeout=60)
    assert used.stdout == f"('{running.url}', None)\n", used.stderr
    assert running.stop(signal.SIGTERM)[1] == []


@pytest.mark.one_database("couchdb")  # of the embedded one: tests/compat/test_host.py
def test_nothing_lingers_when_it_is_killed(start):
    running = start().wait_for("DICOMweb ")
    assert running.stop(signal.SIGKILL) == (-signal.SIGKILL, [])
    # What was locked is free again.
    start().wait_for("DICOMweb ")


@pytest.mark.one_database("embedded")
def test_it_heals(start):
    """Whatever is killed is there again within 10 s, at the same address and with its data; it ends when it is told."""
    running = start().wait_for("Fauxton ")
    root = (Path(running.values["DATA_DIR"]) / "database.url").read_text()
    requests.put(f"{root}/dicom/_local/mark", json={"mine": True}, timeout=30).raise_for_status()

    def parts():
        """Return the database, gunicorn's master, and its workers."""
        children = psutil.Process(running.process.pid).children()
        (server,) = (one for one in children if "dicouch.scripts.serve" in one.cmdline())
        (database,) = (one for one in children if one != server)
        return database, server, *server.children()

    def is_back():
        try:
            answer = requests.get(f"{running.url}/studies", timeout=5)
        except requests.RequestException:
            return False
        if answer.status_code == 503:
            assert int(answer.headers["Retry-After"]) > 0
        return answer.status_code in (200, 204)

    for victims, told in ((slice(0, 1), "the database"), (slice(1, 2), "the DICOMweb server"), (slice(2, None), "")):
        killed = parts()[victims]
        assert killed
        for one in killed:
            one.kill()
        psutil.wait_procs(killed, 5)
        began = time.monotonic()
        # Workers of a server that was killed answer for a moment more.
        while (told and f"again       {told}" not in running.text) or not is_back() or not parts()[2:]:
            assert time.monotonic() - began < 10, running.text
            time.sleep(0.1)
    assert running.text.count("ended by itself") == 2
    assert requests.get(f"{root}/dicom/_local/mark", timeout=30).json()["mine"] is True
    assert running.stop(signal.SIGTERM) == (0, [])


def test_a_database_that_hangs_is_started_again(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(watch, "IDLE", 1.0)
    monkeypatch.setattr(watch, "ASK", 0.2)
    monkeypatch.setattr(watch, "WAIT", 0.5)
    told = []
    with embedded(tmp_path) if kind == "embedded" else private_couchdb(tmp_path) as database:
        plain = redact(database.url)
        requests.put(f"{database.url}/mark", timeout=30).raise_for_status()
        # The embedded database lists a new one a moment later; `make run` makes its own anew where it is not listed.
        eventually(lambda: requests.get(f"{database.url}/_all_dbs", timeout=30).json(), lambda listed: "mark" in listed)
        pulse = watch.Pulse(plain, lambda: database.process)
        part = watch.Part("the database", lambda: database.process, database.restart, pulse=pulse)
        part.look(told.append)
        before = database.pid
        os.killpg(before, signal.SIGSTOP)
        began = time.monotonic()
        while "again       the database" not in told:
            assert time.monotonic() - began < 20
            part.look(told.append)
            time.sleep(0.05)
        assert (told[0], database.pid != before) == ("the database does not answer; it is ended", True)
        assert requests.get(f"{database.url}/mark", timeout=30).status_code == 200
        time.sleep(1.2)
        part.look(told.append)
        assert len(told) == 3


def test_who_works_is_waited_for(monkeypatch):
    """A database that builds an index or is starved by others must not be ended for being slow."""
    clock, worked = [0.0], [0]
    monkeypatch.setattr(watch, "work_of", lambda group: worked[0])
    monkeypatch.setattr(watch.threading.Thread, "start", lambda _thread: None)
    pulse = watch.Pulse("", lambda: subprocess.Popen(["true"]), clock=lambda: clock[0])

    def lost_after(step: int) -> float:
        pulse.begin()
        began = clock[0]
        while not pulse.is_lost():
            clock[0] += 1
            worked[0] += step
            pulse.feel(False)
        return clock[0] - began

    assert watch.IDLE < lost_after(0) <= watch.IDLE + 2
    assert watch.BUSY < lost_after(1) <= watch.BUSY + 2
    pulse.feel(True)
    assert not pulse.is_lost()


def test_the_work_of_a_group():
    ours = os.getpgid(0)
    before = watch.work_of(ours)
    began = time.process_time()
    while time.process_time() - began < 0.1:
        pass
    assert watch.work_of(ours) >= before + 5
    assert watch.work_of(2**30) == 0


def test_what_does_not_start_waits_longer_each_time():
    clock, told, starts = [0.0], [], []

    class Ended:
        code = 1

        def poll(self):
            return self.code

    process = Ended()

    def restart():
        starts.append(clock[0])
        if len(starts) in (2, 3):
            raise DatabaseError("port 1 is in use")

    part = watch.Part("the database", lambda: process, restart, clock=lambda: clock[0])

    def until(seconds):
        while clock[0] < seconds:
            part.look(told.append)
            clock[0] += 0.125

    until(20)
    assert starts[:5] == [0, 0.625, 1.625, 3.625, 7.75]
    assert told[0] == "the database ended by itself (code 1); it is started again"
    assert "the database did not start: port 1 is in use; it is started again in 1 s" in told
    until(600)
    assert max(later - before for before, later in itertools.pairwise(starts)) == pytest.approx(30, abs=0.5)
    # Once it has run for a minute, its end is the first again.
    process.code = None
    until(700)
    process.code = 0
    count = len(starts)
    part.look(told.append)
    assert starts[count:] == [clock[0]]


@pytest.mark.one_database("couchdb")
def test_stopping_while_it_starts_leaves_nothing(start):
    running = start().wait_for("database ")
    assert running.stop(signal.SIGTERM) == (0, [])


def test_a_signal_whose_exception_python_drops_still_stops_it(monkeypatch):
    """As in CI once: the signal came in the callback of an import lock, and the command served on for good."""
    dropped = []
    monkeypatch.setattr(sys, "unraisablehook", lambda raised: dropped.append(raised.exc_type))

    class Lock:
        pass

    with run.until_signal() as asked:
        asked.check()
        lock = Lock()
        weak = weakref.ref(lock, lambda _: os.kill(os.getpid(), signal.SIGTERM))
        del lock
        assert weak() is None
        assert dropped == [KeyboardInterrupt]
        with pytest.raises(KeyboardInterrupt):
            asked.check()
        with pytest.raises(KeyboardInterrupt):
            run.wait_until_ready(None, "http://127.0.0.1:1", asked=asked)
        os.kill(os.getpid(), signal.SIGTERM)  # too soon: the first may be under way
        monkeypatch.setattr(run, "IMPATIENCE", 0)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        asked.stopping = True
        os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"SHIM_BIND": "nonsense"}, "run: SHIM_BIND must be host:port, not 'nonsense'"),
        (
            {"COUCHDB_URL": "http://me:secret@127.0.0.1:1"},
            "run: cannot reach a database at http://127.0.0.1:1: connection",
        ),
        ({"SHIM_BIND": f"0.0.0.0:{free_port()}"}, "run: SHIM_BIND: whoever reaches ('0.0.0.0', "),
        ({"SHIM_BIND": f"[::]:{free_port()}", "COUCHDB_URL": "embedded"}, "run: SHIM_BIND: whoever reaches ('::', "),
        ({"BYTES": "folder"}, "run: BYTES must be"),
        ({"WEBHOOKS": "/nowhere/hooks.toml"}, "run: /nowhere/hooks.toml: "),
        ({"WEB_CONCURRENCY": "none"}, "run: WEB_CONCURRENCY must be a whole number above 0"),
        ({"DATA_DIR": "/proc/no/folder"}, "run: cannot use the data folder /proc/no/folder"),
        ({"COUCHDB_URL": "embedded", "PATH": "/nowhere"}, "run: node is missing"),
    ],
)
def test_what_cannot_start_is_one_line(here, tmp_path, given, message):
    values = {"SHIM_BIND": f"127.0.0.1:{free_port()}", "DATA_DIR": str(tmp_path), "COUCHDB_DATABASE": "dicom", **given}
    code, told, wrong = here("run", **values)
    assert (code, told, wrong.count("\n")) == (1, "", 1)
    assert wrong.startswith(message)
    assert "secret" not in wrong


def test_a_port_in_use_is_noticed_before_anything_starts(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        place = f"127.0.0.1:{other.getsockname()[1]}"
        values = {"SHIM_BIND": place, "DATA_DIR": str(tmp_path / "data"), "COUCHDB_URL": "embedded"}
        command = [sys.executable, "-m", "dicouch.scripts.cli", "run"]
        done = subprocess.run(command, cwd=ROOT, env=environment(**values), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr == f"run: cannot listen on {place}: Address already in use (SHIM_BIND=host:port chooses)\n"
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("text", "parsed", "url"),
    [
        ("127.0.0.1:5985", ("127.0.0.1", 5985), "http://127.0.0.1:5985"),
        (":80", ("0.0.0.0", 80), "http://127.0.0.1:80"),
        ("[::1]:5985", ("::1", 5985), "http://[::1]:5985"),
        ("[::]:5985", ("::", 5985), "http://[::1]:5985"),
        ("pacs.example:1", ("pacs.example", 1), "http://pacs.example:1"),
    ],
)
def test_bind(text, parsed, url):
    assert run.parse_bind(text) == parsed
    assert run.local_url(*parsed) == url


@pytest.mark.parametrize("text", ["", "5985", "host:", "host:0", "host:65536", "host:http"])
def test_bad_bind(text):
    with pytest.raises(CommandError, match="SHIM_BIND"):
        run.parse_bind(text)


def test_a_server_that_is_not_needed_ends(capfd):
    server = run.prepare()
    server.stdin.close()
    assert server.wait(30) == 0
    assert capfd.readouterr() == ("", "")
