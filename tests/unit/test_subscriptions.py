"""Subscriptions to the worklist (PS3.18 11.10, 11.11) in the order in which requests come to the database."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from dicouch.couch.response import CouchError
from dicouch.rewrite import query
from dicouch.rewrite.workitems import FILTERED, GLOBAL, KINDS, document_id, subscriber_id
from dicouch.write.worklist import Refused, Worklist
from tests.workitems import creation, text


class Database:
    """Workitems and subscribers, changed as the design document does; `meanwhile` runs as one is created."""

    def __init__(self) -> None:
        self.items: dict[str, dict] = {}
        self.subscribers: dict[str, dict] = {}
        self.meanwhile: Callable[[], None] = lambda: None
        self.broken = False

    def json(self, method, path, *, params=None, body=None, authorization=None, writes=None):
        kind, _, name = path.removeprefix("_design/").partition("/")
        called = "_".join(name.split("/")[:2]) if name else kind
        return getattr(self, called.strip("_"))(path, params, body)

    def update_subscriber(self, _path, _params, body):
        own = self.subscribers.setdefault(subscriber_id(body["ae"]), {"aeTitle": body["ae"]})
        if not body.get("off"):
            own[body["kind"]] = {key: body[key] for key in ("lock", "filter") if key in body}
        elif own.pop(body["kind"], None) is None:
            raise CouchError(404, "C307", "The target Subscription was not found.")
        return {}

    def update_create(self, path, _params, body):
        self.meanwhile()
        told = {one["ae"]: {"lock": one["lock"]} for one in body["subscribers"]}
        self.items[path.rpartition("/")[2]] = {"dataset": body["dataset"], "subscribers": told}
        return {"warnings": []}

    def update_unsubscribe(self, path, _params, body):
        del self.items[path.rpartition("/")[2]]["subscribers"][body["ae"]]

    def all_docs(self, _path, _params, _body):
        return {"rows": [{"doc": doc} for doc in self.subscribers.values()]}

    def list_workitems(self, path, params, body):
        asked = body["query"] if body else query_of(params)
        keys = body["keys"] if body and "keys" in body else list(self.items)
        return {"rows": [{"id": key} for key in keys if key in self.items and self.matches(key, asked["match"])]}

    def matches(self, key, match):
        dataset = {**self.items[key]["dataset"], "00080018": text("UI", key.removeprefix("workitem-"))}
        return all(dataset.get(tag, {"Value": []})["Value"] == wanted["values"] for tag, wanted in match.items())

    def list_subscribe(self, _path, _params, body):
        if self.broken:
            raise CouchError(500, "internal", "broken")
        asked = body["query"]
        changed = []
        for key in body["keys"]:
            known = dict(self.items[key]["subscribers"])
            if asked.get("off"):
                known.pop(asked["ae"], None)
            else:
                known[asked["ae"]] = {"lock": asked["lock"]}
            if known != self.items[key]["subscribers"]:
                changed.append({**self.items[key], "_id": key, "subscribers": known})
        return changed

    def bulk_docs(self, _path, _params, body):
        self.items.update({doc["_id"]: doc for doc in body["docs"]})
        return [{"id": doc["_id"], "rev": "2-a"} for doc in body["docs"]]


def query_of(params):
    return json.loads(params["q"])


@pytest.fixture
def site():
    database = Database()
    return database, Worklist(database, None, {"server": "here", "started": "1"})


def subscribed(database, uid):
    return database.items[document_id(uid)]["subscribers"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_suspended_can_be_ended(site, kind):
    """PS3.4 CC.2.3: suspending ends what is to come, unsubscribing what there is; in either order."""
    database, worklist = site
    worklist.create("1.2", creation())
    asked = query.parse([("PatientID", "P1")], 1) if kind == FILTERED else None
    database.items[document_id("1.2")]["dataset"]["00100020"] = text("LO", "P1")
    worklist.subscribe(kind, "ALL", True, asked)
    assert subscribed(database, "1.2") == {"ALL": {"lock": True}}
    worklist.suspend(kind, "ALL")
    with pytest.raises(Refused):
        worklist.suspend(kind, "ALL")
    worklist.unsubscribe(kind, "ALL")
    assert subscribed(database, "1.2") == {}
    for title in ("ALL", "NOBODY"):
        with pytest.raises(Refused) as refused:
            worklist.unsubscribe(kind, title)
        assert refused.value.status == 404


def test_what_broke_off_can_be_repeated(site):
    database, worklist = site
    worklist.create("1.2", creation())
    worklist.subscribe(GLOBAL, "ALL", True)
    database.broken = True
    with pytest.raises(CouchError):
        worklist.unsubscribe(GLOBAL, "ALL")
    database.broken = False
    worklist.unsubscribe(GLOBAL, "ALL")
    assert subscribed(database, "1.2") == {}


def test_another_subscription_is_not_ended(site):
    database, worklist = site
    worklist.create("1.2", creation())
    worklist.subscribe(GLOBAL, "ALL", True)
    with pytest.raises(Refused):
        worklist.unsubscribe(FILTERED, "ALL")
    assert subscribed(database, "1.2") == {"ALL": {"lock": True}}


def test_who_subscribes_meanwhile_misses_nothing(site):
    database, worklist = site
    worklist.subscribe(GLOBAL, "BEFORE", False)
    worklist.subscribe(GLOBAL, "GONE", True)

    def meanwhile():
        worklist.unsubscribe(GLOBAL, "GONE")  # whose lock nobody could take away
        worklist.subscribe(GLOBAL, "LATE", True)
        worklist.subscribe(FILTERED, "SOME", False, query.parse([("PatientID", "P1")], 1))
        worklist.subscribe(FILTERED, "OTHER", False, query.parse([("PatientID", "P2")], 1))

    database.meanwhile = meanwhile
    worklist.create("1.2", {**creation(), "00100020": text("LO", "P1")})
    assert subscribed(database, "1.2") == {"BEFORE": {"lock": False}, "LATE": {"lock": True}, "SOME": {"lock": False}}
