"""One table holds the code of how names sound in JavaScript and in Python together; it narrows fuzzy searches."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicouch.rewrite import normalise
from dicouch.rewrite.plan import LONGEST_BEGINNING

CASES = json.loads((Path(__file__).parents[1] / "fixtures" / "sound.json").read_text(encoding="utf-8"))
WORDS = st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyz'0ивановπα山ん홍\U0001f600"), max_size=12)


@pytest.mark.parametrize(("word", "code"), CASES)
def test_the_table(ddoc, word, code):
    assert normalise.sound(word) == code
    assert ddoc.call("views/lib/sound", "code", word) == code


@settings(max_examples=300, deadline=None)
@given(word=WORDS)
def test_both_sides_agree_on_any_word(ddoc, word):
    assert ddoc.call("views/lib/sound", "code", word) == normalise.sound(word)


@settings(max_examples=300, deadline=None)
@given(word=WORDS, length=st.integers(0, 12))
def test_the_code_of_a_beginning_begins_the_code(word, length):
    assert normalise.sound(word).startswith(normalise.sound(word[:length]))


def test_words():
    assert normalise.words("von der muller-ludenscheidt dr. x") == ["von", "der", "muller", "ludenscheidt", "dr", "x"]


@settings(max_examples=200, deadline=None)
@given(values=st.lists(WORDS, max_size=3))
def test_beginnings(ddoc, values):
    expected = {value[:length] for value in values for length in range(1, min(len(value), LONGEST_BEGINNING) + 1)}
    found = ddoc.call("views/lib/names", "beginnings", values)
    assert sorted(found) == sorted(expected)
