"""Searches for parts of texts: ``studies_by_text`` and the list find what matching alone finds (``tests/model.py``)."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicouch.rewrite import columns, pieces, requests
from dicouch.rewrite.plan import likely, needs_counts, rarest, study_candidates
from dicouch.rewrite.query import Query
from dicouch.rewrite.requests import Paging
from tests import model
from tests.conftest import share
from tests.designdocs.test_match_model import NAMES

LETTERS = st.sampled_from(["ab", "é", "A", " ", "^", ".", "=", "山", "\U0001f600", "か\u3099", "Ａ"])
WORDS = st.lists(LETTERS, max_size=6).map("".join)
PATTERNS = st.lists(LETTERS | st.sampled_from(["*", "?"]), min_size=1, max_size=8).map("".join)
PERSONS = st.fixed_dictionaries({}, optional=dict.fromkeys(["Alphabetic", "Ideographic", "Phonetic"], WORDS)) | NAMES
DATES = ["", "20200101", "20200102", "20200103"]
NAME, DESCRIPTION, DATE = "00100010", "00081030", "00080020"
SETTINGS = settings(max_examples=share(300), deadline=None)


def study(number, name, description, date=""):
    values = {NAME: ("PN", name), DESCRIPTION: ("LO", description), DATE: ("DA", [date] if date else [])}
    dataset = {tag: {"vr": vr, "Value": value} for tag, (vr, value) in values.items() if value}
    return {"_id": f"1.{number}:study", "type": "study", "dataset": dataset, "series": {}}


def within(key, params):
    """Whether a key lies in a range; the parts of these keys are texts, compared as bytes."""
    low, high = params["endkey"], params["startkey"]

    def order(some):
        return [part.encode() for part in some]

    return order(low) <= order(key) <= order(high)


def indexed(ddoc, documents, query):
    """Search the way ``shim/read/search/ranges.py`` does; return the numbers of the studies, in order."""
    rows = {name: [] for name in ddoc.source["views"] if name.startswith("studies_by_")}
    for document in documents:
        for view, some in rows.items():
            some += [(key, document) for key, _value in ddoc.map(view, document)]
    for some in rows.values():
        some.sort(key=lambda row: [part.encode() for part in row[0]], reverse=True)
    candidates = study_candidates(query)

    def read(one):
        return [(key, document) for key, document in rows[one.view] if within(key, one.params)]

    looked_at = {}
    for part in likely(candidates, lambda _: False):
        some = [{document["_id"]: key for key, document in read(one)} for one in part]
        looked_at.update((one, key) for one, key in some[0].items() if one in some[-1])
    if needs_counts(candidates) and likely(candidates, lambda _: False):
        few = [document for document in documents if document["_id"] in looked_at]
        few.sort(key=lambda document: looked_at[document["_id"]][2:], reverse=True)
        datasets = [columns.dataset_of({"value": None, "doc": document}) for document in few]
        told = json.loads(ddoc.show("matching", {"match": query.keys, "datasets": datasets})["body"])["matches"]
        found = [document["_id"] for document, matches in zip(few, told, strict=True) if matches]
        assert found == by_counts(ddoc, query, candidates, read)
        return numbers(found)
    return numbers(by_counts(ddoc, query, candidates, read))


def by_counts(ddoc, query, candidates, read):
    """Search where there are many rows."""
    counts = [len(read(one)) for parts in candidates for part in parts for one in part]
    chosen = rarest(candidates, counts) if needs_counts(candidates) else candidates[0][0]
    order = {}
    for one in chosen:
        asked = requests.search("study", query, one, Paging(0, 100, ordered=True), fields=None)
        some = [{"id": document["_id"], "key": key, "doc": document} for key, document in read(one)]
        answer = ddoc.list("studies", some, asked.body["query"] if asked.body else json.loads(asked.params["q"]))[
            "body"
        ]
        order.update((row["id"], row["order"]) for row in answer["rows"])
    return sorted(order, key=order.__getitem__, reverse=True)


def numbers(newest):
    return [int(one.partition(":")[0].partition(".")[2]) for one in newest]


def by_model(documents, query):
    def matches(document):
        return all(
            model.attribute(key["vr"], key["values"], document["dataset"].get(tag, {}).get("Value", []),
                            every=key.get("every", False))
            for tag, key in query.keys.items()
        )  # fmt: skip

    return {number for number, document in enumerate(documents) if matches(document)}


STUDIES = st.lists(
    st.tuples(st.lists(PERSONS, max_size=2), st.lists(WORDS.map(lambda text: text.replace("\\", "")), max_size=2),
              st.sampled_from(DATES)),
    max_size=4,
)  # fmt: skip


@SETTINGS
@given(
    studies=STUDIES,
    names=st.lists(PATTERNS, max_size=2),
    texts=st.lists(PATTERNS, max_size=2),
    dates=st.sampled_from(["", "20200102", "20200102-", "-20200102"]),
    every=st.booleans(),
)
def test_the_index_and_the_list_find_what_matches(ddoc, studies, names, texts, dates, every):
    documents = [study(number, *one) for number, one in enumerate(studies)]
    keys = {NAME: ("PN", [name for name in names if name.strip(" ^=")]), DESCRIPTION: ("LO", texts)}
    keys[DATE] = ("DA", [dates] if dates else [])
    query = Query(
        keys={tag: {"vr": vr, "values": values, "every": every} for tag, (vr, values) in keys.items() if values}
    )
    found = indexed(ddoc, documents, query)
    assert set(found) == by_model(documents, query)
    assert found == sorted(found, key=lambda n: (studies[n][2], f"1.{n}"), reverse=True)


@SETTINGS
@given(data=st.data(), person=PERSONS, texts=st.lists(WORDS, min_size=1, max_size=2))
def test_what_is_cut_out_of_a_text_is_found(ddoc, data, person, texts):
    documents = [study(0, [person], texts)]
    for tag, vr, text in [(DESCRIPTION, "LO", texts[0].strip(" ")), *((NAME, "PN", text) for text in person.values())]:
        start = data.draw(st.integers(0, len(text)))
        inside = text[start : data.draw(st.integers(start, len(text)))]
        value = data.draw(st.sampled_from(["*{}*", "*{}?*"])).format(inside)
        query = Query(keys={tag: {"vr": vr, "values": [value]}})
        if value.strip(" ^=") and "=" not in value:
            assert set(indexed(ddoc, documents, query)) == by_model(documents, query)


@SETTINGS
@given(stored=st.lists(PERSONS, max_size=3), value=st.lists(LETTERS, min_size=1, max_size=8).map("".join))
def test_fuzzy_names(ddoc, stored, value):
    query = Query(keys={NAME: {"vr": "PN", "values": [value], "fuzzy": True}})
    if not value.strip(" ^="):
        return
    documents = [study(number, [person], []) for number, person in enumerate(stored)]
    rows = [{"id": document["_id"], "key": [], "doc": document} for document in documents]
    page = {"match": query.keys, "offset": 0, "limit": 100, "sort": True}
    everything = {row["id"] for row in ddoc.list("studies", rows, page)["body"]["rows"]}
    assert {f"1.{number}:study" for number in indexed(ddoc, documents, query)} == everything


def test_a_study_with_too_many_pieces_is_always_found(ddoc):
    long = "".join(map(chr, range(0x4E00, 0x4E00 + 300)))
    assert [key[:2] for key, _ in ddoc.map("studies_by_text", study(3, [], ["ab" * 501]))] == [
        ["*StudyDescription*", ""]
    ]
    documents = [study(0, [], [long], "20200102"), study(1, [], ["about abcd"], "20200103"), study(2, [], ["abcd"])]
    assert [key[:2] for key, _ in ddoc.map("studies_by_text", documents[0])] == [["*StudyDescription*", ""]]

    def found(value):
        return indexed(ddoc, documents, Query(keys={DESCRIPTION: {"vr": "LO", "values": [value]}}))

    assert found(f"*{long[100:110]}*") == [0]
    assert found("*abcd*") == [1, 2]
    assert found("*nobody*") == []


@pytest.mark.parametrize("tag", sorted(pieces.ATTRIBUTES))
def test_every_attribute_of_the_table_is_indexed(ddoc, tag):
    kind = f"*{pieces.ATTRIBUTES[tag]}*"
    value = {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jörg"}]} if "Name" in kind else {"vr": "LO", "Value": [" Abba "]}
    document = {"_id": "1.2:study", "type": "study", "dataset": {tag: value}}
    rows = [key for key, _ in ddoc.map("studies_by_text", document) if key[0] == kind]
    expected = ["doe", "oe ", "e j", " jo", "jor", "org"] if "Name" in kind else ["Abb", "bba"]
    assert rows == [[kind, piece, "", "", "1.2"] for piece in expected]
