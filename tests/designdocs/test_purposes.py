"""Whoever opens a design document in Fauxton reads what each function is for, and each index of Mango queries."""

import pytest

from dicouch.scripts import designdocs

FUNCTIONS = [
    (document["_id"], f"{kind}.{name}", source["map"] if kind == "views" else source)
    for document in designdocs.load_all()
    if document["language"] == "javascript"
    for kind in ("views", "lists", "shows", "updates")
    for name, source in document.get(kind, {}).items()
    if name != "lib"
]


@pytest.mark.parametrize(("document", "name", "source"), FUNCTIONS)
def test_a_function_says_first_what_it_is_for(document, name, source):
    head, said = source.splitlines()[:2]
    assert head.startswith("function (")
    assert said.startswith("  // "), f"{document} {name}"
    assert said[5].isupper()
    assert len(said) > 20


def test_all_are_walked():
    assert {"views.counts", "lists.studies", "updates.study"} <= {name for _document, name, _source in FUNCTIONS}
    assert len(FUNCTIONS) > 20


def test_other_documents_say_it_in_a_field():
    others = [document for document in designdocs.load_all() if document["_id"] != "_design/dicom"]
    assert [document["_id"] for document in others] == ["_design/chronicle", "_design/find", "_design/worklist"]
    assert all(len(document["purpose"]) > 40 for document in others)
    # Storing does not pay for them: the next query brings them up to date.
    assert all(document["autoupdate"] is False for document in others if set(document.get("views", {})) - {"lib"})
