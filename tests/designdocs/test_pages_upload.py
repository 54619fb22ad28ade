"""The pages to upload and of the status, and what the upload's script knows of files and answers."""

import json
import re
import xml.etree.ElementTree as ET

import pytest
import quickjs

from tests.designdocs.engine import ROOT
from tests.designdocs.test_pages import HOSTILE, Tags

UPLOAD = {"page": "upload", "root": "/root", "target": "/root/dicom-web/studies", "token": "t"}


def upload(ddoc, **given):
    return ddoc.show("page", {**UPLOAD, **given})


def policy(answer):
    return answer["headers"]["Content-Security-Policy"]


def test_the_form_works_without_scripts(ddoc):
    answer = upload(ddoc)
    tags = Tags(answer["body"])
    (form,) = tags.all("form")
    assert (form["method"], form["enctype"]) == ("post", "multipart/form-data")
    assert form["action"] == "/root/ui/upload"
    assert {"type": "hidden", "name": "token", "value": "t"} in tags.all("input")
    fields = [field["id"] for field in tags.all("input") if field["type"] == "file"]
    assert fields == [label["for"] for label in tags.all("label") if label["for"] != "which"]
    assert len([field for field in tags.all("input") if "webkitdirectory" in field]) == 1


def test_scripts_come_from_the_server_itself(ddoc):
    answer = upload(ddoc)
    assert [tag["src"] for tag in Tags(answer["body"]).all("script") if "src" in tag] == [
        "/root/ui/scripts/dicomfiles",
        "/root/ui/scripts/upload",
    ]
    assert re.search(r"script-src 'sha256-[^']+' 'self';", policy(answer))
    assert "connect-src 'self'" in policy(answer)
    assert "unsafe" not in policy(answer)
    assert not re.search(r" on\w+=| style=", answer["body"])


@pytest.mark.parametrize("text", HOSTILE)
def test_names_and_comments_stay_text(ddoc, text):
    told = [{"name": text, "code": 0xC000, "comment": text, "isStored": False}]
    results = {"stored": 0, "failed": 1, "complaint": text, "studies": [[text, 1]], "told": told}
    tags = Tags(upload(ddoc, results=results, problem=text)["body"])
    assert len(tags.all("script")) == 3
    assert tags.all("img") == tags.all("svg") == []
    assert text in tags.text


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0xA700, "out of resources (A700H)"),
        (0xA900, "the data do not fit their description (A900H)"),
        (0xA901, "of another study (A901H)"),
        (0xC000, "not a DICOM file"),
        (0xC123, "cannot be understood (C123H)"),
        (0x0111, "is stored (0111H)"),
        (0x9999, "refused (9999H)"),
    ],
)
def test_reasons(ddoc, code, words):
    """PS3.18 Table I.2-2: the last digits of Axxx and Cxxx are the server's own."""
    assert words in ddoc.call("lib/pages/upload", "reason", code)


def test_an_unknown_script(ddoc):
    source = ddoc.source["shows"]["script"]
    ask = ddoc.context.get("runShow")
    for name, code in (("dicomfiles", None), ("hasOwnProperty", 404), ("..", 404)):
        answer = json.loads(ask(source, json.dumps({"query": {"name": name}})))
        assert answer.get("code") == code
    assert json.loads(ask(source, '{"query":{"name":"upload"}}'))["body"].startswith("// The upload page")


@pytest.fixture(scope="module")
def files():
    """The script that knows files, on an engine without a browser."""
    context = quickjs.Context()
    context.eval("var window = {};" + (ROOT / "dicom/assets/dicomfiles.js").read_text())
    context.eval(
        "function identify(hex) { return JSON.stringify(window.dicouch.identify(hex.match(/../g).map(parse))); }"
    )
    context.eval("function parse(two) { return parseInt(two, 16); }")
    context.eval(
        "function results(batch, told, reasons) {"
        " return JSON.stringify(window.dicouch.results(JSON.parse(batch), JSON.parse(told), JSON.parse(reasons))); }"
    )
    return context


def element(tag, vr, value):
    length = len(value).to_bytes(4 if vr in ("OB", "UN") else 2, "little")
    return bytes.fromhex(tag) + vr.encode() + (b"\0\0" if vr in ("OB", "UN") else b"") + length + value


META = element("02000000", "UL", b"\x50\0\0\0") + element("02000100", "OB", b"\0\1")
UID = element("02000300", "UI", b"1.2.3\0")


@pytest.mark.parametrize(
    ("content", "uid"),
    [
        (bytes(128) + b"DICM" + META + element("02000200", "UI", b"1.2\0") + UID, "1.2.3"),
        (b"DICM" + META + UID, "1.2.3"),
        (bytes(128) + b"DICM" + META, ""),
        (bytes(128) + b"DICM" + META[:-1], ""),
        (bytes(128) + b"DICM" + element("02000100", "OB", b"")[:-4] + b"\xff\xff\xff\xff" + UID, ""),
        (element("08000500", "CS", b"ISO_IR 100"), ""),
        (b"\x00\x08\x00\x05CS\x00\x0aISO_IR 100", ""),
        (b"\x89PNG\r\n\x1a\n" + bytes(200), None),
        (b"%PDF-1.7", None),
        (b"PK\x03\x04", None),
        (b"Hello", None),
        (b"x", None),
        (bytes(4096), None),
    ],
)
def test_what_a_file_is(files, content, uid):
    """PS3.10 7.1; a data set without a header begins with group 0008 of either byte order, which the server takes."""
    assert json.loads(files.get("identify")(content.hex())) == uid


def sequence(*items):
    return {"vr": "SQ", "Value": [{tag: {"Value": [value]} for tag, value in item.items()} for item in items]}


def test_what_the_answer_says_of_each_file(files):
    """PS3.18 Table I.1-1: Referenced, Failed and Other Failures sequences, in whatever order."""
    url = "http://h/dicom-web/studies/1.9/series/1.8/instances/1.1"
    told = {
        "00081198": sequence({"00081155": "1.2", "00081197": 0x0111, "00000902": "other content"}),
        "00081199": sequence(
            {"00081155": "1.3", "00081190": url, "00081196": 0xB007}, {"00081155": "1.1", "00081190": url}
        ),
        "0008119A": sequence({"00081197": 0xC000}),
    }
    batch = [{"uid": "1.1"}, {"uid": "1.2"}, {"uid": "1.3"}, {"uid": "1.4"}]
    reasons = {"0111": "duplicate", "B007": "odd", "Cxxx": "no DICOM"}
    ask = files.get("results")
    assert json.loads(ask(json.dumps(batch), json.dumps(told), json.dumps(reasons))) == [
        {"isStored": True, "reason": "", "study": "1.9"},
        {"isStored": False, "reason": "duplicate (0111H): other content", "study": ""},
        {"isStored": True, "reason": "odd (B007H)", "study": "1.9"},
        None,
    ]
    alone = {"0008119A": sequence({"00081197": 0xC000, "00000902": "why"})}
    assert json.loads(ask('[{"uid":""}]', json.dumps(alone), json.dumps(reasons))) == [
        {"isStored": False, "reason": "no DICOM (C000H): why", "study": ""}
    ]
    assert json.loads(ask('[{"uid":""}]', '{"error":"x"}', "{}")) is None


def status(ddoc, steps=3, **series):
    empty = {name: {} for name in ("requests", "p50", "p95", "took", "memory", "behind", "bytes")}
    given = {
        "page": "status",
        "root": "/root",
        "origin": "/root",
        "now": [["Threads", 3]],
        "ages": [5 * step for step in range(steps)][::-1],
        "longest": 900,
        "series": {**empty, **series},
    }
    return ddoc.show("page", given)


def test_charts_have_their_figures_beside_them(ddoc):
    body = status(ddoc, requests={"search": [0.5, None, 12.25]}, p95={"search": [0.004, None, 1.5]})["body"]
    drawings = [ET.fromstring(one) for one in re.findall(r"<svg role.*?</svg>", body, re.S)]
    assert len(drawings) == 7
    assert all(one.get("aria-label") and one.get("role") == "img" for one in drawings)
    first = [line.get("d") for line in drawings[0].iter("path")][1]
    # 20 is the end of the scale; 10 s ago of 900 is at 593.3 of 600; the gap has no line.
    assert first == "M593.3 117.0l0 0M600.0 46.5l0 0"
    text = Tags(body).text
    for figure in ("12.3\u00a0/s", "6.38\u00a0/s", "1.5 s", "752 ms"):
        assert figure in text


def test_the_page_of_the_status_loads_itself_again(ddoc):
    tags = Tags(status(ddoc)["body"])
    assert {"http-equiv": "refresh", "content": "10"} in tags.all("meta")
    assert "?still=1" in [link["href"] for link in tags.all("a")]
    assert "/root/metrics" in [link["href"] for link in tags.all("a")]
    assert "unsafe" not in policy(status(ddoc))


def test_nothing_yet(ddoc):
    assert "Charts begin" in status(ddoc, steps=0)["body"]
