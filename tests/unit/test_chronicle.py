"""Data sets of chronicles in the DICOM JSON Model (PS3.18 F.2), and the documents that are made of them."""

import base64
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.data import get_charset_files, get_testdata_file

from dicouch.config import Config
from dicouch.couch.response import CouchError
from dicouch.dicom.part10 import Part10Error, read_part10
from dicouch.dimse import find, send
from dicouch.errors import DicomWebError, NoBytes
from dicouch.read.retrieve import Stored
from dicouch.scripts import check_bytes, move_bytes
from dicouch.scripts.chronicle import keep, pictures
from dicouch.scripts.chronicle.convert import dataset_of
from dicouch.scripts.chronicle.keep import document_of
from dicouch.scripts.chronicle.source import Attached, attached_to
from dicouch.store.places import Bytes
from dicouch.write.headers import Headers
from dicouch.write.outcome import Outcome
from dicouch.write.put import Putter
from dicouch.write.received import Received
from tests.files import real_files
from tests.made_chronicle import chronicle_dataset, dcmjs_datasets

UIDS = {
    tag: {"vr": "UI", "Value": value}
    for tag, value in (("0020000D", "1.2"), ("0020000E", "1.2.3"), ("00080018", "1.2.3.4"))
}


def read(data: bytes) -> dict:
    return read_part10(BytesIO(data), len(data)).dataset


def differences(expected: dict, made: dict, above: str = "") -> list:
    """Compare what a source kept with what the file itself gives, item by item; bulk data have no value there."""
    found = []
    for tag, element in made.items():
        told = expected.get(tag, {})
        if element["vr"] == told.get("vr") == "SQ":
            items = told.get("Value", []), element.get("Value", [])
            if len(items[0]) != len(items[1]):
                found.append((above + tag, len(items[0]), len(items[1])))
            for pair in zip(*items, strict=False):
                found += differences(*pair, f"{above}{tag}.")
        elif element != told and "BulkDataURI" not in told:
            found.append((above + tag, told, element))
    return found


def test_nothing_that_slicerchronicle_kept_is_changed():
    """What `record.py` writes of a file comes to what reading the file itself gives, VR by VR, item by item."""
    wrong, tags, expected_tags = [], 0, 0
    for path, data in list(real_files().items())[::2]:
        try:
            expected = read(data)
        except Part10Error:
            continue
        made, _left_out = dataset_of(chronicle_dataset(dcmread(BytesIO(data), force=True)))
        wrong += [(path.name, *one) for one in differences(expected, made)]
        tags, expected_tags = tags + len(made), expected_tags + len(expected)
    assert not wrong, wrong[:10]
    # What is not there are pixels, and texts that are not UTF-8.
    assert expected_tags > 4000
    assert tags > 0.9 * expected_tags


def test_nothing_that_dicomweb_server_kept_is_changed():
    paths = [Path(get_testdata_file(name)) for name in ("CT_small.dcm", "rtplan.dcm", "test-SR.dcm", "MR_small.dcm")]
    paths += [Path(name) for name in get_charset_files("chrX1.dcm")]
    for path, source in zip(paths, dcmjs_datasets(*paths), strict=True):
        made, left_out = dataset_of(source)
        expected = read(path.read_bytes())
        # dcmjs itself drops line ends at the end of a text, which test-SR.dcm has one of.
        wrong = [one for one in differences(expected, made) if one[0] != "0040A730.0040A160"]
        assert not wrong, path.name
        assert made.keys() | left_out >= expected.keys()


@pytest.mark.parametrize(
    ("vr", "value", "expected"),
    [
        # DS and AT are the printed form of what pydicom has, which differs from version to version.
        ("DS", "[0.661468, 0.661468]", [0.661468, 0.661468]),
        ("DS", "['40', '-1e3', '']", [40.0, -1000.0, None]),
        ('DS', '["1.5"]', [1.5]),
        ("DS", "[DS('1'), DS('2')]", [1.0, 2.0]),
        ("DS", "2.5", [2.5]),
        ("DS", "None", None),
        ("DS", "", None),
        ("DS", [1.5, None, "2"], [1.5, None, 2.0]),
        ("AT", "(0018, 1063)", ["00181063"]),
        ("AT", "[(0018,1063), (0054,0081)]", ["00181063", "00540081"]),
        ("AT", [1576035], ["00180C63"]),
        ("IS", 3, [3]),
        ("IS", ["3", "4"], [3, 4]),
        ("IS", [3.0], [3]),
        ("US", ["65535", "0"], [65535, 0]),
        ("FD", [0.1], [0.1]),
        ("FL", ["NaN"], ["NaN"]),
        ("SV", 2**60, [str(2**60)]),
        # PS3.18 F.2.2: names have up to three groups.
        ("PN", "Yamada^Tarou=山田^太郎=やまだ^たろう", [
            {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}
        ]),
        ("PN", ["A^B", "", "C"], [{"Alphabetic": "A^B"}, None, {"Alphabetic": "C"}]),
        ("PN", {"Ideographic": "山田"}, [{"Ideographic": "山田"}]),
        ("PN", "", None),
        ("CS", ["ORIGINAL", "", "AXIAL "], ["ORIGINAL", None, "AXIAL"]),
        ("LO", [""], None),
        ("LO", "a\\b", ["a", "b"]),
        ("LT", "a\\b", ["a\\b"]),
        ("SQ", [], None),
        ("SQ", {"00100020": {"vr": "LO", "Value": "P"}}, [{"00100020": {"vr": "LO", "Value": ["P"]}}]),
    ],
)  # fmt: skip
def test_values(vr, value, expected):
    """PS3.18 Table F.2.3-1, and F.2.5 for what is empty."""
    made = dataset_of({"00091001": {"vr": vr, "Value": value}})[0]["00091001"]
    assert made == ({"vr": vr} if expected is None else {"vr": vr, "Value": expected})


def test_binary_values():
    """Bytes that are UTF-8 became a text, node's a Buffer; what the source lost is named, and not said to be empty."""
    source = {
        "00091001": {"vr": "UN", "Value": "a\0é"},
        "00091002": {"vr": "OF", "Value": [{"type": "Buffer", "data": [0, 255]}]},
        "00091003": {"vr": "OB", "Value": []},
        "00091004": {"vr": "OB", "InlineBinary": "AA=="},
        "00091005": {"vr": "OW", "Value": [{}]},
        "00091006": {"vr": "UN", "BulkDataURI": "http://old.example/bulk"},
        "00081140": {"vr": "SQ", "Value": [{"7fe00010": {"vr": "OB or OW", "Value": "Binary Omitted"}}]},
        "00091007": {"vr": "LO", "Value": "Not encodable"},
        "00280106": {"vr": "US or SS", "Value": [-1]},
        "00280107": {"vr": "US or SS", "Value": 7},
        "00100030": {"vr": "??", "Value": "20200101"},
        "00091008": "no attribute",
        "00020010": {"vr": "UI", "Value": "1.2.840.10008.1.2"},
        "00080000": {"vr": "UL", "Value": 12},
        "_vrMap": {},
        "00080005": {"vr": "CS", "Value": "ISO_IR 100"},
    }
    dataset, left_out = dataset_of(source)
    assert dataset == {
        "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
        "00081140": {"vr": "SQ", "Value": [{}]},
        "00091001": {"vr": "UN", "InlineBinary": base64.b64encode("a\0é".encode()).decode()},
        "00091002": {"vr": "OF", "InlineBinary": "AP8="},
        "00091003": {"vr": "OB"},
        "00091004": {"vr": "OB", "InlineBinary": "AA=="},
        "00100030": {"vr": "DA", "Value": ["20200101"]},
        "00280106": {"vr": "SS", "Value": [-1]},
        "00280107": {"vr": "US", "Value": [7]},
    }
    assert left_out == ["00081140.7FE00010", "00091005", "00091006", "00091007", "00091008"]
    # Each attribute is one that pydicom reads (PS3.18 F.2).
    assert len(Dataset.from_json(dataset)) == len(dataset)


@pytest.mark.parametrize("hostile", [None, [], 3, {"00100010": {"vr": "PN", "Value": [[[]], 3, True]}}, {"": {}}])
def test_hostile_data_sets(hostile):
    dataset, _left_out = dataset_of(hostile)
    assert all(element["vr"] for element in dataset.values())


def test_the_nesting_of_sequences_has_an_end():
    source: dict = {}
    for _ in range(300):
        source = {"00081140": {"vr": "SQ", "Value": [source]}}
    dataset, left_out = dataset_of(source)
    assert left_out
    while dataset.get("00081140", {}).get("Value"):
        dataset = dataset["00081140"]["Value"][0]
    assert dataset == {}


def test_the_document_says_where_it_comes_from():
    points = {"1.2.3.9": [[1, 2, 3]]}
    source = {"_id": "x", "_rev": "2-a", "dataset": UIDS, "instancePoints": points, "label": "SM", "fileNamePath": "/a"}
    document, problem = document_of(source)
    assert not problem
    assert document["_id"] == "1.2:1.2.3:1.2.3.4"
    assert document["file"] == {"store": "none", "size": 0, "transferSyntax": "", "sha256": "", "bulk": {}}
    assert document["source"] == {"id": "x", "instancePoints": points, "label": "SM", "fileNamePath": "/a"}


@pytest.mark.parametrize(
    ("tag", "value", "why"),
    [
        ("0020000D", "", "its (0020,000D) StudyInstanceUID is empty"),
        ("0020000E", "study", "its (0020,000E) SeriesInstanceUID is the reserved word 'study'"),
        ("00080018", "a/b", "its (0008,0018) SOPInstanceUID contains '/'"),
    ],
)
def test_what_names_no_instance_is_told(tag, value, why):
    assert document_of({"_id": "x", "dataset": {**UIDS, tag: {"vr": "UI", "Value": value}}}) == ({}, why)


def test_files_are_known_by_name_or_type():
    stub = {"content_type": "application/dicom", "length": 3, "digest": "md5-abc", "stub": True}
    document = {
        "_attachments": {
            "image512.png": {**stub, "content_type": "image/png"},
            "part": stub,
            "OBJECT.SEG.DCM": {**stub, "content_type": "text/plain", "encoding": "gzip"},
            "object.dcm": {**stub, "content_type": "application/octet-stream"},
        }
    }
    # The digest of what CouchDB keeps compressed is that of the compressed bytes.
    assert attached_to(document) == [
        Attached("object.dcm", 3, "abc"),
        Attached("part", 3, "abc"),
        Attached("OBJECT.SEG.DCM", 3, ""),
    ]
    assert attached_to({"_attachments": None}) == attached_to({}) == []


class Conflicting:
    """A database that has one document: a write without its revision is refused."""

    def __init__(self, stored):
        self.stored = stored

    def get(self, _document_id, **_options):
        return self.stored

    def request(self, _method, _path, *, body, **_options):
        written = orjson.loads(body)
        if written.get("_rev") != self.stored.get("_rev"):
            raise CouchError(409, "conflict", "")
        self.stored = written
        return BytesIO(b'{"ok":true,"rev":"2-b"}')


NOWHERE = {"store": "none", "size": 0, "transferSyntax": "", "sha256": "", "bulk": {}}
FILE = {"store": "folder:a", "size": 3, "transferSyntax": "1.2.840.10008.1.2.1", "sha256": "ab", "bulk": {}}


@pytest.mark.parametrize(
    ("before", "after", "stays", "told"),
    [
        # A file takes the place of its metadata, also where duplicates are refused.
        (NOWHERE, FILE, False, (0, 0, "")),
        # Metadata never take the place of a file: it is the duplicate (PS3.18 Table I.2-2).
        (FILE, NOWHERE, True, (0x0111, 0, "an instance with this UID and other content is stored")),
    ],
)
def test_metadata_and_files(before, after, stays, told):
    couch = Conflicting({"_id": "1.2:1.2.3:1.2.3.4", "_rev": "1-a", "dataset": UIDS, "file": before})
    received = Received(None, BytesIO(), after["size"], after["sha256"], Outcome("1.2", "1.2.3", "1.2.3.4"), 1)
    putter = Putter(couch, Bytes(couch, "attachment"), replace=False, authorization=None)
    putter.put(received, {"_id": "1.2:1.2.3:1.2.3.4", "dataset": UIDS, "file": after})
    assert couch.stored["file"] == (before if stays else after)
    assert (received.outcome.failure, received.outcome.warning, received.outcome.comment) == told


@pytest.mark.parametrize("replace", [True, False])
@pytest.mark.parametrize("old", ["folder:ab/theirs.dcm", "link:/theirs/1.dcm"])
def test_the_file_of_a_document_that_came_by_replication(tmp_path, old, replace):
    """A document may name a file that only another server has: who sends the same again brings the bytes."""
    content = b"the same bytes"
    file = FILE | {"store": old, "size": len(content), "sha256": sha256(content).hexdigest()}
    couch = Conflicting({"_id": "1.2:1.2.3:1.2.3.4", "_rev": "1-a", "dataset": UIDS, "file": file})
    store = Bytes(couch, f"folder:{tmp_path}")
    putter = Putter(couch, store, replace=replace, authorization=None)
    for _time in range(2):
        new = file | {"store": store.keep(BytesIO(content), file["sha256"])}
        received = Received(None, BytesIO(content), len(content), file["sha256"], Outcome("1.2", "1.2.3", "1.2.3.4"), 1)
        putter.put(received, {"_id": "1.2:1.2.3:1.2.3.4", "dataset": UIDS, "file": new})
        assert received.outcome.failure == 0
        assert store.locate(couch.stored["file"]).read_bytes() == content
        assert len(list(tmp_path.rglob("*.dcm"))) == 1
    assert received.outcome.comment == "already stored, the same bytes"


@pytest.mark.parametrize(("replace", "fetched"), [(True, False), (False, True)])
def test_who_sends_a_data_set_again_waits_for_no_other_server(replace, fetched):
    """Its bytes are better than those that are elsewhere; only to refuse it these are fetched and compared."""
    file = FILE | {"size": 200}
    couch = Conflicting({"_id": "1.2:1.2.3:1.2.3.4", "_rev": "1-a", "dataset": UIDS, "file": file})
    asked = []

    class Elsewhere(Bytes):
        def open(self, *_place, fetch=True):
            asked.append(fetch)
            raise NoBytes(503, "nobody has them")

    read = SimpleNamespace(transfer_syntax=file["transferSyntax"])
    received = Received(read, BytesIO(b"x" * 200), 200, "cd", Outcome("1.2", "1.2.3", "1.2.3.4"), 1, made=150)
    new = {"_id": "1.2:1.2.3:1.2.3.4", "dataset": UIDS, "file": file | {"sha256": "cd", "store": "folder:cd"}}
    Putter(couch, Elsewhere(couch, "attachment"), replace=replace, authorization=None).put(received, new)
    assert asked == [fetched]
    assert (received.outcome.failure == 0, couch.stored["file"]["sha256"] == "cd") == (replace, replace)


@pytest.mark.parametrize("fails", [0, 1])
def test_changed_metadata_leave_no_old_values_in_headers(monkeypatch, fails):
    """Also where the database is away between the write and the headers: the next attempt finds the write done."""
    rebuilt, failing = [], [fails]

    class Merged(Headers):
        def merge(self, places):
            return [[] for _place in places]

        def rebuild(self, study):
            if failing[0]:
                failing[0] -= 1
                raise DicomWebError(503, "away")
            rebuilt.append(study)
            return 1

        def settle(self, _seen):
            assert rebuilt == ["1.2"]

    monkeypatch.setattr(keep, "Headers", Merged)
    monkeypatch.setattr(keep, "Memory", SimpleNamespace(of=lambda *_args: None))
    source = {"_id": "x", "dataset": {**UIDS, "00100020": {"vr": "LO", "Value": ["new"]}}}
    old = {**UIDS, "00100020": {"vr": "LO", "Value": ["old"]}}
    stored = {"_id": "1.2:1.2.3:1.2.3.4", "_rev": "1-a", "dataset": old, "file": NOWHERE}
    keeper = keep.Keeper(Conflicting(stored), Config())
    for _attempt in range(fails):
        with pytest.raises(DicomWebError):
            keeper.keep([source])
    assert keeper.keep([source]) == [("metadata only", "")]
    assert rebuilt == ["1.2"]


def test_a_picture_that_cannot_be_made_is_a_row(monkeypatch):
    """The database does not answer for a moment; the rendered image is too large for Pillow."""

    def away(*_args, **_options):
        raise DicomWebError(503, "CouchDB does not answer")

    path = Path(get_testdata_file("CT_small.dcm"))
    couch = SimpleNamespace(get=away)
    assert "does not answer" in pictures.Pictures(couch, "http://127.0.0.1:1/dicom-web").attach(path)
    buffer = BytesIO()
    Image.new("L", (64, 64)).save(buffer, "PNG")
    answer = SimpleNamespace(status_code=200, content=buffer.getvalue())
    couch = SimpleNamespace(get=lambda _id: {"_id": "1"})
    made = pictures.Pictures(couch, "http://127.0.0.1:1/dicom-web")
    made._session = SimpleNamespace(get=lambda *_args, **_options: answer)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert "decompression bomb" in made.attach(path)


def test_commands_leave_metadata_alone():
    document = {"_id": "1.2:1.2.3:1.2.3.4", "file": NOWHERE}
    for place in ("attachment", "folder:/nowhere"):
        store = Bytes(Conflicting(document), place)
        assert check_bytes.problem_of(store, document, digests=True) == ""
        assert move_bytes.Mover(store.couch, store).in_place(NOWHERE)
        assert store.locate(NOWHERE) is None
        with pytest.raises(DicomWebError, match=r"only the metadata are here") as told:
            store.open(document["_id"], NOWHERE)
        assert told.value.status == 404


def test_dimse_says_that_they_are_not_to_be_had():
    """PS3.4 C.4.1.1.3.2, PS3.3 C.4.23.1.1; what is proposed for a C-MOVE are transfer syntaxes."""
    row = {"00080018": {"vr": "UI", "Value": ["1.2.3.4"]}, "00080056": {"vr": "CS", "Value": ["UNAVAILABLE"]}}
    identifier = Dataset()
    identifier.QueryRetrieveLevel, identifier.SOPInstanceUID = "IMAGE", ""
    assert find.answer(identifier, row, "X").InstanceAvailability == "UNAVAILABLE"
    proposed = send.contexts_for([send.Sub(Stored("1.2:1.2.3:1.2.3.4", NOWHERE), "1.2.840.10008.5.1.4.1.1.2")])
    assert [one.transfer_syntax for one in proposed] == [["1.2.840.10008.1.2.1"], ["1.2.840.10008.1.2"]]
