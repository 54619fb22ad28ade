"""``scripts/explain.py``: how a search is run, from the command line."""

import pytest

from dicouch.scripts.connection import CommandError
from dicouch.scripts.explain import explain, lines, main
from dicouch.scripts.push_views import push
from tests.archive import fill


@pytest.fixture(scope="module")
def filled(fresh_database):
    root, _, name = fresh_database.rpartition("/")
    push(root, name)
    fill(fresh_database, 0, 5, series=1, instances=1)
    return root, name


def test_a_search(filled):
    told = explain("/studies?PatientID=P000001&PatientName=?*&nothing=1", *filled)
    assert told["rows"] == 2
    assert told["requests"][0]["params"]["endkey"] == ["P000001"]
    text = "\n".join(lines(told))
    assert "GET _design/dicom/_list/studies/studies_by_patient_id" in text
    assert "PatientID (0010,0020)" in text
    assert "2 scanned, 2 matched, 2 rows" in text
    assert "ms in CouchDB" in text
    assert "nothing" in text.splitlines()[-1]


def test_a_search_that_no_index_serves(filled):
    text = "\n".join(lines(explain("/studies?PatientSex=F", *filled)))
    assert "walked   no index serves PatientSex (0010,0040): all studies are read" in text
    assert "walked" not in "\n".join(lines(explain("/studies?PatientName=*nobody*", *filled)))


@pytest.mark.parametrize(
    ("search", "reason"),
    [("studies?StudyDate=x", "StudyDate: 'x'"), ("studies/1/metadata", "1"), ("nothing", "nothing")],
)
def test_what_is_no_search(filled, search, reason):
    with pytest.raises(CommandError, match=reason):
        explain(search, *filled)


def test_the_command(filled, capsys, monkeypatch):
    url, name = filled
    monkeypatch.setenv("COUCHDB_URL", url)
    assert main(["studies?limit=1", "--database", name]) == 0
    assert "rows     1" in capsys.readouterr().out
    assert main(["studies?limit=x", "--url", url, "--database", name]) == 2
    assert "limit must be" in capsys.readouterr().err
    assert main(["studies", "--url", "nonsense", "--database", name]) == 2
    assert "not a URL" in capsys.readouterr().err
