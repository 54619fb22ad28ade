"""Events: what is made of the log of changes, who gets it, and what goes to webhooks."""

from __future__ import annotations

import hmac
import socket
import threading
from base64 import b64decode, b64encode
from contextlib import nullcontext
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest

from dicouch.config import Config
from dicouch.couch.states import States
from dicouch.errors import DicomWebError
from dicouch.hooks import deliver, rules
from dicouch.read.channels import Channels
from dicouch.read.events import Batch, Events, Room
from dicouch.rewrite import events
from dicouch.rewrite.events import Event, Filter, Position, Read
from dicouch.routes.events import _pieces, written
from dicouch.server import gunicorn_conf
from dicouch.services import Services

AT = "2026-11-27T08:00:00.000000Z"
START = Position("0a", 0)


def read(*entries, corrections=()):
    return Read([(f"1:{place}", action, AT) for place, action in entries], list(corrections), START)


def told(read, held):
    return [
        (one.kind, ":".join(filter(None, (one.study, one.series, one.instance))), one.whole, one.instances)
        for one in events.coalesced(read, {name: [0, count, 0] for name, count in held.items()}, {})
    ]


def test_500_instances_of_a_new_study_are_one_event():
    many = read(*((f"2:{number}", "create") for number in range(500)))
    assert told(many, {"1:study": 500, "1:2": 500}) == [("stored", "1", True, 500)]
    assert told(many, {"1:study": 501, "1:2": 501}) == [("stored", "1:2", False, 500)]


@pytest.mark.parametrize(
    ("entries", "held", "expected"),
    [
        # A further series of a study that was there.
        ([("3:1", "create"), ("3:2", "create")], {"1:study": 9, "1:3": 2}, [("stored", "1:3", True, 2)]),
        ([("3:1", "create")], {"1:study": 9, "1:3": 5}, [("stored", "1:3:1", True, 1)]),
        ([("3:1", "update")], {"1:study": 9, "1:3": 1}, [("stored", "1:3:1", False, 1)]),
        ([("2:1", "create"), ("3:1", "update")], {"1:study": 9, "1:2": 9, "1:3": 9}, [("stored", "1", False, 2)]),
        # A deletion: of all, of a series, of one instance.
        ([("2:1", "delete"), ("3:1", "delete")], {}, [("deleted", "1", True, 2)]),
        ([("2:1", "delete")], {"1:study": 3}, [("deleted", "1:2", True, 1)]),
        ([("2:1", "delete")], {"1:study": 3, "1:2": 3}, [("deleted", "1:2:1", True, 1)]),
        # What counts of an instance is what became of it.
        ([("2:1", "create"), ("2:1", "delete")], {}, [("deleted", "1", True, 1)]),
        ([("2:1", "delete"), ("2:1", "create")], {"1:study": 1, "1:2": 1}, [("stored", "1", True, 1)]),
        ([("2:1", "delete"), ("2:2", "create")], {"1:study": 9, "1:2": 9},
         [("deleted", "1:2:1", True, 1), ("stored", "1:2:2", True, 1)]),
    ],
)  # fmt: skip
def test_uids_go_as_deep_as_what_was_done(entries, held, expected):
    assert told(read(*entries), held) == expected


def test_corrections_of_studies_and_series():
    found = read(corrections=[("1:study", AT), ("1:2", AT)])
    assert told(found, {}) == [("corrected", "1", True, 0), ("corrected", "1:2", True, 0)]


def test_what_is_sent_has_uids_and_numbers_alone():
    event = Event("stored", "1", "2", "3", True, 1, AT, frozenset({"CT"}))
    uids = {"StudyInstanceUID": "1", "SeriesInstanceUID": "2", "SOPInstanceUID": "3"}
    assert event.told() == {
        "kind": "stored", "level": "instance", **uids, "whole": True, "instances": 1, "timestamp": AT
    }  # fmt: skip
    assert Event("corrected", "1", whole=True).told()["level"] == "study"


def page(first, *actions, corrections=()):
    entries = [
        {"instance": f"1:2:{number}", "action": action, "at": AT} for number, action in enumerate(actions, first)
    ]
    fixed = [{"header": "1:study", "after": after, "at": str(number)} for number, after in enumerate(corrections)]
    return {"first": first, "entries": entries, "corrections": fixed}


def test_a_position_is_behind_what_was_read():
    pages = [page(1, *["create"] * 100, corrections=[0, 100]), page(101, "delete", corrections=[101, 101])]
    found = events.behind(pages, START)
    assert (len(found.entries), len(found.corrections)) == (101, 4)
    assert found.position == Position("0a", 101, 2)
    assert events.behind(pages, found.position) == Read([], [], found.position)
    # A correction comes, and no instance: the position moves.
    pages[1]["corrections"].append({"header": "1:study", "after": 101, "at": "9"})
    more = events.behind(pages[1:], found.position)
    assert (more.entries, more.corrections, more.position) == ([], [("1:study", "9")], Position("0a", 101, 3))
    # From the middle, as who resumes does.
    later = events.behind(pages, Position("0a", 99, 0))
    assert [entry[0] for entry in later.entries] == ["1:2:100", "1:2:101"]
    assert len(later.corrections) == 4


@pytest.mark.parametrize("text", ["", "x", "0a-1", "0a--1-0", "0A-1-0", "0a-1-0-0", "0a-" + "9" * 40 + "-0"])
def test_what_is_no_position(text):
    assert Position.read(text) is None
    assert Position.read(str(Position("0a", 7, 2))) == Position("0a", 7, 2)


def test_filters():
    event = Event("stored", "1", modalities=frozenset({"CT"}))
    for query, takes in (
        ([], True), ([("kind", "deleted,stored")], True), ([("kind", "deleted")], False),
        ([("StudyInstanceUID", "1"), ("StudyInstanceUID", "2")], True), ([("studyinstanceuid", "2")], False),
        ([("Modality", "MR"), ("ModalitiesInStudy", "CT")], True), ([("Modality", "MR")], False), ([("x", "y")], True),
    ):  # fmt: skip
        assert Filter.parse(query).takes(event) is takes, query
    # Of a study that is gone nobody knows the modality: rather too much than too little.
    assert Filter.parse([("Modality", "MR")]).takes(Event("deleted", "1"))
    with pytest.raises(DicomWebError, match="kind is one of"):
        Filter.parse([("kind", "x")])


def test_the_last_event_of_a_batch_has_the_id():
    """Who is cut off between two of them resumes before both."""
    batch = Batch(START, Position("0a", 2), [Event("stored", "1"), Event("deleted", "2")])
    lines = written(batch, Filter()).decode().split("\n")
    assert [line.partition(":")[0] for line in lines] == ["event", "data", "", "event", "data", "id", "", ""]
    assert written(batch, Filter(kinds=frozenset({"corrected"}))).decode().strip() == "id: 0a-2-0"


class Hub:
    def __init__(self, batches=()):
        self.batches, self.turns = list(batches), 0

    def is_open(self):
        self.turns += 1
        return self.turns < 10

    def behind(self, _position, _wait):
        return self.batches.pop(0) if self.batches else None


def stream(hub, admits, monkeypatch, lost=False, client=None):
    clock = iter(range(0, 10_000, 5))
    monkeypatch.setattr("dicouch.routes.events.time", SimpleNamespace(monotonic=lambda: next(clock)))
    memory = SimpleNamespace(admits=lambda _who: admits.pop(0))
    ours = SimpleNamespace(events=hub, memory=memory, config=SimpleNamespace(remember=10.0))
    return b"".join(_pieces(ours, START, Filter(), lost, None, client)).decode()


def test_a_stream_ends_when_the_right_is_taken_back(monkeypatch):
    hub = Hub([None, None, None, Batch(START, Position("0a", 1), [Event("stored", "1")])])
    assert "event: stored" not in stream(hub, [False], monkeypatch)
    assert hub.turns == 2


def test_a_stream_shows_that_it_lives_and_ends_with_the_process(monkeypatch):
    hub = Hub()
    text = stream(hub, [True] * 20, monkeypatch, lost=True)
    assert text.startswith("retry: 3000\nid: 0a-0-0\n\nevent: reset\ndata: {}\n\n: \n\n")
    assert text.count(": \n\n") == 3  # one in 15 s
    assert hub.turns == 10


def test_a_stream_ends_when_its_client_is_gone(monkeypatch):
    ours, theirs = socket.socketpair()
    hub = Hub()
    stream(hub, [True] * 20, monkeypatch, client=ours)
    assert hub.turns == 10
    theirs.close()
    hub = Hub()
    assert ": \n\n" not in stream(hub, [True] * 20, monkeypatch, client=ours)
    assert hub.turns == 1
    ours.close()


def test_more_listeners_than_there_may_be_are_told_to_come_later():
    hub = Events(None, None, SimpleNamespace(start=lambda: None, states=SimpleNamespace()), 1, Room())
    hub._run = lambda: None
    with hub.joined(), pytest.raises(DicomWebError) as refused:
        hub.join()
    assert (refused.value.status, refused.value.headers["Retry-After"]) == (503, "10")
    with hub.joined():
        pass


def test_who_waits_for_events_and_in_channels_leaves_half_of_the_threads(monkeypatch):
    room = Room(2)
    hub = Events(None, None, SimpleNamespace(start=lambda: None, states=SimpleNamespace()), 64, room)
    hub._run = lambda: None
    database = SimpleNamespace(json=lambda *_args, **_options: {"rows": []})
    open_channels = Channels(database, SimpleNamespace(listen=lambda _told: True), 100, room)
    hub.join()
    channel = open_channels.open("A")
    for more in (hub.join, lambda: open_channels.open("B")):
        with pytest.raises(DicomWebError) as refused:
            more()
        assert (refused.value.status, "Retry-After" in refused.value.headers) == (503, True)
    open_channels.close(channel)
    hub.join()
    hub.leave()
    hub.leave()
    assert [room.take(), room.take(), room.take()] == [True, True, False]
    # As a process has them, and gunicorn bounds it.
    ours = Services.from_config(Config())
    worker = SimpleNamespace(alive=True, row=1, app=SimpleNamespace(wsgi=lambda: None))
    with monkeypatch.context() as started:
        started.setattr(gunicorn_conf.services, "of", lambda _app: ours)
        started.setattr(ours.memory, "start", lambda: None)
        started.setattr(gunicorn_conf, "sampling", MagicMock())
        started.setattr(gunicorn_conf, "counters", MagicMock())
        gunicorn_conf.post_worker_init(worker)
    assert ours.events._room is ours.channels._room
    assert ours.events._room.most == gunicorn_conf.threads // 2


def test_a_thread_that_cannot_be_started_is_tried_again(monkeypatch):
    class NoThread:
        def __init__(self, **_options):
            pass

        def start(self):
            raise RuntimeError("can't start new thread")

    room = Room(1)
    hub = Events(None, None, SimpleNamespace(start=lambda: None, states=SimpleNamespace()), 1, room)
    database = SimpleNamespace(json=lambda *_args, **_options: {"rows": []})
    open_channels = Channels(database, SimpleNamespace(listen=lambda _told: True), 1, room)
    with monkeypatch.context() as there_is_none:
        there_is_none.setattr("threading.Thread", NoThread)
        for one in (hub.join, lambda: open_channels.open("A")):
            with pytest.raises(DicomWebError) as refused:
                one()
            assert refused.value.status == 503
    came = threading.Event()
    hub._run = came.set
    with hub.joined():
        assert came.wait(5)
    open_channels.close(open_channels.open("A"))
    assert open_channels._thread.is_alive()


def test_a_webhook_whose_thread_cannot_be_started_is_tried_again(monkeypatch):
    started, ended, fail = [], [], [True]

    class Sender:
        def __init__(self, _services, hook, _stopped):
            self.hook = hook

        def start(self):
            if self.hook == "b" and fail.pop():
                raise RuntimeError("can't start new thread")
            started.append(self.hook)

        def join(self):
            ended.append(self.hook)

    monkeypatch.setattr(deliver, "Sender", Sender)
    senders = deliver.Senders(SimpleNamespace(couch=None), ["a", "b"])
    senders._lease = SimpleNamespace(read=dict, write=lambda **_values: None)
    assert senders.look() is False
    assert (started, ended) == (["a"], ["a"])
    fail.append(False)
    assert senders.look() is True
    assert started == ["a", "a", "b"]


def test_listeners_are_woken_where_anything_may_have_changed():
    states = States()
    hub = Events(None, None, SimpleNamespace(start=lambda: None, states=states), 1, Room())
    hub._run = lambda: None
    with hub.joined():
        hub._woken.clear()
        states.changed_all()
        assert hub._woken.is_set()


def test_a_failure_long_after_another_is_the_first_again(monkeypatch, tmp_path):
    """After an answer that was kept, or a time without failure, the pause begins anew."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(deliver, "time", SimpleNamespace(monotonic=lambda: clock.now, time=lambda: 0))
    waited = []
    stopped = SimpleNamespace(is_set=lambda: len(waited) == 6, wait=waited.append)
    batch = Batch(START, Position("0a", 1), [])
    services = SimpleNamespace(couch=None, events=SimpleNamespace(joined=nullcontext))
    sender = deliver.Sender(services, rules.read(file_of(tmp_path, HOOK))[0], stopped)
    sender._kept = SimpleNamespace(write=lambda **_values: None)

    def follow():
        if len(waited) == 3:
            sender._keep(batch)
        clock.now += 601 if len(waited) == 5 else 1
        raise DicomWebError(503, "busy")

    sender._follow = follow
    sender._run()
    assert waited == [1, 2, 4, 1, 2, 1]


def test_who_listens_to_a_database_that_was_made_anew_begins_anew():
    hub = Events(None, None, None, 1, Room())
    hub._head = Position("0b", 0)
    with pytest.raises(DicomWebError, match="made anew"):
        hub.behind(START, 0.0)
    assert hub.behind(Position("0b", 0), 0.0) is None


def file_of(tmp_path, text):
    path = tmp_path / "hooks.toml"
    path.write_text(text)
    return path


HOOK = '[[webhook]]\nname = "a"\nurl = "https://u:p@ris.example/hook"\n'


def test_a_signature_is_that_of_standard_webhooks(tmp_path):
    """The example of https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    (hook,) = rules.read(file_of(tmp_path, HOOK + f'secret = "{secret}"\n'))
    headers = deliver.signed(hook, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    (plain,) = rules.read(file_of(tmp_path, HOOK + 'secret = "x"\n'))
    expected = b64encode(hmac.digest(b"x", b"m.1.{}", "sha256")).decode()
    assert deliver.signed(plain, "m", 1, b"{}")["webhook-signature"] == f"v1,{expected}"
    assert len(b64decode(secret.removeprefix("whsec_"))) == 24
    (open_hook,) = rules.read(file_of(tmp_path, HOOK))
    assert "webhook-signature" not in deliver.signed(open_hook, "m", 1, b"{}")


def test_attributes_are_sent_only_where_they_are_named(tmp_path):
    header = {"dataset": {"00100020": {"vr": "LO", "Value": ["P1"]}, "00100010": {"vr": "PN"}}}
    (plain,) = rules.read(file_of(tmp_path, HOOK))
    assert plain.body_of(Event("stored", "1"), header)["data"] == Event("stored", "1").told()
    (named,) = rules.read(file_of(tmp_path, HOOK + 'attributes = ["PatientID", "AccessionNumber"]\n'))
    assert named.body_of(Event("stored", "1"), header)["data"]["dataset"] == {"00100020": {"vr": "LO", "Value": ["P1"]}}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "webhook"), ("x = 1\n" + HOOK, "nothing else"), ("webhook = 3\n", "webhook"),
        (HOOK + "kinds = 'stored'\n", "list of texts"), (HOOK + 'kinds = ["read"]\n', "'read'"),
        (HOOK + "secrets = 'x'\n", "no setting 'secrets'"), (HOOK + 'secret = "whsec_?"\n', "base64"),
        (HOOK + "timeout = 0\n", "timeout"), (HOOK + "timeout = true\n", "whole number"), (HOOK + HOOK, "same name"),
        ('[[webhook]]\nname = "a"\n', "url"), ('[[webhook]]\nname = "a"\nurl = "file:///etc/passwd"\n', "not a URL"),
        (HOOK + 'attributes = ["SliceThickness"]\n', "SliceThickness"), (HOOK + 'secret = "whsec_"\n', "empty"),
    ],
)  # fmt: skip
def test_a_file_that_makes_no_sense_is_told(tmp_path, text, reason):
    with pytest.raises(ValueError, match=r"hooks\.toml: .*" + reason):
        rules.read(file_of(tmp_path, text))


@pytest.mark.parametrize(
    ("owner", "lives"), [("elsewhere 1", True), ("{host} {pid}", True), ("{host} 99999999", False)]
)
def test_a_process_that_is_gone_holds_nobody_up(owner, lives):
    host, pid = deliver.socket.gethostname(), deliver.os.getpid()
    assert deliver._lives(owner.format(host=host, pid=pid)) is lives
