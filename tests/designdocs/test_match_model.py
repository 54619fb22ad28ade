"""``lib/match`` against the plain model of PS3.4 C.2.2.2 (``tests/model.py``), on inputs that hypothesis invents."""

from datetime import UTC

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicouch.rewrite.values import same_form
from tests import model
from tests.conftest import share
from tests.designdocs.test_match import found

# Few letters, so that values meet; every plane, accents, and what a regular expression would take for its own.
LETTERS = "aAbé ^.\\d[](){}+$|'\"山\U0001f600"
TEXT = st.text(st.sampled_from([letter for letter in LETTERS if letter != "\\"]), max_size=6)
PATTERN = st.text(st.sampled_from(["a", "b", "A", "*", "?", " ", ".", "\U0001f600"]), min_size=1, max_size=8)
NAME = st.text(st.sampled_from("aAbBé^, "), max_size=8)
NAMES = st.fixed_dictionaries({"Alphabetic": NAME}, optional={"Ideographic": NAME, "Phonetic": NAME})
SETTINGS = settings(max_examples=share(200), deadline=None)
DATES = st.dates().map(lambda date: f"{date:%Y%m%d}".zfill(8))
CLOCKS = st.times().map(lambda time: f"{time:%H%M%S.%f}")
TIMES = st.builds(lambda text, n: text[:n].rstrip("."), CLOCKS, st.sampled_from([2, 4, 6, 8, 10, 13]))
ZONES = st.sampled_from(["", "", "+0000", "+0100", "-0500", "+0545", "-1200", "+1400"])
WIDTHS = st.sampled_from([4, 6, 8, 10, 12, 14, 16, 21])


@st.composite
def moments(draw):
    moment = draw(st.datetimes(timezones=st.just(UTC)).filter(lambda one: 2 <= one.year <= 9998))
    text = f"{moment.year:04d}{moment:%m%d%H%M%S.%f}"
    return text[: draw(WIDTHS)] + draw(ZONES)


def finds(ddoc, vr, key, stored):
    return found(ddoc, {"00081030": {"vr": vr, **key}}, {"00081030": {"vr": vr, "Value": stored}}) == [0]


@SETTINGS
@given(
    vr=st.sampled_from(["LO", "SH", "CS", "UT", "LT", "AE", "UI", "AS"]),
    values=st.lists(PATTERN | TEXT.filter(bool), min_size=1, max_size=3),
    stored=st.lists(TEXT, max_size=3),
    every=st.booleans(),
    empty=st.booleans(),
)
def test_text(ddoc, vr, values, stored, every, empty):
    expected = model.attribute(vr, values, stored, every=every, empty=empty)
    assert finds(ddoc, vr, {"values": values, "every": every, "empty": empty}, stored) == expected


@SETTINGS
@given(values=st.lists(NAME | PATTERN, min_size=1, max_size=2), stored=st.lists(NAMES, max_size=2))
def test_names(ddoc, values, stored):
    assert finds(ddoc, "PN", {"values": values}, stored) == model.attribute("PN", values, stored)


@SETTINGS
@given(
    vr=st.sampled_from(["IS", "DS", "US", "FD"]),
    value=st.integers(-9, 9) | st.decimals(-9, 9, places=1),
    stored=st.lists(st.integers(-9, 9) | st.floats(-9, 9), max_size=3),
)
def test_numbers(ddoc, vr, value, stored):
    assert finds(ddoc, vr, {"values": [str(value)]}, stored) == model.attribute(vr, [str(value)], stored)


@SETTINGS
@given(data=st.data(), vr=st.sampled_from(["DA", "TM"]), form=st.sampled_from(["one", "from", "to", "both"]))
def test_dates_and_times(ddoc, data, vr, form):
    values = {"DA": DATES, "TM": TIMES}[vr]
    low, high, stored = data.draw(values), data.draw(values), data.draw(values)
    value = {"one": low, "from": f"{low}-", "to": f"-{high}", "both": f"{low}-{high}"}[form]
    assert finds(ddoc, vr, {"values": [value]}, [stored]) == model.attribute(vr, [value], [stored])


@SETTINGS
@given(low=moments(), high=moments(), stored=moments(), form=st.sampled_from(["one", "from", "to", "both"]))
def test_date_times(ddoc, low, high, stored, form):
    ends = {"one": (low, low), "from": (low, ""), "to": ("", high), "both": (low, high)}[form]
    value = low if form == "one" else f"{ends[0]}-{ends[1]}"
    # "2020-1130" is a year and an offset, never a range that ends in the year 1130.
    if form == "both" and model.span("DT", value):
        return
    if form != "one":
        ends = model.ends_of(value)
    assert finds(ddoc, "DT", {"values": [value]}, [stored]) == model.temporal("DT", *ends, stored)


@pytest.mark.parametrize(
    ("value", "stored", "expected"),
    [
        ("1059-1059-0500", "1059", True),  # hypothesis found it: it was read as ending in the year 500
        ("2020-0500-2021-0500", "2020", True),
        ("2020-0500-2021-0500", "2022", False),
        ("2020-2021-0500", "2021", True),
        ("2020-0500-", "2021", True),
        ("-2020-0500", "2019", True),
    ],
)
def test_hyphens_of_ranges_and_offsets(ddoc, value, stored, expected):
    assert finds(ddoc, "DT", {"values": [value]}, [stored]) is expected


@SETTINGS
@given(data=st.data(), form=st.sampled_from(["from", "to", "both"]))
def test_combined_dates_and_times(ddoc, data, form):
    days = st.sampled_from(["20200101", "20200102", "20200103"])
    date = [data.draw(days) for _ in range(3)]
    time = [data.draw(TIMES) for _ in range(3)]
    keys = [{"from": f"{a}-", "to": f"-{b}", "both": f"{a}-{b}"}[form] for a, b, _stored in (date, time)]
    assert same_form(*keys)
    tree = {
        "00080020": {"vr": "DA", "values": [keys[0]], "time": "00080030"},
        "00080030": {"vr": "TM", "values": [keys[1]]},
    }
    dataset = {"00080020": {"vr": "DA", "Value": [date[2]]}, "00080030": {"vr": "TM", "Value": [time[2]]}}
    low = date[0] + time[0] if form != "to" else ""
    high = date[1] + time[1] if form != "from" else ""
    assert (found(ddoc, tree, dataset) == [0]) == model.temporal("DT", low, high, date[2] + time[2])


@SETTINGS
@given(text=st.text(max_size=40), stored=st.text(max_size=40))
def test_no_text_breaks_the_matcher(ddoc, text, stored):
    for vr in ("LO", "PN", "UI", "DA", "TM", "DT", "IS", "AT", "SQ", "UN", "XX"):
        for value in (stored, {"Alphabetic": stored}, None, 3, [], {"00100010": {"Value": [stored]}}):
            assert finds(ddoc, vr, {"values": [text]}, [value]) in (True, False)
