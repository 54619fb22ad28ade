"""Reading design documents from folders."""

import pytest

from dicouch.scripts import designdocs
from dicouch.scripts.connection import CommandError


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "things"
    files = {
        "views/by_n/map.js": "function (doc) { emit(doc.n); }\n",
        "views/by_n/reduce.js": "_count\n",
        "views/lib/deep/er.js": "exports.a = 1;\n",
        "options.json": '{"collation": "raw"}',
        "version": "1.2\n",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, "utf-8")
    return root


def test_files_become_fields(folder):
    document = designdocs.load(folder)
    version = document.pop("version")
    assert document == {
        "_id": "_design/things",
        "language": "javascript",
        "views": {
            "by_n": {"map": "function (doc) { emit(doc.n); }", "reduce": "_count"},
            "lib": {"deep": {"er": "exports.a = 1;"}},
        },
        "options": {"collation": "raw"},
    }
    assert version.startswith("1.2+")


def test_names_given_by_files_win(folder):
    (folder / "_id").write_text("_design/others\n")
    (folder / "language").write_text("javascript\n")
    document = designdocs.load(folder)
    assert (document["_id"], document["language"]) == ("_design/others", "javascript")


def test_version_follows_the_contents(folder):
    before = designdocs.load(folder)["version"]
    assert designdocs.load(folder)["version"] == before
    (folder / "views/by_n/map.js").write_text("function (doc) { emit(doc.m); }\n")
    assert designdocs.load(folder)["version"] != before


def test_what_editors_and_systems_leave_is_not_pushed(folder):
    before = designdocs.load(folder)
    (folder / "views/by_n/map.js~").write_text("old")
    (folder / "views/by_n/.map.js.swp").write_bytes(b"\xff\xfe")
    (folder / ".git").mkdir()
    (folder / ".git/index").write_bytes(b"\xff\xfe")
    (folder / "views/gone").mkdir()
    assert designdocs.load(folder) == before


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("broken.json", b"{", "broken.json"),
        ("views/by_n/map.txt", b"x", "clobbers"),
        ("lists/l.js", b"\xff", "UTF-8"),
        ("_id", b"things", "_design/"),
    ],
)
def test_what_cannot_be_read_is_one_clear_error(folder, name, content, part):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    with pytest.raises(CommandError, match=part):
        designdocs.load(folder)


def test_no_folder_is_an_error(tmp_path):
    with pytest.raises(CommandError, match="no design documents"):
        designdocs.load_all(tmp_path)


def test_our_own_load():
    assert "_design/dicom" in [document["_id"] for document in designdocs.load_all()]
