"""The pages of conflicts: counts, forms, and no value that becomes HTML."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

NAME = "00100010"
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg/onload=alert(1)>",
    "</textarea></title></style><script>",
    "&lt;script&gt;",
    '{"vr":"PN","Value":[]}',
    "javascript:alert(1)",
    "\u2028]]>-->",
    "x" * 10_000,
]


def name(text):
    return {"vr": "PN", "Value": [{"Alphabetic": text}]}


def instance(number, series, **dataset):
    return {"_id": f"1.2:{series}:{series}.{number}", "type": "instance", "file": {}, "dataset": dataset}


def study(*texts, **more):
    """A study of one instance for each text, each in a series of its own, twice the first one."""
    docs = [instance(1, f"1.2.{n}", **({NAME: name(text)} if text else {})) for n, text in enumerate(texts)]
    docs.append(instance(2, "1.2.0", **{NAME: name(texts[0])}))
    variants = [{"value": name(text), "series": [f"1.2.{n}"]} for n, text in enumerate(texts) if n and text]
    header = {
        "_id": "1.2:study",
        "type": "study",
        "summary": texts[0],
        "series": {},
        "dataset": {NAME: name(texts[0])},
        "variants": {NAME: variants} if variants else {},
        **more,
    }
    return [{"id": doc["_id"], "doc": doc} for doc in (*docs, header)]


class Tags(HTMLParser):
    """Every tag with its attributes, and the text."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for found, attributes in self.found if found == tag]


def test_values_with_their_counts(ddoc):
    report = ddoc.data("conflict", study("Doe", "Roe", None))
    (attribute,) = report["attributes"]
    assert [(one["text"], one["series"], one["instances"], one["current"]) for one in attribute["values"]] == [
        ("Doe", 1, 2, True),
        ("", 1, 1, False),
        ("Roe", 1, 1, False),
    ]
    assert attribute["name"] == "Patient's Name"


def test_texts_that_mean_the_same_are_one_value(ddoc):
    rows = study("Doe", "Roe")
    rows[1]["doc"]["dataset"][NAME] = {"Value": [{"Alphabetic": "Doe"}], "vr": "PN"}
    (attribute,) = ddoc.data("conflict", rows)["attributes"]
    assert [(one["text"], one["instances"]) for one in attribute["values"]] == [("Doe", 3)]


def test_no_study(ddoc):
    assert ddoc.data("conflict", []) is None
    page = ddoc.page("conflict", [])
    assert page["started"]["code"] == 404
    assert "no study" in page["body"].lower()


def test_a_page_has_a_form_for_each_attribute(ddoc):
    page = Tags(ddoc.page("conflict", study("Doe", "Roe"), ui="/ui/conflicts")["body"])
    assert [form["action"] for form in page.all("form")] == ["/ui/conflicts/1.2"] * 2
    radios = [one for one in page.all("input") if one.get("type") == "radio"]
    assert [one["value"] for one in radios] == [
        json.dumps(name(text), separators=(",", ":")) for text in ("Doe", "Roe")
    ] + ["other"]
    assert ["checked" in one for one in radios] == [True, False, False]
    ids = [attributes["id"] for _tag, attributes in page.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {label["for"] for label in page.all("label") if "for" in label} <= set(ids)
    assert not {"src", "onclick", "onload", "style"} & {name for _tag, attributes in page.found for name in attributes}
    assert page.all("link") == []


def test_each_form_brings_its_token_along(ddoc):
    page = Tags(ddoc.page("conflict", study("Doe", "Roe"), ui="/ui/conflicts", token='a"b')["body"])
    assert [one["value"] for one in page.all("input") if one.get("name") == "token"] == ['a"b'] * len(page.all("form"))


def test_the_page_of_the_database_itself(ddoc):
    page = Tags(ddoc.page("conflict", study("Doe", "Roe"))["body"])
    assert not [one for one in page.all("input") if one.get("name") == "token"]
    assert [form["action"] for form in page.all("form")] == ["../../_update/fix/1.2%3Astudy"] * 2
    assert not [one for one in page.all("input") if one.get("name") == "scope"]


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_values_stay_text(ddoc, value):
    fixes = {
        "00081030": {"value": {"vr": "LO", "Value": [value]}, "by": value, "at": value, "id": value, "original": None}
    }
    history = [
        {"at": value, "by": value, "user": value, "tag": value, "action": value, "from": name(value), "to": None}
    ]
    rows = study(value, f"{value}2", fixes=fixes, history=history)
    body = ddoc.page("conflict", rows, ui="/ui/conflicts", problem=value, done=value)["body"]
    plain = ddoc.page(
        "conflict",
        study(
            "Doe",
            "Roe",
            fixes={k: {**v, "value": {"vr": "LO", "Value": ["x"]}} for k, v in fixes.items()},
            history=history,
        ),
        ui="/ui/conflicts",
        problem="x",
    )["body"]
    hostile, harmless = Tags(body), Tags(plain)
    assert {tag for tag, _ in hostile.found} <= {tag for tag, _ in harmless.found}
    assert len(hostile.all("script")) == 1
    assert {name for _tag, attributes in hostile.found for name in attributes} <= {
        "lang",
        "charset",
        "name",
        "content",
        "class",
        "href",
        "role",
        "tabindex",
        "autofocus",
        "id",
        "method",
        "action",
        "type",
        "value",
        "scope",
        "required",
        "checked",
        "maxlength",
        "data-chooses",
        "aria-label",
        "aria-current",
        "for",
        "autocomplete",
    }
    assert value in hostile.text


@pytest.mark.parametrize(
    "ui", ["//evil.example", "http://evil.example", "javascript:alert(1)", "/\\evil.example", "x", ""]
)
def test_forms_go_to_this_host_only(ddoc, ui):
    page = Tags(ddoc.page("conflict", study("Doe", "Roe"), ui=ui)["body"])
    assert {form["action"] for form in page.all("form")} == {"../../_update/fix/1.2%3Astudy"}


def test_the_policy_knows_the_script_and_the_style(ddoc):
    page = ddoc.page("conflict", study("Doe", "Roe"))
    assert page["started"]["headers"]["Content-Type"] == "text/html; charset=utf-8"
    policy = page["started"]["headers"]["Content-Security-Policy"]
    for tag in ("style", "script"):
        (text,) = re.findall(f"<{tag}>(.*?)</{tag}>", page["body"], re.S)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def luminance(colour):
    """Return the relative luminance of ``#rgb`` or ``#rrggbb`` (WCAG 2.2)."""
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_contrast(ddoc, scheme):
    style = re.search("<style>(.*?)</style>", ddoc.page("conflict", study("Doe", "Roe"))["body"], re.S)[1]
    schemes = re.findall(r":root\{(.*?)\}", style, re.S)
    assert len(schemes) == 2
    colours = dict(re.findall(r"--(\w+):(#\w+)", schemes[scheme]))
    for ground in ("ground", "panel"):
        below = luminance(colours[ground])
        for name, least in (("text", 4.5), ("muted", 4.5), ("link", 4.5), ("bad", 4.5), ("good", 4.5), ("focus", 3)):
            above = luminance(colours[name])
            contrast = (max(above, below) + 0.05) / (min(above, below) + 0.05)
            assert contrast >= least, f"{name} on {ground}: {contrast:.2f}"


def test_the_frame_leads_to_all_pages_below_the_root(ddoc):
    page = Tags(ddoc.page("conflict", study("Doe", "Roe"), ui="/proxy/dicom-web/ui/conflicts")["body"])
    links = page.all("a")
    assert {link["href"] for link in links} >= {
        "#main",
        "/proxy/dicom-web/ui/studies/1.2",
        "/proxy/dicom-web/",
        "/proxy/dicom-web/ui/studies",
        "/proxy/dicom-web/ui/conflicts",
    }
    assert [link["href"] for link in links if link.get("aria-current")] == ["/proxy/dicom-web/ui/conflicts"]
    assert [main["id"] for main in page.all("main")] == ["main"]
    assert page.all("html") == [{"lang": "en"}]
    assert page.all("nav") == [{"aria-label": "Pages"}]
    # The database itself has no other pages.
    assert Tags(ddoc.page("conflict", study("Doe", "Roe"))["body"]).all("nav") == []


def test_a_page_that_is_not_there(ddoc):
    for name in ("__proto__", "constructor", "nothing", None):
        made = ddoc.show("page", {"page": name, "root": ""})
        assert made["code"] == 404
        assert "<h1>No such page</h1>" in made["body"]
        assert "run dicouch push-views" in made["body"]


def rows_of(ddoc, *docs):
    found = [(key, value, doc) for doc in docs for key, value in ddoc.map("conflicts_by_date", doc)]
    found.sort(key=lambda row: row[0], reverse=True)
    headers = {doc["_id"]: doc for doc in docs}
    return [
        {"id": doc["_id"], "key": key, "value": value, "doc": headers.get(value["_id"])} for key, value, doc in found
    ]


def headers(number):
    variants = {NAME: [{"value": name("Roe"), "series": ["1.1"]}]}
    date = {"00080020": {"vr": "DA", "Value": [f"2020010{number}"]}}
    series = {"00080021": {"vr": "DA", "Value": [f"2020010{number}"]}}
    uid = f"1.{number}"
    return [
        {
            "_id": f"{uid}:study",
            "type": "study",
            "summary": f"S{number} <b>",
            "dataset": date,
            "series": {},
            "variants": variants,
        },
        {
            "_id": f"{uid}:{uid}.1",
            "type": "series",
            "summary": "",
            "dataset": series,
            "variants": {"00080070": variants[NAME]},
        },
    ]


def test_the_list_puts_series_below_their_study(ddoc):
    docs = [doc for number in (1, 2, 3) for doc in headers(number)]
    page = ddoc.data("conflicts", rows_of(ddoc, *docs), size="4")
    assert [one["study"] for one in page["studies"]] == ["1.3", "1.2"]
    assert [(one["tag"], one["series"]) for one in page["studies"][0]["attributes"]] == [
        ("00080070", "1.3.1"),
        (NAME, None),
    ]
    assert page["next"] == ["open", "20200101", "", "1.1", "1.1.1"]
    tags = Tags(ddoc.page("conflicts", rows_of(ddoc, *docs), size="4", ui="/ui/conflicts")["body"])
    links = [link["href"] for link in tags.all("a")]
    assert "/ui/conflicts/1.3" in links
    assert any("from=" in link for link in links)
    assert tags.all("b") == []
    assert "No study" in ddoc.page("conflicts", [])["body"]
