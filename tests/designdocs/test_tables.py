"""What views write out of the tables is what these say, and dates have one grammar everywhere."""

import re

import pytest

from dicouch.rewrite import values
from dicouch.tables import read_table

WRITTEN = {
    "DA": ["20200131", "2020.01.31", "202001", "2020-01-31", "2020013", "٢٠٢٠٠١٣١", "2020013100"],
    "TM": ["10", "1030", "10:30", "103059", "10:30:59.123456", "103", "10:3", "1030.5", "103059.1234567", "10-30"],
    "DT": [
        "2020",
        "202001",
        "2020013110",
        "20200131103059.12",
        "2020-0500",
        "2020+1400",
        "2020+1500",
        "20200131 10",
        "",
    ],
}


@pytest.fixture(scope="module")
def grammar():
    return read_table("temporal")


def test_no_number_comes_last(ddoc):
    assert ddoc.call("views/lib/rows", "number", {}, "00200013") == read_table("limits")["lastNumber"]


@pytest.mark.parametrize("vr", ["DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV", "LO", "SH", "AS", "CS"])
def test_keys_of_numbers(ddoc, vr):
    doc = {"_id": "1:study", "type": "study", "dataset": {"00091001": {"vr": vr, "Value": ["007"]}}}
    ((key, _study),) = ddoc.call("views/lib/keys", "of", doc, "study", ["00091001"], vr)
    assert key == (7 if vr in read_table("vrs")["numeric"] else "007")


@pytest.mark.parametrize(("vr", "text"), [(vr, text) for vr, texts in WRITTEN.items() for text in texts])
def test_both_engines_read_one_grammar(ddoc, grammar, vr, text):
    pattern = f"^(?:{grammar[vr]})$"
    found = ddoc.context.eval("(function (pattern, text) { return new RegExp(pattern).test(text); })")(pattern, text)
    assert found == bool(re.fullmatch(grammar[vr], text, re.ASCII))


SINGLE = [(vr, text) for vr, texts in WRITTEN.items() for text in texts if text and "-" not in text]


@pytest.mark.parametrize(("vr", "text"), SINGLE)
def test_what_a_query_may_ask_for_finds_itself(ddoc, vr, text):
    """The list can compare what the shim lets through, and nothing else."""
    tree = {"00080020": {"vr": vr, "values": [text]}}
    rows = [{"id": "1:study", "value": {"dataset": {"00080020": {"vr": vr, "Value": [text]}}}}]
    query = {"match": tree, "fields": None, "offset": 0, "limit": 1}
    assert ddoc.list("studies", rows, query)["body"]["matched"] == bool(values.TEMPORAL[vr].fullmatch(text))
