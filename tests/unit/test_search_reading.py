"""``shim/read/search/reading.py``: rows of another request are for its credentials only, and while they are true."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicouch.couch.memory import Memory
from dicouch.read.search import ranges
from dicouch.read.search.reading import Reading
from dicouch.read.search.studies import Search
from dicouch.rewrite import plan, requests
from dicouch.rewrite.plan import Range
from dicouch.rewrite.query import parse
from dicouch.rewrite.requests import Paging
from tests.unit.test_memory import make

ONE = Range("series_by_study", {"key": "1"}, study="1")


class Couch:
    """A database whose rows say how often it was asked, and by whom; between two steps of a reader others may act."""

    def __init__(self) -> None:
        self.asked: list[str | None] = []

    def start_json(self, _method: str, path: str, *, authorization: str | None = None, **_options: object) -> Couch:
        self.answer = {"rows": [{"id": f"1:{len(self.asked)}:{authorization}", "value": [1, 1]}]}
        self.asked.append(authorization if path.endswith("series_by_study") else f"counts {authorization}")
        return self

    def json(self) -> dict:
        return self.answer


def read(couch: Couch, memory: Memory, authorization: str, between: object = None) -> list[dict]:
    """Read as a search does: counts are asked for ahead unless the rows are remembered, then come the rows."""
    reading = Reading(couch, "http://h", authorization, memory)
    reading.count_ahead(requests.counts(["1"]), ONE)
    if callable(between):
        between()
    return reading._rows(ONE, Paging(0, 10))


@pytest.fixture
def memory() -> Memory:
    return make()


def test_rows_are_remembered_for_who_read_them(memory):
    couch = Couch()
    first = read(couch, memory, "ann")
    assert read(couch, memory, "ann") == first
    assert read(couch, memory, "eve") != first
    assert [one for one in couch.asked if not one.startswith("counts")] == ["ann", "eve"]


def test_what_another_request_remembers_in_between_is_not_anybodys(memory):
    """It is remembered between the look that decides what to ask for and the one that gives the rows."""
    couch, others = Couch(), Couch()
    rows = read(couch, memory, "eve", lambda: read(others, memory, "ann"))
    assert rows[0]["id"].endswith(":eve")
    assert "eve" in couch.asked


def test_what_changes_in_between_is_read_anew(memory):
    couch = Couch()
    first = read(couch, memory, "ann")
    assert read(couch, memory, "ann", lambda: memory.states.changed("1:2:3")) != first


def test_a_right_that_is_taken_back_in_between_counts(memory):
    couch = Couch()
    first = read(couch, memory, "ann")

    def revoke():
        memory.couch.refused.add("ann")
        memory.answered("ann", False, memory.clock())

    assert read(couch, memory, "ann", revoke) != first


class Answer:
    """An answer on its way."""

    def __init__(self, answer: dict) -> None:
        self.json = lambda: answer


class Studies:
    """A database with two studies, of which one has SMITH in the name, or with many Smiths."""

    NAMES = {"1.1": "Smiley", "1.2": "Smith"}
    ROWS = {"smi": ["1.1", "1.2"], "mit": ["1.2"]}

    def __init__(self, many: int = 0) -> None:
        self.many = [f"2.{number}" for number in range(999, 999 - many, -1)]
        self.asked: list[str] = []
        self.named: list[str] = []

    def start_json(self, _method: str, path: str, *, params: dict, body: dict, authorization: str) -> Answer:
        name = path.removeprefix("_design/dicom/").removeprefix("_view/")
        if name == "studies_by_text":
            kind, text = params["startkey"][:2]
            uids = (self.many if self.many and text else self.ROWS.get(text, []))[: params["limit"]]
            self.asked.append(f"rows {text}")
            return Answer({"rows": [{"id": f"{uid}:study", "key": [kind, text, "", "", uid]} for uid in uids]})
        self.asked.append(name)
        if name == "_show/matching":
            return Answer({"matches": ["Smith" in str(one) for one in body["datasets"]]})
        if name == "studies_by_text/queries":
            return Answer({"results": [{"rows": [{"value": 7}][: len(one["startkey"][1])]} for one in body["queries"]]})
        if name == "_list/studies/studies_by_text":
            return Answer({"rows": [{"id": "2.0:study", "dataset": {NAME: {"vr": "PN"}}}], "matched": 1})
        if name == "counts":
            return Answer({"rows": [{"key": one, "value": [1, 1, 1]} for one in body["keys"]]})
        self.named = body["keys"]
        named = {
            uid: {NAME: {"vr": "PN", "Value": [{"Alphabetic": self.NAMES.get(uid, "Smith")}]}} for uid in body["keys"]
        }
        rows = [{"id": f"{uid}:study", "key": uid, "value": {"dataset": dataset}} for uid, dataset in named.items()]
        return Answer({"rows": rows})


NAME = "00100010"


def contained(couch: Studies, memory: Memory | None, key: str) -> list[str]:
    """Return the UIDs of the studies whose name contains a text."""
    search = Search(couch, "http://h", "ann", memory)
    return [row["0020000D"]["Value"][0] for row in search.studies(parse([("PatientName", f"*{key}*")], 10)).rows]


def test_what_nobody_has_is_told_by_the_first_requests(memory):
    couch = Studies()
    assert contained(couch, memory, "Nobody") == []
    # The two rarest pieces, and studies with too many of them: all at a time. What is nowhere is remembered.
    assert couch.asked == ["rows ody", "rows nob", "rows "]
    assert contained(couch, memory, "Peterson") == []
    assert couch.asked[3:] == ["rows pet", "rows son"]
    assert contained(couch, memory, "Petersen") == []
    assert couch.asked[5:] == []
    memory.states.changed("3:study")
    contained(couch, memory, "Petersen")
    assert couch.asked[5:] == ["rows pet", "rows ers", "rows "]


def test_few_studies_are_matched_at_once_and_remembered(memory):
    couch = Studies()
    assert contained(couch, memory, "SMI??") == ["1.2"]
    everything = ["_show/matching", "counts", "rows ", "rows smi", "studies_by_uid"]
    assert sorted(couch.asked) == everything
    assert contained(couch, memory, "SMI??") == ["1.2"]
    assert couch.asked[5:] == ["rows smi", "_show/matching"]
    memory.states.changed("1.2:1:1")
    assert contained(couch, memory, "SMI??") == ["1.2"]
    assert sorted(couch.asked[7:]) == everything


def test_studies_that_have_one_piece_alone_are_not_read(memory):
    couch = Studies()
    assert contained(couch, memory, "smi?mit") == ["1.2"]
    assert couch.asked[:3] == ["rows mit", "rows smi", "rows "]
    assert couch.named == ["1.2"]


def test_where_there_are_many_they_are_counted(memory):
    couch, counted = Studies(many=200), ["studies_by_text/queries", "_list/studies/studies_by_text"]
    assert contained(couch, memory, "abcdef") == ["2.0"]
    assert couch.asked == ["rows abc", "rows def", "rows ", *counted, "counts"]
    contained(couch, memory, "abcdef")  # both are known to be common
    assert couch.asked[6:] == counted


def test_a_page_of_many_is_the_newest(memory):
    couch = Studies(many=200)
    asked = [("PatientName", "*Smi*"), ("limit", "25")]
    rows = Search(couch, "http://h", "ann", memory).studies(parse(asked, 100)).rows
    assert [row["0020000D"]["Value"][0] for row in rows] == couch.many[:25]
    assert couch.asked == ["rows smi", "rows ", "studies_by_uid", "_show/matching", "counts"]
    couch.NAMES = dict.fromkeys(couch.many, "Smiley")  # none of the newest matches
    couch.asked.clear()
    memory.states.changed_all()
    Search(couch, "http://h", "ann", memory).studies(parse(asked, 100))
    assert couch.asked[3:6] == ["_show/matching", "studies_by_text/queries", "_list/studies/studies_by_text"]


PIECES = st.sets(st.sampled_from(["abc", "def", ""]))


@settings(max_examples=200, deadline=None)
@given(stored=st.lists(PIECES, max_size=12), page=st.integers(0, 3))
def test_no_study_that_may_match_is_left_out(stored, page):
    """With two pieces of the key, or with too many pieces; also where only a part of the rows is read."""
    uids = {f"1.{100 + number}": some for number, some in enumerate(stored)}
    couch = Studies()
    couch.ROWS = {text: [uid for uid in sorted(uids, reverse=True) if text in uids[uid]] for text in ("abc", "def", "")}
    wanted = [uid for uid in sorted(uids, reverse=True) if "" in uids[uid] or {"abc", "def"} <= uids[uid]]
    asked = parse([("PatientName", "*abcdef*")], 10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranges, "FEW", 3)
        chosen = ranges.choose(Reading(couch, ""), asked, plan.study_candidates(asked), page)
    if "studies_by_text/queries" in couch.asked:
        return
    keys = chosen[0].keys if chosen else []
    assert keys == sorted(keys, reverse=True)
    last = keys[-1] if keys and chosen[0].behind else ""
    assert [uid for uid in keys if uid in wanted] == [uid for uid in wanted if uid >= last]
