"""``shim/write/reconcile.py``: revisions that are the same wherever they are made; instances that several stored."""

from __future__ import annotations

import hashlib

import pytest

from dicouch.couch.response import CouchError
from dicouch.errors import DicomWebError
from dicouch.store.places import Bytes
from dicouch.write import reconcile
from dicouch.write.reconcile import Found, Reconciler, child, of_file, order, tombstone


def test_the_order_of_databases():
    """The greater number wins, then the greater name."""
    assert max(["9-f", "10-a", "10-b"], key=order) == "10-b"


def test_a_revision_is_made_of_its_content():
    parent = {"_id": "1:study", "_revisions": {"start": 2, "ids": ["b", "a"]}}
    one = child(parent, {"_id": "1:study", "x": 1, "y": 2}, ["2-c", "2-d"])
    assert one == {**child(parent, {"y": 2, "x": 1, "_id": "1:study"}, ["2-d", "2-c"])}
    assert one["_rev"] == f"3-{one['_revisions']['ids'][0]}"
    assert one["_revisions"] == {"start": 3, "ids": [one["_rev"][2:], "b", "a"]}
    others = [child(parent, {"_id": "1:study", "x": 2, "y": 2}, ["2-c", "2-d"]), child(parent, {"x": 1, "y": 2}, [])]
    assert len({one["_rev"], *(other["_rev"] for other in others)}) == 3
    assert child(None, {"_id": "1:study"})["_revisions"]["start"] == 1


class Couch:
    """A database with the leaves of one document."""

    def __init__(self, *leaves):
        self.leaves = list(leaves)
        self.written = []

    def json(self, method, path, *, params=None, body=None, writes=None):
        if path == "_bulk_docs":
            assert body["new_edits"] is False
            self.written += body["docs"]
            return []
        assert params["open_revs"] == "all"
        return [{"ok": leaf} for leaf in self.leaves]


class Marked(Couch):
    """A database that has some marks already."""

    def __init__(self, *marks):
        super().__init__()
        self.marks = marks

    def get(self, document_id):
        return {"_id": document_id} if document_id in self.marks else None


@pytest.mark.parametrize(
    ("there", "written"),
    [
        ((), ["replication", "replication-partial"]),
        (("replication",), ["replication-partial"]),
        (("replication", "replication-partial"), []),
    ],
)
def test_a_mark_that_is_there_needs_no_right_to_write(there, written):
    couch = Marked(*there)
    reconcile.mark(couch, partial=True)
    assert [doc["_id"] for doc in couch.written] == written


class Store:
    has_folders = True

    def __init__(self, *here):
        self.here, self.gone, self.adopted = here, [], []

    def adopt(self, file, kept):
        if file["store"] in self.here and kept["store"] not in self.here:
            self.adopted.append((file["store"], kept["store"]))

    def discard(self, file, *_kept):
        self.gone += [file["store"]] if file["store"].startswith("folder:") else []


def leaf(revision, digest, store="attachment", **more):
    number, _, name = revision.partition("-")
    revisions = {"start": int(number), "ids": [name]}
    file = {"sha256": digest, "store": store}
    return {"_id": "1:2:3", "_rev": revision, "_revisions": revisions, "file": file, **more}


def reconciled(*leaves):
    couch, store, found = Couch(*leaves), Store(), Found()
    Reconciler(couch, store)._instance("1:2:3", found)
    return [doc["_revisions"]["ids"][1] for doc in couch.written], store.gone, found.differing


def test_the_same_bytes_are_kept_once():
    assert reconciled(leaf("1-b", "d"), leaf("1-a", "d")) == (["a"], [], [])


def test_an_attachment_is_kept_rather_than_a_file_of_one_server():
    assert reconciled(leaf("1-b", "d", "folder:x/b.dcm"), leaf("1-a", "d")) == (["b"], ["folder:x/b.dcm"], [])


def test_of_other_bytes_none_goes():
    assert reconciled(leaf("1-b", "d"), leaf("1-a", "e")) == ([], [], ["1:2:3"])


def test_what_is_read_stays_read():
    """With other bytes between the two, an attachment in the place of the file would have these be read instead."""
    told = reconciled(leaf("3-c", "d", "folder:x/c.dcm"), leaf("2-b", "e"), leaf("1-a", "d"))
    assert told == (["a"], [], ["1:2:3"])


def test_metadata_alone_give_way_to_any_bytes():
    """Whatever the order of the revisions: where the file is known, its document is what is read."""
    none = leaf("9-c", "", "none", dataset={"a": 1})
    assert reconciled(none, leaf("1-b", "d")) == (["c"], [], [])
    assert reconciled(none, leaf("1-b", "d", "folder:x/b.dcm")) == (["c"], [], [])
    assert reconciled(none, leaf("2-b", "d"), leaf("2-a", "d")) == (["c", "a"], [], [])
    assert reconciled(none, leaf("2-b", "d"), leaf("2-a", "e")) == (["c"], [], ["1:2:3"])


def test_metadata_alone_are_compared_by_what_they_say():
    one, same, other = (leaf(f"1-{name}", "", "none", dataset={"a": value}) for name, value in ("c1", "b1", "a2"))
    assert reconciled(one, same) == (["b"], [], [])
    assert reconciled(one, other) == ([], [], ["1:2:3"])
    large = {"dataset": {}, "_attachments": {"dataset.json": {"digest": "md5-x"}}}
    assert reconciled(leaf("1-b", "", "none", **large), leaf("1-a", "", "none", dataset={})) == ([], [], ["1:2:3"])


def test_bytes_without_a_digest_may_be_any():
    leaves = [leaf("1-b", "d"), leaf("1-a", "d")]
    for one in leaves:
        del one["file"]["sha256"]
    assert reconciled(*leaves) == ([], [], ["1:2:3"])


def test_no_file_goes_before_the_one_that_is_kept_is_here():
    """Both sites stored the same: the other one's file may not be here yet, nor its server to be reached."""
    leaves = leaf("1-b", "d", "folder:x/theirs.dcm"), leaf("1-a", "d", "folder:x/mine.dcm")
    store = Store("folder:x/mine.dcm")
    Reconciler(Couch(*leaves), store)._instance("1:2:3", Found())
    assert (store.adopted, store.gone) == ([("folder:x/mine.dcm", "folder:x/theirs.dcm")], ["folder:x/mine.dcm"])


def test_a_file_stays_that_cannot_be_had_by_the_other_name(caplog):
    class Full(Store):
        def adopt(self, file, kept):
            raise OSError(28, "No space left on device")

    leaves = leaf("1-b", "d", "folder:x/theirs.dcm"), leaf("1-a", "d", "folder:x/mine.dcm")
    couch, store = Couch(*leaves), Full()
    Reconciler(couch, store)._instance("1:2:3", Found())
    assert (len(couch.written), store.gone) == (1, [])
    assert "No space left" in caplog.text


def test_who_reaches_no_files_leaves_instances_with_files_to_the_server():
    couch = Couch(leaf("1-b", "d"), leaf("1-a", "d", "folder:x/mine.dcm"))
    Reconciler(couch)._instance("1:2:3", Found())
    assert couch.written == []


def test_deletions_are_no_revisions_to_choose_from():
    assert reconciled(leaf("1-b", "d"), {**leaf("5-a", "d"), "_deleted": True}) == ([], [], [])


def test_a_deletion_tells_which_file_goes_and_nothing_of_a_patient():
    one = leaf("1-b", "d", "folder:x/b.dcm", dataset={"00100010": "Doe"})
    gone = tombstone(one, **of_file(one["file"]))
    assert {name: gone[name] for name in gone if not name.startswith("_rev")} == {
        "_id": "1:2:3",
        "_deleted": True,
        "file": {"store": "folder:x/b.dcm"},
    }
    assert of_file({"store": "attachment"}) == of_file({"store": "none", "sha256": ""}) == {}
    # By its digest others know what they fetched (`Bytes.discard`).
    assert of_file({"store": "link:/Doe/a", "sha256": "d"}) == {"file": {"store": "link:", "sha256": "d"}}


@pytest.mark.parametrize("changed", [True, False])
def test_a_header_is_written_in_the_place_of_what_it_was_made_of(changed):
    leaves = [leaf("2-c" if changed else "2-b", ""), leaf("2-a", "")]
    couch, found = Couch(*leaves), Found()
    made = {"header": {"_id": "1:2:3", "_rev": "2-b", "type": "study"}, "leaves": ["2-a", "2-b"]}
    assert Reconciler(couch)._write(made, found) is not changed
    if not changed:
        header, gone = couch.written
        assert (header["_revisions"]["start"], header["_revisions"]["ids"][1:]) == (3, ["b"])
        assert (gone["_deleted"], gone["_revisions"]["ids"][1:]) == (True, ["a"])
        assert found.written == 2


def test_a_header_that_was_deleted_comes_back_behind_its_deletion():
    couch = Couch({**leaf("4-d", ""), "_deleted": True})
    assert Reconciler(couch)._write({"header": {"_id": "1:2:3"}, "leaves": []}, Found())
    assert couch.written[0]["_rev"].startswith("5-")


class Feed(Couch):
    """A database whose changes are told; of one study the headers are refused."""

    def __init__(self, changes, checkpoint=None):
        super().__init__()
        self.changes, self.checkpoint, self.looked = changes, checkpoint, []

    def get(self, _document_id):
        return None

    def json(self, method, path, *, params=None, body=None, writes=None):
        if path == "_local/reconciled":
            if method == "PUT":
                self.checkpoint = {**body, "_rev": "0-2"}
                return {"rev": "0-2"}
            if self.checkpoint is None:
                raise CouchError(404, "not_found", "missing")
            return self.checkpoint
        if path == "_changes":
            behind = self.changes[params["since"] : params["since"] + params["limit"]]
            return {"results": behind, "last_seq": params["since"] + len(behind)}
        if path == "_bulk_get":
            gone = {"_id": "1.3:2:3", "_deleted": True, "file": {"store": "folder:x/gone.dcm"}}
            return {"results": [{"docs": [{"ok": gone}]}]}
        if path == "":
            return {}
        assert path.endswith("_list/headers/_all_docs")
        study = params["startkey"].strip('"').partition(":")[0]
        self.looked.append(study)
        if study == "1.2":
            raise CouchError(403, "forbidden", "1.2:study: no")
        return {"asked": [], "instances": [], "docs": []}


def changed(identifier, **more):
    return {"id": identifier, "changes": [{"rev": "2-a"}], **more}


def test_each_study_is_looked_at_once_and_a_refused_one_keeps_none_waiting(caplog):
    caplog.set_level("WARNING", "dicouch.write.reconcile")  # whatever other tests made of the root's
    changes = [changed(f"1.{number % 3 + 1}:2:{number}") for number in range(2500)]
    couch, store = Feed([*changes, changed("forward-1"), changed("1.3:2:3", deleted=True)]), Store()
    Reconciler(couch, store).catch_up()
    assert couch.looked == ["1.1", "1.2", "1.3"]
    assert "1.2:study: no" in caplog.text
    assert store.gone == ["folder:x/gone.dcm"]  # another server deleted it
    assert couch.checkpoint["since"] == 2502
    couch.looked.clear()
    Reconciler(couch, store).catch_up()
    assert couch.looked == []


class Ended:
    """A database whose one change is of an instance with some leaves."""

    def __init__(self, *leaves):
        self.leaves = leaves

    def json(self, method, path, *, params=None, body=None, writes=None):
        if path == "_changes":
            assert params["style"] == "all_docs"
            gone = all(one.get("_deleted") for one in self.leaves)
            change = {"id": "1:2:3", "changes": [{"rev": one["_rev"]} for one in self.leaves], "deleted": gone}
            return {"results": [change], "last_seq": 1}
        assert [one["rev"] for one in body["docs"]] == [one["_rev"] for one in self.leaves]
        return {"results": [{"docs": [{"ok": one}]} for one in self.leaves]}


def ended(tmp_path, names, *leaves):
    """Return the files that are left of some, and whether what is kept can be read."""
    own = Bytes(None, f"folder:{tmp_path}")
    for name in names:
        own.folder.receive(name, [b"x"])
    Reconciler(Ended(*leaves), own)._read(0)
    return {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.dcm")}


X = hashlib.sha256(b"x").hexdigest()
MINE, THEIRS, FETCHED = f"2d/{X}-mine.dcm", f"2d/{X}-theirs.dcm", f"linked/{X[:2]}/{X}.dcm"


def gone(revision, store, **more):
    return {"_id": "1:2:3", "_rev": revision, "_deleted": True, "file": {"store": store, **more}}


def live(revision, store, digest=X):
    return {"_id": "1:2:3", "_rev": revision, "type": "instance", "file": {"store": store, "size": 1, "sha256": digest}}


@pytest.mark.parametrize(
    ("here", "leaves", "left"),
    [
        # Deleted on two servers, each with a file of its own.
        ([MINE, THEIRS], [gone("3-b", f"folder:{THEIRS}"), gone("2-a", f"folder:{MINE}")], set()),
        # A linked file that was fetched.
        ([FETCHED], [gone("2-a", "link:", sha256=X)], set()),
        # Of two with the same bytes another server ended one, before this one saw both.
        ([MINE], [live("2-b", f"folder:{THEIRS}"), gone("2-a", f"folder:{MINE}")], {THEIRS}),
        ([MINE], [live("2-b", "link:/theirs/1"), gone("2-a", f"folder:{MINE}")], {FETCHED}),
        ([FETCHED], [live("2-b", "link:/theirs/1"), gone("2-a", "link:", sha256=X)], {FETCHED}),
        ([FETCHED], [live("2-b", f"folder:{THEIRS}"), gone("2-a", "link:", sha256=X)], {THEIRS}),
        ([MINE], [live("2-b", "attachment"), gone("2-a", f"folder:{MINE}")], set()),
        # Of other bytes one was deleted.
        ([MINE], [live("2-b", f"folder:{THEIRS}", "ab"), gone("2-a", f"folder:{MINE}")], set()),
        ([MINE], [live("2-b", f"folder:{MINE}"), gone("2-a", f"folder:{MINE}")], {MINE}),
        ([MINE], [live("2-b", f"folder:{MINE}"), live("2-a", f"folder:{THEIRS}", "ab")], {MINE}),
    ],
)
def test_files_of_revisions_that_were_ended_elsewhere(tmp_path, here, leaves, left):
    assert ended(tmp_path, here, *leaves) == left


def test_two_sites_that_linked_the_same(tmp_path):
    """What was fetched of a linked file has one name, whichever of the two paths the document names."""
    own = Bytes(None, f"folder:{tmp_path}")
    own.folder.receive(FETCHED, [b"x"])
    couch = Couch(*({**leaf(f"1-{one}", X), **live(f"1-{one}", f"link:/{one}")} for one in "ba"))
    Reconciler(couch, own)._instance("1:2:3", Found())
    assert len(couch.written) == 1
    assert (tmp_path / FETCHED).exists()


def test_who_looks_beside_the_server_leaves_the_rest_to_it():
    couch = Feed([changed("1.1:2:3")])
    Reconciler(couch).catch_up(remember=False)
    assert (couch.looked, couch.checkpoint) == (["1.1"], None)


@pytest.mark.parametrize("problem", [CouchError(500, "error", "no"), DicomWebError(502, "breaks off"), KeyError("x")])
def test_what_is_wrong_with_one_study_keeps_no_other_waiting(monkeypatch, problem):
    """It is looked at again, in another process as well, but not each time."""
    couch = Feed([changed("1.1:2:3"), changed("1.3:2:3")])
    wrong, study, looked, now = {"1.1"}, Reconciler.study, [], [100.0]

    def failing(self, uid, *rest):
        looked.append(uid)
        if uid in wrong:
            raise problem
        return study(self, uid, *rest)

    monkeypatch.setattr(Reconciler, "study", failing)
    monkeypatch.setattr(reconcile.time, "monotonic", lambda: now[0])
    own = Reconciler(couch)
    own.catch_up()
    assert (looked, couch.checkpoint["since"]) == (["1.1", "1.3"], 2)
    own.catch_up()
    assert len(looked) == 2
    now[0] += reconcile.AGAIN
    own.catch_up()
    Reconciler(couch).catch_up()
    assert looked[2:] == ["1.1", "1.1"]
    wrong.clear()
    now[0] += reconcile.RARELY
    own.catch_up()
    own.catch_up()
    assert (looked[4:], couch.checkpoint["again"]) == (["1.1"], [])


@pytest.mark.parametrize("problem", [CouchError(401, "unauthorized", "no"), DicomWebError(503, "it does not answer")])
def test_where_the_database_does_not_answer_nothing_is_passed_over(monkeypatch, problem):
    couch = Feed([changed("1.1:2:3")])
    answer = couch.json

    def json(method, path, **options):
        if path in ("", "_design/dicom/_list/headers/_all_docs"):
            raise problem
        return answer(method, path, **options)

    monkeypatch.setattr(couch, "json", json)
    with pytest.raises(type(problem)):
        Reconciler(couch).catch_up()
    assert couch.checkpoint is None
