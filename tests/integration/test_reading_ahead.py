"""Who reads two instances of a series gets the others without the database being asked for each; never old bytes."""

from __future__ import annotations

from io import BytesIO

import pytest
import requests
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicouch.couch.client import Pending
from dicouch.read import ahead
from tests.integration.test_known_frames import ALONE, FIRST, PARTS, SECOND, Site, at_once  # noqa: F401
from tests.made import instance

# What depends on the database is tested on both by test_qido_matching.py and test_store_and_retrieve.py.
pytestmark = pytest.mark.one_database("couchdb")

SERIES = "/dicom-web/studies/9.1/series/9.1.1"
COUNT = 5
PNG = {"Accept": "image/png"}
WAYS = [("", PARTS), ("/frames/1", ALONE)]


def made(number: int, pixels: bytes) -> bytes:
    return instance("9.1", "9.1.1", f"9.1.1.{number}", pixels=pixels, InstanceNumber=str(number))


def implicit(number: int, pixels: bytes) -> bytes:
    other, file = dcmread(BytesIO(made(number, pixels))), BytesIO()
    other.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    other.save_as(file, implicit_vr=True, little_endian=True, enforce_file_format=True)
    return file.getvalue()


def path(number: int, below: str = "") -> str:
    return f"{SERIES}/instances/9.1.1.{number}{below}"


@pytest.fixture(params=["attachment", "folder"])
def site(request, fresh_database, tmp_path):
    place = "attachment" if request.param == "attachment" else f"folder:{tmp_path}"
    site = Site(fresh_database, bytes=place, remember=30.0)
    site.place = request.param
    for number in range(1, COUNT + 1):
        site.store(made(number, FIRST))
    site.settle()
    yield site
    site.delete()


@pytest.mark.parametrize("way", WAYS)
def test_after_one_instance_the_others_are_known(site, way):
    below, headers = way
    _answer, asked = site.get(path(1, below), headers)
    assert any("instances_by_series" in request for request in asked)
    for number in range(2, COUNT + 1):
        answer, asked = site.get(path(number, below), headers)
        assert FIRST in answer.data
        if site.place == "folder":
            assert asked == []
        else:
            assert [request.partition("?")[0].rpartition("/")[2] for request in asked] == ["object.dcm"]


@pytest.mark.parametrize("way", WAYS)
def test_what_was_read_ahead_is_never_old(site, way):
    below, headers = way
    for number in (1, 2):
        site.get(path(number, below), headers)
    site.store(made(3, SECOND))
    assert SECOND in site.get(path(3, below), headers)[0].data
    site.apps[1].test_client().delete(path(4))
    assert site.get(path(4, below), headers)[0].status_code == 404
    assert site.get(path(5, below), headers | {"Authorization": "Basic eDp5"})[0].status_code == 401


def test_a_correction_shows_in_what_was_read_ahead(site):
    client = site.apps[1].test_client()
    for number in (1, 2):
        site.get(path(number), PARTS)
    fix = {"tag": "00081030", "value": "Mended", "by": "Ann"}
    assert client.post("/dicom-web/studies/9.1/conflicts", json=fix).status_code == 200
    for number in range(1, COUNT + 1):  # nor is anything read ahead without it
        assert b"Mended" in site.get(path(number), PARTS)[0].data


def test_an_instance_in_another_transfer_syntax_is_sent_as_what_it_is(site):
    """PS3.18 8.7.3.3: native frames are in Explicit VR Little Endian, whatever the file is in."""
    site.store(implicit(6, SECOND))
    for number in (1, 2):
        site.get(path(number, "/frames/1"), ALONE)
    answer, _asked = site.get(path(6, "/frames/1"), ALONE)
    assert answer.data == SECOND
    assert answer.headers["Content-Type"].endswith(f"transfer-syntax={ExplicitVRLittleEndian}")
    whole, _asked = site.get(path(6), {"Accept": "application/dicom; transfer-syntax=*"})
    assert whole.headers["Content-Type"].endswith(f"transfer-syntax={ImplicitVRLittleEndian}")


@pytest.mark.parametrize("way", WAYS)
def test_those_behind_one_that_is_not_in_the_beginning_are_read_ahead(site, way, monkeypatch):
    below, headers = way
    monkeypatch.setattr(ahead, "BEGINNING", 1)
    asked = site.get(path(2, below), headers)[1]
    rows = [request.rpartition("&")[2] for request in asked if "instances_by_series" in request]
    assert rows == ["limit=1", "limit=64"]
    asked = [request for number in (1, 3, 4, 5) for request in site.get(path(number, below), headers)[1]]
    assert [request for request in asked if not request.endswith("/object.dcm")] == []


def test_with_a_short_series_the_next_is_known(site):
    """Who has seen one goes on to the next, and may ask for it as a whole."""
    following = "/dicom-web/studies/9.1/series/9.1.2"
    for number in range(1, 4):
        site.store(instance("9.1", "9.1.2", f"9.1.2.{number}", pixels=SECOND, InstanceNumber=str(number)))
    site.settle()
    site.get(path(1), PARTS)
    for below, headers in WAYS:
        answer, asked = site.get(f"{following}/instances/9.1.2.3{below}", headers)
        assert SECOND in answer.data
        assert [request for request in asked if not request.endswith("/object.dcm")] == []
    answer, asked = site.get(following, PARTS)
    assert answer.data.count(SECOND) == 3
    assert (asked == []) is (site.place == "folder")
    site.store(instance("9.1", "9.1.2", "9.1.2.4", pixels=SECOND, InstanceNumber="4"))
    assert site.get(following, PARTS)[0].data.count(SECOND) == 4


def test_who_has_pictures_drawn_gets_the_next_ones_sooner(site):
    """And never those of what was replaced, deleted or is another's."""
    for number in (1, 2):
        assert site.get(path(number, "/rendered"), PNG)[0].status_code == 200
    answer, asked = site.get(path(3, "/rendered"), PNG)
    assert [request for request in asked if not request.endswith("/object.dcm")] == [] or site.place == "attachment"
    site.store(made(3, SECOND))
    other = site.get(path(3, "/rendered"), PNG)[0]
    assert (other.status_code, other.data == answer.data) == (200, False)
    site.get(path(3, "/rendered"), PNG)
    site.apps[1].test_client().delete(path(4))
    assert site.get(path(4, "/rendered"), PNG)[0].status_code == 404
    assert site.get(path(5, "/rendered"), PNG | {"Authorization": "Basic eDp5"})[0].status_code == 401


@pytest.mark.parametrize("beginning", [COUNT - 1, COUNT])
def test_a_series_that_is_longer_than_what_was_read_is_sent_as_a_whole(site, monkeypatch, beginning):
    monkeypatch.setattr(ahead, "BEGINNING", beginning)
    site.get(path(1), PARTS)
    for _time in range(2):
        answer = site.get(SERIES, PARTS)[0]
        assert answer.data.count(FIRST) == COUNT
        order = [answer.data.index(f"9.1.1.{number}\r\n".encode()) for number in range(1, COUNT + 1)]
        assert order == sorted(order)


def test_an_index_that_lags_does_not_delay_the_first_answer(site, monkeypatch):
    waiting = []
    monkeypatch.setattr(ahead, "submit", waiting.append)
    monkeypatch.setattr(Pending, "is_answered", lambda self, within: False)
    assert FIRST in site.get(path(1), PARTS)[0].data
    (job,) = waiting
    job()
    assert FIRST in site.get(path(2), PARTS)[0].data
    assert len(waiting) == 1


def test_an_instance_that_is_not_there(site):
    assert site.get(path(9), PARTS)[0].status_code == 404
    assert site.get("/dicom-web/studies/9.1/series/9.1.0", PARTS)[0].status_code == 404
    assert site.get(path(9, "/frames/1"), ALONE)[0].status_code == 404


@pytest.mark.parametrize("below", ["", "/series/9.1.1"])
def test_a_study_and_a_series_have_a_validator(site, below):
    """RFC 9110 13.1.2: asked again, they are not sent again while they are the same."""
    where = f"/dicom-web/studies/9.1{below}"
    first, _asked = site.get(where, PARTS)
    again, _asked = site.get(where, PARTS | {"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert site.get(where, PARTS)[0].data == first.data
    site.store(made(3, SECOND))
    after, _asked = site.get(where, PARTS | {"If-None-Match": first.headers["ETag"]})
    assert after.status_code == 200
    assert SECOND in after.data
    fix = {"tag": "00081030", "value": "Mended", "by": "Ann"}
    assert site.apps[1].test_client().post("/dicom-web/studies/9.1/conflicts", json=fix).status_code == 200
    mended, _asked = site.get(where, PARTS | {"If-None-Match": after.headers["ETag"]})
    assert mended.status_code == 200
    assert b"Mended" in mended.data


def test_the_index_tells_what_the_documents_do(site):
    view = f"{site.database}/_design/dicom/_view/instances_by_series"
    rows = requests.get(view, params={"reduce": "false", "include_docs": "true"}, timeout=30).json()["rows"]
    assert len(rows) == COUNT
    for row in rows:
        told, file = row["value"]["file"], row["doc"]["file"]
        assert {name: file[name] for name in told if name not in ("digest", "bulk")} == {
            name: told[name] for name in told if name not in ("digest", "bulk")
        }
        assert set(told) >= {"store", "size", "transferSyntax", "sha256", "frames"}
        assert told["bulk"] == {"7FE00010": file["bulk"]["7FE00010"]}
        attached = row["doc"].get("_attachments", {}).get("object.dcm", {})
        assert told.get("digest") == attached.get("digest")


def test_what_was_left_out_of_an_answer_is_told_by_its_validator(site):
    """PS3.18 Table 10.4.3-1: who accepts one transfer syntax only holds less than the whole series."""
    site.store(implicit(6, SECOND))
    kind = 'multipart/related; type="application/dicom"; transfer-syntax='
    some, _asked = site.get(SERIES, {"Accept": f"{kind}{ImplicitVRLittleEndian}"})
    assert (some.status_code, some.data.count(b"\r\nContent-Location:")) == (206, 1)
    both = {"Accept": f"{kind}{ImplicitVRLittleEndian}, {kind}{ExplicitVRLittleEndian};q=0.5"}
    whole, _asked = site.get(SERIES, both | {"If-None-Match": some.headers["ETag"]})
    assert (whole.status_code, whole.data.count(b"\r\nContent-Location:")) == (200, COUNT + 1)
    assert site.get(SERIES, both | {"If-None-Match": whole.headers["ETag"]})[0].status_code == 304
