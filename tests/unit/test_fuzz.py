"""A small run of ``tests/fuzz.py``."""

from tests.fuzz import SLOW, run


def test_a_few_mutations():
    told = run(seed=7, cases=600, seconds=60)
    assert told.wrong == ""
    assert told.cases > 100
    assert told.slowest < SLOW
