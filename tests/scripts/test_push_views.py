"""Pushing design documents, on every database."""

import re
import threading
import uuid
from urllib.parse import urlsplit

import couchdb
import pytest
import requests

from dicouch.scripts import connection, progress, push_views, warm
from dicouch.scripts.connection import CommandError

MAP = "function (doc) {\n  emit(doc.n, null);\n}\n"


@pytest.fixture
def folder(tmp_path):
    """One design document."""

    def write(name, text):
        path = tmp_path / "designdocs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return path

    write("things/views/by_n/map.js", MAP)
    write("things/views/by_n/reduce.js", "_count\n")
    write("things/lists/plain.js", "function (head, req) {\n  return 'one';\n}\n")
    write("things/version", "1.0\n")
    return tmp_path / "designdocs", write


@pytest.fixture
def target(database):
    """Server URL and the name of a database that does not exist yet."""
    name = f"push-{uuid.uuid4().hex}"
    yield database.url, name
    requests.delete(f"{database.url}/{name}", timeout=60)


def get(target, path, **parameters):
    answer = requests.get(f"{target[0]}/{target[1]}/{path}", params=parameters, timeout=60)
    return answer.json() if answer.status_code == 200 else answer.text if answer.status_code != 404 else 404


def fill(target, count=5):
    documents = [{"_id": f"doc-{number}", "n": number} for number in range(count)]
    requests.post(f"{target[0]}/{target[1]}/_bulk_docs", json={"docs": documents}, timeout=60).raise_for_status()


def keys(target):
    return [row["key"] for row in get(target, "_design/things/_view/by_n", reduce="false")["rows"]]


def paths(changes):
    return [(change.kind, change.path) for change in changes]


def test_first_push_creates_and_second_changes_nothing(target, folder):
    added = push_views.push(*target, folder=folder[0])
    assert ("added", "views.by_n.map") in paths(added)
    stored = get(target, "_design/things")
    assert stored["views"] == {"by_n": {"map": MAP.strip(), "reduce": "_count"}}
    assert stored["version"].startswith("1.0+")
    assert push_views.push(*target, folder=folder[0]) == []
    assert get(target, "_design/things")["_rev"] == stored["_rev"]


@pytest.mark.one_database("embedded")
def test_files_are_checked_before_anything_is_written_and_not_again(target, folder, monkeypatch):
    checked, check = [], push_views.jscheck.check
    monkeypatch.setattr(push_views.jscheck, "check", lambda path: checked.append(path) or check(path))
    folder[1]("things/views/by_n/map.js", "function (doc) { emit(doc?.n, null); }")
    with pytest.raises(CommandError, match="newer than ES5"):
        push_views.push(*target, folder=folder[0])
    assert get(target, "") == 404
    folder[1]("things/views/by_n/map.js", MAP)
    push_views.push(*target, folder=folder[0])
    assert len(checked) == 2
    assert push_views.push(*target, folder=folder[0]) == []
    assert len(checked) == 2
    folder[1]("things/views/by_n/map.js", "function (doc) { emit(doc?.n, null); }")
    with pytest.raises(CommandError, match="newer than ES5"):
        push_views.push(*target, folder=folder[0])
    assert get(target, "_design/things")["views"]["by_n"]["map"] == MAP.strip()


def test_the_pushed_document_works(target, folder):
    folder[1]("things/views/lib/keys.js", "exports.key = function (doc) { return doc.n * 2; };\n")
    folder[1]("things/views/by_n/map.js", "function (doc) { emit(require('views/lib/keys').key(doc), null); }")
    push_views.push(*target, folder=folder[0])
    fill(target)
    assert keys(target) == [0, 2, 4, 6, 8]
    url = f"{target[0]}/{target[1]}/_design/things/_list/plain/by_n?reduce=false"
    assert requests.get(url, timeout=60).text == "one"


def test_what_changed_is_told_by_field(target, folder):
    push_views.push(*target, folder=folder[0])
    folder[1]("things/lists/plain.js", "function (head, req) { return 'two'; }")
    folder[1]("things/shows/new.js", "function (doc, req) { return 'new'; }")
    (folder[0] / "things/views/by_n/reduce.js").unlink()
    changes = push_views.push(*target, folder=folder[0])
    assert paths(changes) == [
        ("changed", "lists.plain"),
        ("added", "shows.new"),
        ("changed", "version"),
        ("removed", "views.by_n.reduce"),
    ]
    assert "reduce" not in get(target, "_design/things")["views"]["by_n"]


def test_dry_run_prints_the_difference_and_writes_nothing(target, folder, capsys):
    arguments = ["--url", target[0], "--database", target[1], "--designdocs", str(folder[0]), "--dry-run"]
    assert push_views.main(arguments) == 1
    assert get(target, "") == 404
    assert "+++ designdocs/_design/things/views/by_n/map\n@@ -0,0 +1,3 @@\n+function (doc) {" in capsys.readouterr().out
    assert push_views.main(arguments[:-1]) == 0
    capsys.readouterr()
    assert push_views.main(arguments) == 0
    assert "is up to date" in capsys.readouterr().out
    before = get(target, "_design/things")
    folder[1]("things/lists/plain.js", "function (head, req) {\n  return 'two';\n}\n")
    assert push_views.main(arguments) == 1
    assert "-  return 'one';\n+  return 'two';" in capsys.readouterr().out
    assert get(target, "_design/things") == before


def test_a_syntax_error_stops_before_anything_is_written(target, folder, capsys):
    folder[1]("alpha/views/a/map.js", MAP)
    bad = folder[1]("things/lists/plain.js", "function (head, req) {\n  return (;\n}\n")
    assert push_views.main(["--url", target[0], "--database", target[1], "--designdocs", str(folder[0])]) == 2
    assert f"{bad}:2:11: SyntaxError" in capsys.readouterr().err
    assert get(target, "") == 404


def test_a_changed_view_is_built_before_it_replaces_the_old_one(target, folder, monkeypatch):
    push_views.push(*target, folder=folder[0])
    fill(target)
    assert keys(target) == [0, 1, 2, 3, 4]
    seen = {}

    def watch(store, document, **options):
        warm.warm(store, document, **options)
        if not document["_id"].endswith("-new"):
            return
        rows = get(target, "_design/things-new/_view/by_n", reduce="false")["rows"]
        seen["scratch"] = [row["key"] for row in rows]
        seen["old"] = keys(target)
        seen["fields"] = sorted(get(target, "_design/things-new"))

    monkeypatch.setattr(push_views, "warm", watch)
    folder[1]("things/views/by_n/map.js", "function (doc) { emit(-doc.n, null); }")
    folder[1]("things/validate_doc_update.js", "function (doc) { throw { forbidden: 'nothing' }; }")
    push_views.push(*target, folder=folder[0])
    assert seen["old"] == [0, 1, 2, 3, 4]
    assert seen["scratch"] == [-4, -3, -2, -1, 0]
    # No validation function and no lists: the scratch document must not take part in anything.
    assert seen["fields"] == ["_id", "_rev", "language", "purpose", "views"]
    assert keys(target) == [-4, -3, -2, -1, 0]
    assert get(target, "_design/things-new") == 404


def test_a_changed_list_needs_no_scratch(target, folder, monkeypatch):
    push_views.push(*target, folder=folder[0])
    fill(target)
    monkeypatch.setattr(push_views, "warm", lambda *_args, **_options: pytest.fail("built an index"))
    folder[1]("things/lists/plain.js", "function (head, req) { return 'two'; }")
    assert push_views.push(*target, folder=folder[0])


def test_a_push_that_gives_up_leaves_the_old_views_and_can_be_repeated(target, folder, monkeypatch):
    push_views.push(*target, folder=folder[0])
    fill(target)
    before = get(target, "_design/things")
    folder[1]("things/views/by_n/map.js", "function (doc) { emit(-doc.n, null); }")
    with monkeypatch.context() as patch:
        patch.setattr(warm, "_ready", lambda *_args: False)
        with pytest.raises(CommandError, match="not ready within 0 s"):
            push_views.push(*target, folder=folder[0], wait=0.01)
    assert get(target, "_design/things") == before
    assert get(target, "_design/things-new") != 404
    push_views.push(*target, folder=folder[0])
    assert keys(target) == [-4, -3, -2, -1, 0]
    assert get(target, "_design/things-new") == 404


def test_what_a_given_up_push_left_goes_away_when_the_change_is_taken_back(target, folder, monkeypatch):
    push_views.push(*target, folder=folder[0])
    fill(target)
    folder[1]("things/views/by_n/map.js", "function (doc) { emit(-doc.n, null); }")
    with monkeypatch.context() as patch:
        patch.setattr(warm, "_ready", lambda *_args: False)
        with pytest.raises(CommandError):
            push_views.push(*target, folder=folder[0], wait=0)
    folder[1]("things/views/by_n/map.js", MAP)
    assert push_views.push(*target, folder=folder[0]) == []
    assert get(target, "_design/things-new") == 404


def test_attachments_of_a_design_document_stay(target, folder):
    push_views.push(*target, folder=folder[0])
    rev = get(target, "_design/things")["_rev"]
    url = f"{target[0]}/{target[1]}/_design/things/logo.txt"
    headers = {"Content-Type": "text/plain"}
    requests.put(url, params={"rev": rev}, data="logo", headers=headers, timeout=60).raise_for_status()
    assert push_views.push(*target, folder=folder[0]) == []
    folder[1]("things/lists/plain.js", "function (head, req) { return 'two'; }")
    push_views.push(*target, folder=folder[0])
    assert requests.get(url, timeout=60).text == "logo"


def test_other_design_documents_are_left_alone(target, folder):
    push_views.push(*target, folder=folder[0])
    url = f"{target[0]}/{target[1]}/_design/mine"
    requests.put(url, json={"language": "javascript"}, timeout=60).raise_for_status()
    push_views.push(*target, folder=folder[0])
    assert requests.get(url, timeout=60).status_code == 200


def test_pushes_at_the_same_time_do_no_harm(target, folder):
    requests.put(f"{target[0]}/{target[1]}", timeout=60)
    fill(target)
    errors = []

    def push():
        try:
            push_views.push(*target, folder=folder[0])
        except CommandError as error:
            errors.append(str(error))

    threads = [threading.Thread(target=push) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [error for error in errors if "push again" not in error] == []
    push_views.push(*target, folder=folder[0])
    assert keys(target) == [0, 1, 2, 3, 4]
    assert get(target, "_design/things-new") == 404


def command(url, target, folder):
    return push_views.main(["--url", url, "--database", target[1], "--designdocs", str(folder[0])])


def test_a_refused_login_is_one_line(target, folder, capsys):
    plain, (user, _password) = connection.split_credentials(target[0])
    assert command(connection.with_credentials(plain, (user, "not it")), target, folder) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"push-views: {plain} refuses user {user!r} (401): ")
    assert captured.err.count("\n") == 1
    assert "not it" not in captured.err + captured.out


def test_no_login_where_one_is_needed_is_one_line(target, folder, capsys):
    plain = connection.redact(target[0])
    assert command(plain, target, folder) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"push-views: {plain} refuses")
    assert "COUCHDB_URL=http://user:password@" in captured.err
    assert captured.err.count("\n") == 1


def test_a_bad_database_name_is_one_line(target, folder, capsys):
    assert command(target[0], (target[0], "Not A Name"), folder) == 2
    assert "Not A Name" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("http://127.0.0.1:1", "cannot reach a database at http://127.0.0.1:1: connection refused"),
        ("http://user:secret@127.0.0.1:1", "cannot reach a database at http://127.0.0.1:1: connection refused"),
        ("ftp://127.0.0.1", "not a URL of a server"),
        ("http://user:secret@127.0.0.1:port", "not a URL"),
    ],
)
def test_a_server_out_of_reach_is_one_line(folder, capsys, url, part):
    assert command(url, (url, "dicom"), folder) == 2
    captured = capsys.readouterr()
    assert part in captured.err
    assert captured.err.count("\n") == 1
    assert "secret" not in captured.err


def test_credentials_with_any_character_reach_the_server():
    url = connection.with_credentials("http://h:1/p", ("a@b", "c:d/e@f"))
    assert connection.split_credentials(url) == ("http://h:1/p", ("a@b", "c:d/e@f"))
    assert urlsplit(url).hostname == "h"


def test_an_index_that_takes_its_time_is_waited_for(target, folder, monkeypatch):
    slow = "function (doc) {\n  var i;\n  for (i = 0; i < 20000; i += 1) { Math.sqrt(i); }\n  emit(doc.n, null);\n}\n"
    requests.put(f"{target[0]}/{target[1]}", timeout=60)
    fill(target, 500)
    folder[1]("things/views/by_n/map.js", slow)
    monkeypatch.setattr(warm, "PATIENCE", 0.1)
    asked = []
    ready = warm._ready

    def count(*arguments):
        asked.append(ready(*arguments))
        return asked[-1]

    monkeypatch.setattr(warm, "_ready", count)
    push_views.push(*target, folder=folder[0])
    assert False in asked
    assert asked[-1] is True
    assert len(keys(target)) == 500


def test_the_bar_counts_the_documents_of_all_shards(monkeypatch, capsys):
    """A shard whose index is complete has no task any more, and other databases have tasks of the same name."""

    def task(shard, done, design="_design/things", kind="indexer"):
        numbers = {"changes_done": done, "total_changes": 100}
        return {"type": kind, "database": shard, "design_document": design, **numbers}

    mine, other = "shards/00000000-7fffffff/dicom.17", "shards/80000000-ffffffff/dicom.17"
    foreign = [task("shards/0/dicom2.1", 7), task(mine, 7, "_design/x"), task(mine, 7, kind="view_compaction")]
    told = iter([[*foreign], [*foreign, task(mine, 10)], [task(mine, 50), task(other, 20)], [task(other, 90)]])
    ready = iter([False] * 4 + [True] * 2)
    monkeypatch.setattr(progress, "INTERVAL", 0)
    monkeypatch.setattr(warm, "_impatient", lambda store: store)
    monkeypatch.setattr(warm, "_ready", lambda *_: next(ready))
    monkeypatch.setattr(couchdb.http.Resource, "get_json", lambda *_: (200, {}, next(told)))
    store = couchdb.Database("http://127.0.0.1:1/dicom", "dicom")
    warm.warm(store, {"_id": "_design/things", "views": {"a": {}, "b": {}, "lib": {}}})
    lines = capsys.readouterr().err.splitlines()
    counts = [re.search(r"(\d+/\d+) \[.*?(\w+)/s\]", line).groups() for line in lines]
    assert counts[0] == ("0/2", "views")
    steps = [("10/100", "documents"), ("70/200", "documents"), ("190/200", "documents"), ("200/200", "documents")]
    assert counts[1:] == steps


class Changing:
    """Stands in for a database that says `answers`, errors or None, of a view one after the other."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def resource(self, *_path):
        return self

    def get_json(self, limit):
        answer = self.answers.pop(0)
        if answer is not None:
            raise answer


UPDATED = couchdb.http.ResourceNotFound(("not_found", "Design document was updated or deleted."))
ENDED = couchdb.http.ServerError((500, ("{shutdown,ddoc_updated}", "{gen_server,call,[]}")))
MISSING = couchdb.http.ResourceNotFound(("not_found", "missing"))


def test_an_index_that_still_ends_is_asked_for_again(monkeypatch):
    """Apache CouchDB once answered so in CI, and the push said that someone else pushes."""
    monkeypatch.setattr(warm, "PAUSE", 0)
    assert warm._ready(Changing(UPDATED, ENDED, None), "things", "by_n")
    for answers in ([MISSING], [UPDATED] * warm.MOST):
        with pytest.raises(couchdb.http.ResourceNotFound):
            warm._ready(Changing(*answers), "things", "by_n")
