"""The home page and the study browser through HTTP: they tell what DICOMweb tells, and delete what they name."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
import requests

from tests.designdocs.test_pages import Tags
from tests.made import instance

HTML = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
HOSTILE = "<script>alert(1)</script>"
STUDY, SERIES = "9.41", "9.41.1"


@pytest.fixture(scope="module")
def site(archive):
    """The synthetic archive, and a study of three instances in two series."""
    files = [
        instance(STUDY, SERIES, "9.41.1.1", PatientName=HOSTILE, PatientID="HOST-1", StudyDescription="x & <y>"),
        instance(STUDY, SERIES, "9.41.1.2", PatientName=HOSTILE, PatientID="HOST-1", StudyDescription="x & <y>"),
        instance(STUDY, "9.41.2", "9.41.2.1", PatientName=HOSTILE, PatientID="HOST-1", StudyDescription="x & <y>"),
    ]
    assert archive.store(*files).status_code == 200
    return archive


def ask(site, path, **options):
    options.setdefault("headers", HTML)
    return requests.get(urljoin(site.url, path), timeout=60, **options)


def page(site, path, **options):
    answer = ask(site, path, **options)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "<script>alert" not in answer.text
    return Tags(answer.text)


def links(tags, *pattern):
    return [link["href"] for link in tags.all("a") if all(re.search(one, link["href"]) for one in pattern)]


def listed(tags):
    return list(dict.fromkeys(link.rpartition("/")[2] for link in links(tags, "^/ui/studies/[^/]+$")))


def found(site, **query):
    return [row["0020000D"]["Value"][0] for row in site.get("/studies", params=query).json()]


def test_home_tells_what_is_held(site):
    documents = [
        row["doc"] for row in requests.get(f"{site.database}/_all_docs?include_docs=true", timeout=60).json()["rows"]
    ]
    sizes = [doc["file"]["size"] for doc in documents if doc.get("type") == "instance"]
    kinds = [doc.get("type") for doc in documents]
    tags = page(site, "/")
    text = " ".join(tags.text.split())
    for number, name in (
        (kinds.count("study"), "studies"),
        (kinds.count("series"), "series"),
        (len(sizes), "instances"),
    ):
        assert re.search(rf"{name} ?{number:,}(?!\d)", text), text
    assert re.search(rf"in files ?{sum(sizes) / 1e3:.1f} kB", text), text
    # The picture: studies by year, those of several modalities for each.
    years = [doc["dataset"]["00080020"]["Value"][0][:4] for doc in documents if doc.get("type") == "study"]
    assert f"{min(years)} to {max(years)}" in tags.all("svg")[0]["aria-label"]
    counted = [int(number) for number in re.findall(r"<title>\d{4}, \w+: (\d+)</title>", ask(site, "/").text)]
    modalities = [set(doc["series"].values()) for doc in documents if doc.get("type") == "study"]
    assert sum(counted) == sum(map(len, modalities))
    # It is remembered until something changes.
    other = instance("9.43", "9.43.1", "9.43.1.1")
    site.store(other)
    assert f"studies{kinds.count('study') + 1}" in re.sub(r"[\s,]", "", page(site, "/").text)
    assert requests.delete(f"{site.url}/studies/9.43", timeout=60).status_code == 204
    assert f"studies{kinds.count('study')}" in re.sub(r"[\s,]", "", page(site, "/").text)


def test_both_roots_stay_what_they_were_for_programs(site):
    for path in ("/", "/dicom-web/"):
        assert links(page(site, path), f"^{path.rstrip('/')}/ui/studies$")
        for accept in ("application/dicom+json", "*/*", "application/json"):
            answer = ask(site, path, headers={"Accept": accept})
            assert answer.status_code == 400
            assert "requestType is missing" in answer.json()["reason"]
    assert requests.options(f"{site.url}/", timeout=30).status_code == 200
    # The URI service answers at both roots (PS3.18 9.4.1).
    asked = {"requestType": "WADO", "studyUID": STUDY, "seriesUID": SERIES, "objectUID": "9.41.1.1"}
    for path in ("/", "/dicom-web/", "/dicom-web", "/wado", "/dicom-web/wado"):
        answer = ask(site, path, params={**asked, "contentType": "application/dicom"})
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/dicom")
    assert ask(site, "/", params={"requestType": "x"}).status_code == 400


@pytest.mark.either_database
@pytest.mark.parametrize(
    ("form", "query"),
    [
        ("PatientName=smith", {"PatientName": "smith", "fuzzymatching": "true"}),
        ("PatientName=S*", {"PatientName": "S*"}),
        ("PatientID=P00000", {"PatientID": "P00000*"}),
        ("AccessionNumber=A000001", {"AccessionNumber": "A000001*"}),
        ("StudyDescription=THORAX", {"StudyDescription": "*THORAX*"}),
        ("ModalitiesInStudy=us", {"ModalitiesInStudy": "US"}),
        ("from=2010-01-01&to=2012-12-31", {"StudyDate": "20100101-20121231"}),
        ("from=2020-01-01&ModalitiesInStudy=CT", {"StudyDate": "20200101-", "ModalitiesInStudy": "CT"}),
        ("PatientName=nobody", {"PatientName": "nobody", "fuzzymatching": "true"}),
    ],
)
def test_the_searches_are_those_of_qido(site, form, query):
    expected = found(site, **query)[:25]
    tags = page(site, f"/ui/studies?{form}")
    assert listed(tags) == expected
    assert expected or "No study is found" in tags.text


def test_newer_and_older(site):
    path, seen, back = "/ui/studies", [], []
    while path:
        tags = page(site, path)
        seen += listed(tags)
        related = {link.get("rel"): link["href"] for link in tags.all("a")}
        back.append(related.get("prev"))
        path = related.get("next")
    assert seen == found(site)
    assert back == [None, "/ui/studies", "/ui/studies?offset=25"]
    assert "no further studies" in page(site, "/ui/studies?offset=1000").text
    assert listed(page(site, "/dicom-web/ui/studies")) == []
    assert links(page(site, "/dicom-web/ui/studies"), "^/dicom-web/ui/studies/")


def test_one_field_finds_by_what_it_may_mean(site):
    row = site.get("/studies", params={"limit": 1, "offset": 3}).json()[0]
    value = {tag: row[tag]["Value"][0] for tag in ("0020000D", "00080020", "00080050", "00100020", "00081030")}
    day = f"{value['00080020'][:4]}-{value['00080020'][4:6]}-{value['00080020'][6:]}"
    for words, field, text in (
        (day, "from", day),
        (value["00080020"], "to", day),
        (value["0020000D"], "StudyInstanceUID", value["0020000D"]),
        (value["00100020"], "PatientID", value["00100020"]),
        (value["00080050"], "AccessionNumber", value["00080050"]),
        ("thorax", "StudyDescription", "thorax"),
        ("US", "ModalitiesInStudy", "US"),
        ("Smith", "PatientName", "Smith"),
    ):
        answer = ask(site, "/ui/studies", params={"q": words}, allow_redirects=False)
        assert answer.status_code == 303, words
        assert parse_qs(urlsplit(answer.headers["Location"]).query)[field] == [text]
        assert listed(page(site, answer.headers["Location"]))
    assert "Nothing is found by \u201cqqq<b>\u201d" in page(site, "/ui/studies?q=qqq%3Cb%3E").text
    assert ask(site, "/ui/studies?q=+", allow_redirects=False).headers["Location"] == "/ui/studies"


def test_from_a_study_to_an_attribute(site):
    tags = page(site, f"/ui/studies/{STUDY}")
    assert tags.all("h1")
    assert HOSTILE in tags.text
    assert "x & <y>" in tags.text
    below = [f"/ui/studies/{STUDY}/series/{SERIES}", f"/ui/studies/{STUDY}/series/9.41.2"]
    assert links(tags, "/ui/.*/series/") == below
    tags = page(site, below[0])
    path = f"{below[0]}/instances/9.41.1.2"
    assert path in links(tags)
    assert "Secondary Capture Image Storage" in tags.text
    tags = page(site, path)
    text = " ".join(tags.text.split())
    assert f"PatientName (0010,0010) PN {HOSTILE}" in text
    assert "SOPInstanceUID (0008,0018) UI 9.41.1.2" in text
    # What the pages lead to is there.
    for link in {
        *links(tags, "^/dicom-web/"),
        *links(page(site, f"/ui/studies/{STUDY}"), "^/dicom-web/", "zip|metadata"),
    }:
        answer = ask(site, link)
        assert answer.status_code == 200, link
    for image in page(site, "/ui/studies?PatientID=HOST").all("img"):
        assert ask(site, image["src"]).headers["Content-Type"].startswith("image/")
    assert HOSTILE in page(site, f"/ui/conflicts/{STUDY}").text
    assert "/studies/{study}" in page(site, "/ui/capabilities").text


@pytest.mark.either_database
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/ui/studies/1.2.3.9", 404),
        (f"/ui/studies/{STUDY}/series/1.2.3", 404),
        (f"/ui/studies/{STUDY}/series/{SERIES}/instances/1.2.3", 404),
        ("/ui/studies/1.2.3.9/delete", 404),
        (f"/ui/studies/{STUDY}/series/1.2.3/delete", 404),
        (f"/ui/studies/{STUDY}/series/9.41.2/instances/9.41.1.1/delete", 404),
        ("/ui/studies/%3Cb%3E", 400),
        ("/ui/studies?offset=-1", 400),
        ("/ui/studies?offset=1e3", 400),
        ("/ui/studies?from=yesterday", 400),
    ],
)
def test_what_cannot_be_shown_is_told_on_a_page(site, path, status):
    answer = ask(site, path)
    assert answer.status_code == status
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "<b>" not in answer.text
    assert ask(site, path, headers={"Accept": "application/json"}).json()["reason"]


def test_deleting_asks_first(site):
    study, series = f"/ui/studies/{STUDY}", f"/ui/studies/{STUDY}/series/{SERIES}"
    one = f"{series}/instances/9.41.1.1"

    def token(path):
        return next(field["value"] for field in page(site, path).all("input") if field["name"] == "token")

    def post(path, headers=HTML, **form):
        return requests.post(urljoin(site.url, path), data=form, headers=headers, allow_redirects=False, timeout=60)

    assert "2 series, 3 instances" in page(site, f"{study}/delete").text
    assert "2 instances" in page(site, f"{series}/delete").text
    assert "1 instance," in page(site, f"{one}/delete").text
    given = token(f"{one}/delete")
    # Without the token, with that of another page, and from a page of another site.
    for form in ({}, {"token": token(f"{study}/delete")}, {"token": "é"}):
        answer = post(f"{one}/delete", **form)
        assert answer.status_code == 403
        assert "Nothing is deleted" in answer.text
    assert post(f"{one}/delete", {**HTML, "Origin": "http://localhost:3000"}, token=given).status_code == 403
    assert len(site.get(f"/studies/{STUDY}/instances").json()) == 3
    answer = post(f"{one}/delete", token=given)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"{series}?deleted=1")
    assert "1 instance was deleted" in page(site, answer.headers["Location"]).text
    assert post(f"{one}/delete", token=given).status_code == 404
    # The last of its series: the page above it is that of the study.
    one = f"{series}/instances/9.41.1.2/delete"
    answer = post(one, token=token(one))
    assert answer.headers["Location"] == f"{study}?deleted=1"
    answer = post(f"{study}/delete", token=token(f"{study}/delete"))
    assert answer.headers["Location"] == "/ui/studies?deleted=1"
    assert "1 instance was deleted" in page(site, answer.headers["Location"]).text
    assert found(site, StudyInstanceUID=STUDY) == []
