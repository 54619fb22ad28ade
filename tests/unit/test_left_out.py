"""What cannot be had of an answer is told in its status, or breaks it off (PS3.18 Table 10.4.3-1, RFC 9112 8)."""

import errno
import io
import os
import resource
import zipfile
from random import Random

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders import RLELosslessEncoder

from dicouch.app import create_app
from dicouch.config import Config
from dicouch.dicom.errors import Busy, PixelError
from dicouch.dicom.media import multipart_writer
from dicouch.dicom.pixels import render, transcode
from dicouch.errors import DicomWebError, NoBytes
from dicouch.read import frames, instances
from dicouch.read.retrieve import Retriever, stored_in
from dicouch.routes import current
from dicouch.store import ranges
from dicouch.store.folder import FileChunks
from tests.fuzz import PIECES, mutate
from tests.made import instance
from tests.made_objects import as_bytes
from tests.unit.made_images import Memory, document_of

EXPLICIT, RLE = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5"
DICOM = 'multipart/related; type="application/dicom"'
OCTETS = 'multipart/related; type="application/octet-stream"'
SIDE = 32


class Files(Retriever):
    """Reads files of study 1, series 1.1, by their number; no database."""

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(None, self)
        self.files = files
        self.gone: set[str] = set()
        self.lost: set[str] = set()

    def document(self, study, series, instance):
        if instance in self.gone:
            raise DicomWebError(404, "there is no such instance")
        document = document_of(self.files[instance])
        document["_rev"], document["file"]["store"] = "1-a", "folder:x"
        return document

    def instances(self, study, series, instance):
        found = [stored_in(Files.document(self, study, series, name)) for name in self.files if name not in self.gone]
        return [one for one in found if instance in (None, one.id.split(":")[2])]

    # As a byte store
    def can_fetch(self, _file):
        return False

    def open(self, document_id, *args):
        if not isinstance(document_id, str):
            return super().open(document_id, *args)
        name = document_id.rpartition(":")[2]
        if name in self.lost:
            raise NoBytes(503, "its file is in none of the folders")
        return Memory(self.files[name]).open(document_id, *args)

    def locate(self, file, *, compare):
        assert not compare  # digests take as long as reading
        return


def multiframe(number: str, count: int = 4, damaged: int | None = None) -> bytes:
    """Return an image of RLE frames, one of which (from 1) is no RLE."""
    plain = np.arange(SIDE * SIDE, dtype="<u2").reshape(SIDE, SIDE)
    dataset = dcmread(io.BytesIO(instance("1", "1.1", number, pixels=plain.tobytes())))
    dataset.file_meta.TransferSyntaxUID = RLE
    coded = next(RLELosslessEncoder.iter_encode(plain, **described(dataset)))
    frames = [b"\2\0\0\0" + bytes(60) if place == damaged else coded for place in range(1, count + 1)]
    dataset.NumberOfFrames = count
    dataset.PixelData = encapsulate(frames)
    dataset["PixelData"].is_undefined_length = True
    return as_bytes(dataset)


def described(dataset) -> dict:
    names = ("rows", "columns", "samples_per_pixel", "bits_allocated", "bits_stored", "pixel_representation")
    keywords = ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "PixelRepresentation")
    return {name: dataset[keyword].value for name, keyword in zip(names, keywords, strict=True)} | {
        "photometric_interpretation": "MONOCHROME2",
        "number_of_frames": 1,
    }


@pytest.fixture
def files(monkeypatch) -> Files:
    made = Files({"1": multiframe("1"), "2": multiframe("2", damaged=3), "3": multiframe("3")})
    monkeypatch.setattr(current, "reader", lambda: made)
    return made


@pytest.fixture(scope="module")
def client():
    return create_app(Config(couchdb_url="http://127.0.0.1:9", remember=0)).test_client()


def get(client, path: str, accept: str):
    return client.get(f"/dicom-web/studies/1{path}", headers={"Accept": accept})


def locations(answer) -> list[str]:
    assert answer.data.rstrip().endswith(b"--")
    return [line.split(b"/studies/1")[1].decode() for line in answer.data.split(b"\r\n") if b"Content-Location" in line]


def test_a_damaged_frame_behind_the_first_of_those_that_are_named(client, files):
    path = "/series/1.1/instances/2/frames/1,2,3,4"
    # Who names no transfer syntax gets all of them alike, as they are stored.
    answer = get(client, path, OCTETS)
    assert (answer.status_code, len(locations(answer))) == (200, 4)
    assert answer.data.count(f"Content-Type: image/dicom-rle; transfer-syntax={RLE}".encode()) == 4
    # Clients count the parts: frames that were named come together or not at all.
    answer = get(client, path, f"{OCTETS}; transfer-syntax={EXPLICIT}")
    assert answer.status_code == 406
    assert "frame 3" in answer.json["reason"]
    assert get(client, path.replace("3,", ""), f"{OCTETS}; transfer-syntax={EXPLICIT}").status_code == 200


@pytest.mark.parametrize("below", ["/pixeldata", "/bulkdata", ""])
def test_all_frames_of_a_study(client, files, below):
    answer = get(client, below, f"{OCTETS}; transfer-syntax={EXPLICIT}")
    assert answer.status_code == 206
    assert {place.split("/")[4] for place in locations(answer)} == {"1", "3"}
    assert "299" in answer.headers["Warning"]
    answer = get(client, below, OCTETS)
    assert (answer.status_code, len(locations(answer))) == (200, 12)
    assert get(client, f"/series/1.1/instances/2{below}", f"{OCTETS}; transfer-syntax={EXPLICIT}").status_code == 406


@pytest.mark.parametrize("below", ["/pixeldata", "/bulkdata", ""])
def test_an_instance_that_vanishes_meanwhile(client, files, below, monkeypatch):
    monkeypatch.setattr(files, "instances", lambda *uids: Files.instances(Files(files.files), *uids))
    files.gone = {"1"}
    answer = get(client, below, OCTETS)
    assert (answer.status_code, {place.split("/")[4] for place in locations(answer)}) == (206, {"2", "3"})
    files.gone = {"1", "2", "3"}
    assert get(client, below, OCTETS).status_code == (404 if below else 406)


def test_pictures(client, files):
    answer = get(client, "/series/1.1/instances/2/rendered", 'multipart/related; type="image/png"')
    assert answer.status_code == 206
    assert [place.split("/")[6] for place in locations(answer)] == ["1", "2", "4"]
    files.gone = {"3"}
    answer = get(client, "/rendered", 'multipart/related; type="image/png"')
    assert (answer.status_code, len(locations(answer))) == (206, 7)


def test_a_file_with_a_damaged_frame_goes_as_it_is_stored(client, files):
    answer = get(client, "", DICOM)
    assert (answer.status_code, len(locations(answer))) == (200, 3)
    assert files.files["2"] in answer.data
    assert answer.data.count(f"transfer-syntax={EXPLICIT}\r\n".encode()) == 2
    alone = get(client, "/series/1.1/instances/2", "application/dicom")
    assert (alone.status_code, alone.data) == (200, files.files["2"])
    named = get(client, "/series/1.1/instances/2", f"application/dicom; transfer-syntax={EXPLICIT}")
    assert named.status_code == 406
    assert "frame 3" in named.json["reason"]


@pytest.mark.parametrize("accept", [DICOM, f"{DICOM}; transfer-syntax=*", "application/zip"])
def test_bytes_that_are_lost(client, files, accept):
    for lost in ({"1"}, {"3"}):
        files.lost = lost
        answer = get(client, "", accept)
        assert answer.status_code == 206, accept
        assert "299" in answer.headers["Warning"]
        count = len(zipfile.ZipFile(io.BytesIO(answer.data)).namelist()) if "zip" in accept else len(locations(answer))
        assert count == 2
    files.lost = {"1", "2", "3"}
    assert get(client, "", accept).status_code in (406, 503)


@pytest.mark.parametrize("below", ["/pixeldata", "/bulkdata", "/rendered"])
def test_pixels_that_are_lost(client, files, below):
    for lost, left in (({"1"}, {"2", "3"}), ({"3"}, {"1", "2"})):
        files.lost = lost
        answer = get(client, below, 'multipart/related; type="image/png"' if "rendered" in below else OCTETS)
        assert (answer.status_code, {place.split("/")[4] for place in locations(answer)}) == (206, left)
    files.lost = {"1", "2", "3"}
    assert get(client, below, "*/*").status_code == 503


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        ("/series/1.1/instances/2/frames/1,2,3", f"{OCTETS}; transfer-syntax={EXPLICIT}"),
        ("/pixeldata", f"{OCTETS}; transfer-syntax={EXPLICIT}"),
        ("/bulkdata", f"{OCTETS}; transfer-syntax={EXPLICIT}"),
        ("/rendered", 'multipart/related; type="image/png"'),
        ("", DICOM),
    ],
)
def test_what_comes_to_light_later_breaks_the_answer_off(client, files, path, accept, monkeypatch):
    # As if what is made ahead were full after the first frame.
    monkeypatch.setattr(ranges, "AHEAD_SECONDS", -1)
    whole = get(client, path, accept)
    # All of it would be in the first piece that is sent: it can still be told.
    assert whole.status_code == (406 if "frames" in path or not path else 206)
    monkeypatch.setattr(multipart_writer, "CHUNK", 1)
    monkeypatch.setattr(multipart_writer, "SMALL", 1)
    begun = get(client, path, accept)
    assert begun.status_code == 200
    with pytest.raises(PixelError, match="frame 3"):
        _whole = begun.data


@pytest.mark.parametrize("accept", ["application/zip", DICOM, f"{DICOM}; transfer-syntax=*"])
def test_few_files_are_open_at_a_time(client, files, accept, monkeypatch):
    """A process may have 1024 of them, and a study has more instances than that, all of them small."""
    files.files = {str(number): instance("1", "1.1", str(number)) for number in range(1, 41)} | {"41": multiframe("41")}
    read, now, most = Files.open, set(), []

    class Open:
        def __init__(self, pieces):
            self.pieces = pieces
            now.add(self)
            most.append(len(now))

        def __iter__(self):
            return self

        def __next__(self):
            try:
                return next(self.pieces)
            except StopIteration:
                self.close()
                raise

        def close(self):
            now.discard(self)

    def opened(what, *span):
        pieces = read(files, what, *span)
        return Open(pieces) if isinstance(what, str) else pieces

    monkeypatch.setattr(files, "open", opened)
    answer = get(client, "", accept)
    count = len(zipfile.ZipFile(io.BytesIO(answer.data)).namelist()) if "zip" in accept else len(locations(answer))
    assert (answer.status_code, count, len(now)) == (200, 41, 0)
    assert max(most) <= 10


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE])
@pytest.mark.parametrize("accept", [DICOM, "application/zip"])
def test_no_file_can_be_opened(client, files, accept, code, monkeypatch):
    """That has nothing to do with the instance, and is over soon (RFC 9110 15.6.4)."""

    def opened(*_args):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(instances, "has_bytes", lambda *_: True)
    monkeypatch.setattr(files, "open", opened)
    answer = get(client, "", accept)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


def test_a_file_cannot_be_opened_just_now(tmp_path):
    (tmp_path / "a.dcm").write_bytes(b"abc")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(DicomWebError, match="files open") as raised:
            FileChunks(tmp_path / "a.dcm", 0, 3)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert raised.value.status == 503
    assert list(FileChunks(tmp_path / "a.dcm", 0, 3)) == [b"abc"]


def test_no_more_is_made_ahead_than_fits(client, files):
    made = []
    source = (made.append(number) or b"12345" for number in range(9))
    rest = ranges.begun(source, 12)
    assert made == [0, 1, 2]
    assert b"".join(rest) == b"12345" * 9
    closed = ranges.begun(source)
    closed.close()
    assert list(closed) == []


def test_a_machine_without_time_says_nothing_of_the_pixels(client, files, monkeypatch):
    """What could be had later is a 503 (RFC 9110 15.6.4): no sign, no other form, nothing left out."""

    def busy(*_args, **_options):
        raise Busy("the decoder is given no time")

    for module in (render, frames, transcode):
        monkeypatch.setattr(module, "decode", busy)
    octets = f"{OCTETS}; transfer-syntax={EXPLICIT}"
    of_one, uids = "/series/1.1/instances/1", "studyUID=1&seriesUID=1.1&objectUID=1"
    for path, accept in (
        *[(of_one + "/thumbnail", "*/*"), (of_one + "/rendered", "image/png"), ("/rendered", "*/*"), ("", DICOM)],
        *[
            (of_one + "/frames/1,2", OCTETS),
            (of_one, "application/dicom"),
            ("/pixeldata", octets),
            ("/bulkdata", OCTETS),
        ],
    ):
        answer = get(client, path, accept)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5"), path
    assert client.get(f"/wado?requestType=WADO&{uids}").status_code == 503


def test_the_database_that_fails_is_no_instance_that_is_missing(client, files, monkeypatch):
    def fail(*_uids):
        raise DicomWebError(503, "the database does not answer")

    monkeypatch.setattr(files, "document", fail)
    for below in ("/pixeldata", "/bulkdata", "/rendered"):
        assert get(client, below, "*/*").status_code == 503


ACCEPTED = [
    *["*/*", "toto, */*;q=0.1", DICOM, f"{DICOM}; transfer-syntax={EXPLICIT}", OCTETS, "application/dicom"],
    *[f"{OCTETS}; transfer-syntax={EXPLICIT}", "image/jpeg", 'multipart/related; type="image/png"', "image/gif"],
    *["application/zip", f"application/octet-stream; transfer-syntax={RLE}", "*/*;q=x", ""],
]
BELOW = ["", "/frames/1,3,4", "/frames/3", "/frames/2/rendered", "/rendered", "/thumbnail", "/pixeldata", "/bulkdata"]


@pytest.mark.filterwarnings("ignore")  # pydicom, of damaged frames
def test_mutated_frames_on_every_route(client, files):
    random_ = Random(17)
    whole = multiframe("2")
    pixels = whole.index(b"\xfe\xff\x00\xe0")
    statuses = set()
    for _ in range(25):
        files.files["2"] = whole[:pixels] + mutate(random_, whole[pixels:], PIECES)
        for below in BELOW:
            accept = random_.choice(ACCEPTED)
            answer = get(client, f"/series/1.1/instances/2{below}", accept)
            statuses.add(answer.status_code)
            assert answer.status_code < 500, (below, accept, answer.text)
            if answer.status_code >= 400:
                assert set(answer.json) == {"error", "reason"}
            elif answer.mimetype.startswith("multipart"):
                assert answer.data.rstrip().endswith(b"--")
    assert {200, 206, 404, 406} <= statuses
