"""The pages that the shim fills: home, studies, series, instances, deletion; no value of a file becomes HTML."""

import re

import pytest

from tests.designdocs.test_pages import HOSTILE, Tags

PLACES = {"root": "/p", "dicomweb": "/p/dicom-web", "url": "http://h/p/dicom-web", "ohif": None, "deletes": True}
STUDY = {
    "0020000D": {"vr": "UI", "Value": ["1.2"]},
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^John"}]},
    "00100020": {"vr": "LO", "Value": ["P1"]},
    "00080020": {"vr": "DA", "Value": ["20200102"]},
    "00080061": {"vr": "CS", "Value": ["CT", "MR"]},
    "00081030": {"vr": "LO", "Value": ["Thorax"]},
    "00080050": {"vr": "SH", "Value": ["A1"]},
    "00201206": {"vr": "IS", "Value": [2]},
    "00201208": {"vr": "IS", "Value": [12]},
}
SERIES = {
    "0020000E": {"vr": "UI", "Value": ["1.2.3"]},
    "00200011": {"vr": "IS", "Value": [4]},
    "0008103E": {"vr": "LO", "Value": ["axial"]},
    "00080060": {"vr": "CS", "Value": ["CT"]},
    "00201209": {"vr": "IS", "Value": [12]},
}
INSTANCE = {
    "00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.2"]},
    "00080018": {"vr": "UI", "Value": ["1.2.3.4"]},
    "00200013": {"vr": "IS", "Value": [7]},
    "00280010": {"vr": "US", "Value": [512]},
    "00280011": {"vr": "US", "Value": [256]},
}
PAGING = {"offset": 25, "newer": "/p/ui/studies", "older": "/p/ui/studies?offset=50"}
HELD = {"studies": 3, "series": 4, "instances": 12345, "bytes": 5_300_000_000, "disagreeing": 1}
BASE = {"base": "http://h/p/dicom-web", "study": "1.2", "series": "1.2.3", "instance": "1.2.3.4"}


def given(name):
    """What the shim sends for each page."""
    own = {
        "home": {"held": {**HELD, "times": [[["2020", "CT", "01"], 3]]}, "year": 2026, "fauxton": "http://h:1/_utils/"},
        "studies": {"form": {"PatientName": "doe"}, "words": "", "rows": [STUDY], **PAGING, "deleted": None},
        "study": {"study": STUDY, "rows": [SERIES], **PAGING, "deleted": 3},
        "series": {"study": STUDY, "series": SERIES, "rows": [INSTANCE], "uids": {}, **PAGING, "deleted": None},
        "instance": {"dataset": {**STUDY, **SERIES, **INSTANCE}, "names": {}, "uids": {}, **BASE},
        "deletion": {
            **{"uids": ["1.2", "1.2.3"], "series": 0, "instances": 12, "bytes": 1_234_567, "summary": "CT"},
            **{"token": "t", "problem": None},
        },
        "capabilities": {"resources": [{"path": "/studies", "methods": ["GET"], "media": ["application/json"]}]},
    }
    return {"page": name, **PLACES, **own[name]}


PAGES = ("home", "studies", "study", "series", "instance", "deletion", "capabilities")


def links(page):
    return [link["href"] for link in page.all("a")]


@pytest.mark.parametrize("name", PAGES)
def test_every_page(ddoc, name):
    made = ddoc.show("page", given(name))
    page = Tags(made["body"])
    assert made["code"] == 200
    assert made["headers"]["Content-Type"] == "text/html; charset=utf-8"
    assert len(page.all("h1")) == len(page.all("main")) == made["body"].partition("</head>")[0].count("<title>") == 1
    assert all(header.get("scope") == "col" for header in page.all("th"))
    ids = [attributes["id"] for _tag, attributes in page.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    for field in page.all("input"):
        assert field["type"] == "hidden" or field["id"] in {label["for"] for label in page.all("label")}
    # Each of several landmarks of a kind has a name.
    assert len({nav["aria-label"] for nav in page.all("nav")}) == len(page.all("nav"))
    assert all("alt" in image and image["src"].startswith("/p/dicom-web/studies/1.2") for image in page.all("img"))
    assert not {"onclick", "onload", "style"} & {name for _tag, attributes in page.found for name in attributes}
    outside = {"https://dicom.nema.org/medical/dicom/current/output/html/part18.html", "http://h:1/_utils/", "#main"}
    assert all(link.startswith("/p/") or link in outside for link in links(page))
    order = [int(tag[1]) for tag, _ in page.found if re.fullmatch("h[1-6]", tag)]
    assert order[0] == 1
    assert set(order[1:]) <= {2}


def with_value(value, hostile):
    """Put a hostile text in the place of every text of a JSON value, but where the shim has its own."""
    own = {"page", "root", "dicomweb", "url", "base", "newer", "older", "vr", "fauxton"}
    if isinstance(value, dict):
        return {key: one if key in own else with_value(one, hostile) for key, one in value.items()}
    if isinstance(value, list):
        return [with_value(one, hostile) for one in value]
    return hostile if isinstance(value, str) else value


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("name", PAGES)
def test_hostile_values_stay_text(ddoc, name, value):
    body = ddoc.show("page", with_value(given(name), value))["body"]
    hostile, harmless = Tags(body), Tags(ddoc.show("page", given(name))["body"])
    assert {tag for tag, _ in hostile.found} <= {tag for tag, _ in harmless.found} | {"p", "span", "li"}
    assert len(hostile.all("script")) == 1
    known = {name for _tag, attributes in harmless.found for name in attributes} | {"class", "role", "tabindex"}
    assert {name for _tag, attributes in hostile.found for name in attributes} <= known | {"autofocus"}
    # Nothing that a file says becomes the beginning of a URL.
    assert all(re.match("/p/|#main$|https?://", link) or name == "home" for link in links(hostile))
    assert not any(re.match(r"\s*javascript:", link, re.I) for link in links(hostile))


def test_a_hostile_place_is_none(ddoc):
    for root in ("//evil.example", "http://evil.example", "javascript:alert(1)", "/\\evil.example", 3, None):
        made = ddoc.show("page", {**given("capabilities"), "root": root})
        assert links(Tags(made["body"])) == ["#main"]


def test_home_tells_what_is_held(ddoc):
    page = Tags(ddoc.show("page", given("home"))["body"])
    assert all(text in page.text for text in ("12,345", "5.3 GB", "1 study or series has values that disagree"))
    assert {"/p/ui/studies", "/p/ui/upload", "/p/ui/conflicts", "/p/ui/status", "http://h:1/_utils/"} <= set(
        links(page)
    )
    assert not any("ohif" in link for link in links(page))
    with_viewer = Tags(ddoc.show("page", {**given("home"), "ohif": "/p/ohif"})["body"])
    assert "/p/ohif/" in links(with_viewer)
    empty = {**HELD, "studies": 0, "series": 0, "instances": 0, "bytes": 0, "disagreeing": 0, "times": []}
    page = Tags(ddoc.show("page", {**given("home"), "held": empty})["body"])
    assert "Nothing is stored yet" in page.text
    assert page.all("svg") == []


def test_the_picture_of_studies(ddoc):
    times = [[["2019", "CT"], 2], [["2021", "MR"], 1], [["2021", "CT"], 3], [["", "CT"], 5], [["9999", "CT"], 1]]
    bars = ddoc.call("lib/pages/chart", "bars", times, 2026)
    assert (bars["months"], bars["outside"], bars["names"]) == (False, 6, ["CT", "MR"])
    assert bars["bars"] == [{"at": 2019, "sum": 2, "by": {"CT": 2}}, {"at": 2021, "sum": 4, "by": {"MR": 1, "CT": 3}}]
    page = Tags(ddoc.call("lib/pages/chart", "figure", times, 2026))
    rects = [rect for rect in page.all("rect") if "x" in rect]
    # The highest bar takes all the height, 140, and its parts are as high as their numbers.
    heights = [float(rect["height"]) for rect in rects]
    assert heights == pytest.approx([70, 105, 35])
    assert [float(rect["y"]) for rect in rects] == pytest.approx([70, 35, 0])
    assert "2019" in page.all("svg")[0]["aria-label"]
    assert "6 studies have another date or none" in page.text
    assert len(page.all("tr")) == 3
    months = ddoc.call("lib/pages/chart", "bars", [[["2020", "CT", "12"], 1], [["2021", "CT", "01"], 1]], 2026)
    assert [bar["at"] for bar in months["bars"]] == [2020 * 12 + 11, 2021 * 12]
    many = [[["2020", f"M{n:02d}"], n + 1] for n in range(12)]
    bars = ddoc.call("lib/pages/chart", "bars", many, 2026)
    assert bars["names"] == ["M11", "M10", "M09", "M08", "M07", "M06", "others"]
    assert bars["bars"][0]["by"]["others"] == sum(range(1, 7))
    for name in ("__proto__", "constructor"):
        assert ddoc.call("lib/pages/chart", "bars", [[["2020", name], 2]], 2026)["bars"][0]["sum"] == 2


@pytest.mark.parametrize("name", ["constructor", "toString", "__proto__"])
def test_a_value_that_names_what_every_object_has(ddoc, name):
    told = given("instance")
    told["dataset"] = {**told["dataset"], "00080016": {"vr": "UI", "Value": [name]}}
    listed = given("series")
    listed["rows"] = [{**INSTANCE, "00080016": {"vr": "UI", "Value": [name]}}]
    for page in (told, listed):
        text = Tags(ddoc.show("page", page)["body"]).text
        assert name in text
        assert "native code" not in text
        assert "[object" not in text


def test_a_page_of_studies(ddoc):
    page = Tags(ddoc.show("page", given("studies"))["body"])
    fields = {field["name"]: field.get("value") for field in page.all("input")}
    assert fields.pop("PatientName") == "doe"
    assert set(fields) == {"PatientID", "from", "to", "ModalitiesInStudy", "StudyDescription", "AccessionNumber"}
    assert "/p/ui/studies/1.2" in links(page)
    assert all(text in page.text for text in ("Doe John", "P1", "2020-01-02", "CT MR", "Thorax", "A1", "26 to 26"))
    assert [(link["rel"], link["href"]) for link in page.all("a") if "rel" in link] == [
        ("prev", PAGING["newer"]),
        ("next", PAGING["older"]),
    ]
    nothing = {"rows": [], "offset": 0, "newer": None, "older": None}
    assert "No study is found" in ddoc.show("page", {**given("studies"), **nothing})["body"]
    assert "There are no studies yet" in ddoc.show("page", {**given("studies"), **nothing, "form": {}})["body"]
    assert (
        "Nothing is found by \u201cdoe\u201d"
        in ddoc.show("page", {**given("studies"), **nothing, "words": "doe"})["body"]
    )


def test_the_page_of_a_study_leads_on(ddoc):
    page = Tags(ddoc.show("page", {**given("study"), "ohif": "/p/ohif"})["body"])
    assert {
        "/p/ui/studies/1.2/series/1.2.3",
        "/p/dicom-web/studies/1.2?accept=application/zip",
        "/p/ohif/viewer?StudyInstanceUIDs=1.2",
        "/p/ui/conflicts/1.2",
        "/p/ui/studies/1.2/delete",
    } <= set(links(page))
    assert "3 instances were deleted." in page.text
    page = Tags(ddoc.show("page", {**given("study"), "deletes": False})["body"])
    assert not any("delete" in link or "ohif" in link for link in links(page))


def test_the_tree_of_an_instance(ddoc):
    dataset = {
        **INSTANCE,
        "00091001": {"vr": "LO", "Value": ["<b>"]},
        "00186060": {"vr": "FL", "Value": [1, 2], "more": 7},
        "00400275": {
            "vr": "SQ",
            "Value": [{"00400009": {"vr": "SH", "Value": ["S1"]}, "00401001": {"vr": "SH"}}],
            "more": 2,
        },
        "00282000": {
            "vr": "OB",
            "BulkDataURI": "http://h/p/dicom-web/studies/1.2/series/1.2.3/instances/1.2.3.4/bulkdata/00282000",
        },
        "7FE00010": {
            "vr": "OW",
            "BulkDataURI": "http://h/p/dicom-web/studies/1.2/series/1.2.3/instances/1.2.3.4/bulkdata/7FE00010",
        },
        "00420011": {"vr": "OB", "BulkDataURI": "javascript:alert(1)"},
        "00480100": {"vr": "OB", "BulkDataURI": "http://h/p/dicom-webevil"},
    }
    names = {"00400275": ["RequestAttributesSequence", "Request Attributes Sequence"]}
    uids = {"1.2.840.10008.5.1.4.1.1.2": "CT Image Storage"}
    page = Tags(ddoc.show("page", {**given("instance"), "dataset": dataset, "names": names, "uids": uids})["body"])
    text = " ".join(page.text.split())
    assert "RequestAttributesSequence (0040,0275) SQ 3 items" in text
    assert "private or unknown (0009,1001) LO <b>" in text
    assert "1\\2 and 7 further values" in text
    assert "1.2.840.10008.5.1.4.1.1.2 CT Image Storage" in text
    assert "(0040,1001) SH (no value)" in text
    assert "and 2 further items" in text
    assert len(page.all("details")) == len(page.all("summary")) == 1
    resource = "/p/dicom-web/studies/1.2/series/1.2.3/instances/1.2.3.4"
    found = [link for link in links(page) if "bulkdata" in link or "evil" in link or "javascript" in link]
    assert found == [f"{resource}/bulkdata/00282000?accept=application/octet-stream"]
    assert links(page).count(f"{resource}/rendered") == 2


def test_a_deletion_asks_first(ddoc):
    page = Tags(ddoc.show("page", given("deletion"))["body"])
    (form,) = page.all("form")
    assert (form["method"], form["action"]) == ("post", "/p/ui/studies/1.2/series/1.2.3/delete")
    assert [field["value"] for field in page.all("input")] == ["t"]
    assert "12 instances, 1.2 MB" in page.text
    assert "/p/ui/studies/1.2/series/1.2.3" in links(page)
    refused = Tags(ddoc.show("page", {**given("deletion"), "problem": "no <token>"})["body"])
    assert [one["role"] for tag, one in refused.found if one.get("role") == "alert"] == ["alert"]
    assert "no <token>" in refused.text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (123_456_789, "123 MB"),
        (2e15, "2.0 PB"),
        (5e18, "5,000 PB"),
    ],
)
def test_sizes(ddoc, size, text):
    assert ddoc.call("lib/pages/parts", "bytes", size) == text
