"""One table holds the normalisation in JavaScript and in Python together."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicouch.rewrite import normalise

TABLE = json.loads((Path(__file__).parents[1] / "fixtures" / "normalise.json").read_text(encoding="utf-8"))
CASES = [(kind, value, key) for kind, pairs in TABLE.items() for value, key in pairs]


@pytest.mark.parametrize(("kind", "value", "key"), CASES)
def test_the_table_in_python(kind, value, key):
    assert getattr(normalise, kind)(value) == key


@pytest.mark.parametrize(("kind", "value", "key"), CASES)
def test_the_table_in_javascript(ddoc, kind, value, key):
    assert ddoc.call("views/lib/normalise", kind, value) == key


# Latin, Greek, Cyrillic, kana and Hangul: letters whose Unicode data no engine's version disagrees about.
LETTERS = st.characters(min_codepoint=32, max_codepoint=0x2FF) | st.characters(min_codepoint=0x370, max_codepoint=0x3FF)
LETTERS = LETTERS | st.characters(min_codepoint=0x400, max_codepoint=0x45F) | st.sampled_from("がギ山田홍길동^, =")


@settings(max_examples=300, deadline=None)
@given(value=st.text(LETTERS, max_size=30))
def test_both_sides_agree_on_any_text(ddoc, value):
    assert ddoc.call("views/lib/normalise", "name", value) == normalise.name(value)


def test_both_sides_agree_on_all_voiced_kana(ddoc):
    kana = [chr(code) for code in range(0x3040, 0x3100)]
    text = " ".join(one + mark for one in kana for mark in "\u3099\u309a")
    assert ddoc.call("views/lib/normalise", "name", text) == normalise.name(text)
