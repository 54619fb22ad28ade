"""Metadata with exact validators, and what the server tells of itself (PS3.18 8.9, 10.4.1.1.2)."""

import gzip
import json
from xml.etree import ElementTree as Xml

import pytest
import requests

from dicouch.routes.resources import TABLE
from tests.eventually import eventually
from tests.integration.gallery import parts_of
from tests.workitems import creation

JSON = "application/dicom+json"
SEARCHES = ("SearchFor", "Count")


@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_not_modified_while_nothing_is_stored(gallery, level):
    first = gallery.get("CT_small.dcm", "/metadata", accept=JSON, level=level)
    tag = first.headers["ETag"]
    again = gallery.get("CT_small.dcm", "/metadata", accept=JSON, level=level, headers={"If-None-Match": f'"x", {tag}'})
    assert (again.status_code, again.content) == (304, b"")
    kept = gallery.get("CT_small.dcm", "/metadata", accept=JSON, level=level)
    assert kept.content == first.content
    assert kept.headers["ETag"] == tag
    assert len(first.json()) == (1 if level == "instance" else 2)


def test_modified_when_a_header_is_corrected(gallery):
    dataset = gallery.datasets["examples_palette.dcm"]
    before = gallery.get("examples_palette.dcm", "/metadata", accept=JSON)
    url = f"{gallery.server.database}/{dataset.StudyInstanceUID}:study"
    header = requests.get(url, timeout=30).json()
    header["dataset"]["00100010"] = {"vr": "PN", "Value": [{"Alphabetic": "CORRECTED"}]}
    requests.put(url, json=header, timeout=30).raise_for_status()
    known = {"If-None-Match": before.headers["ETag"]}

    def told():
        return gallery.get("examples_palette.dcm", "/metadata", accept=JSON, headers=known)

    after = eventually(told, lambda answer: answer.status_code == 200)
    assert after.headers["ETag"] != before.headers["ETag"]


def test_representations_have_their_own_validators(gallery):
    identity = gallery.get("CT_small.dcm", "/metadata", accept=JSON, headers={"Accept-Encoding": "identity"})
    url = gallery.server.url + gallery.path("CT_small.dcm") + "/metadata"
    with requests.get(url, headers={"Accept": JSON, "Accept-Encoding": "gzip"}, stream=True, timeout=30) as zipped:
        raw = zipped.raw.read()
    assert zipped.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(raw) == identity.content
    assert len(raw) < len(identity.content)
    assert "Content-Encoding" not in identity.headers
    assert zipped.headers["ETag"] != identity.headers["ETag"]
    assert "Accept-Encoding" in zipped.headers["Vary"]


def test_metadata_as_xml(gallery):
    for _ in range(2):  # made, and from the cache
        response = gallery.get(
            "CT_small.dcm", "/metadata", accept='multipart/related; type="application/dicom+xml"', level="study"
        )
        parts = parts_of(response)
        assert [kind for kind, _body, _location in parts] == ["application/dicom+xml"] * 2
        names = {Xml.fromstring(body).tag for _kind, body, _location in parts}
        assert names == {"{http://dicom.nema.org/PS3.19/models/NativeDICOM}NativeDicomModel"}


def test_another_host_gets_its_own_urls(gallery):
    headers = {"X-Forwarded-Host": "pacs.example", "X-Forwarded-Proto": "https"}
    direct = gallery.get("CT_small.dcm", "/metadata", accept=JSON)
    behind = gallery.get("CT_small.dcm", "/metadata", accept=JSON, headers=headers)
    assert behind.json()[0]["7FE00010"]["BulkDataURI"].startswith("https://pacs.example/dicom-web/")
    assert direct.json()[0]["7FE00010"]["BulkDataURI"].startswith(gallery.server.url)
    assert behind.headers["ETag"] != direct.headers["ETag"]


def test_capabilities(gallery):
    namespace = "{http://wadl.dev.java.net/2009/02}"
    response = requests.options(gallery.server.url + "/", timeout=30)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/vnd.sun.wadl+xml"
    tree = Xml.fromstring(response.content)
    assert tree.find(f"{namespace}resources").get("base") == gallery.server.url + "/"
    ids = {method.get("id") for method in tree.iter(f"{namespace}method")}
    assert {"SearchForStudies", "StoreInstances", "RetrieveInstance", "RetrieveFrames", "RetrieveRenderedStudy"} <= ids
    assert requests.options(gallery.server.url, headers={"Accept": "image/png"}, timeout=30).status_code == 406
    for below in ("", "/rendered", "/frames/1,2", "/bulkdata/00880200/0/7FE00010", "/thumbnail"):
        url = gallery.server.url + gallery.path("CT_small.dcm") + below
        answer = requests.options(url, headers={"Accept": "application/json"}, timeout=30)
        assert answer.status_code == 200, below
        assert "GET" in answer.headers["Allow"]
        (resources,) = json.loads(answer.content)["application"]["resources"]
        assert resources["resource"][0]["method"][0]["@name"] == "GET"
    assert requests.options(gallery.server.url + "/worklist", timeout=30).status_code == 404


def test_capabilities_of_every_search(gallery):
    """All searches and counts are told, the server's own resources too."""
    ids = [method.id for resource in TABLE for method in resource.methods]
    assert len(set(ids)) == len(ids)
    paths = [resource.path for resource in TABLE if resource.methods and resource.methods[0].id.startswith(SEARCHES)]
    assert len(paths) == 16
    for path in paths:
        address = f"{gallery.server.url}/{path}".replace("{study}", "1.2").replace("{series}", "1.3")
        answer = requests.options(address, headers={"Accept": "application/json"}, timeout=30)
        assert answer.status_code == 200, path
        assert set(answer.headers["Allow"].split(", ")) - {"POST"} == {"GET", "HEAD", "OPTIONS"}, path
        (told,) = json.loads(answer.content)["application"]["resources"]
        assert [one["@path"] for one in told["resource"]] == [path]


def test_capabilities_name_only_what_answers(gallery):
    """Every resource that is told answers, for an instance that has it."""
    namespace = "{http://wadl.dev.java.net/2009/02}"
    tree = Xml.fromstring(requests.options(gallery.server.url, timeout=30).content)
    dataset = gallery.datasets["CT_small.dcm"]
    values = {
        "{study}": dataset.StudyInstanceUID,
        "{series}": dataset.SeriesInstanceUID,
        "{instance}": dataset.SOPInstanceUID,
        "{frames}": "1",
        "{bulkdata}": "7FE00010",
        "{workitem}": "1.2.3.77",
    }
    address, kind = f"{gallery.server.url}/workitems?workitem=1.2.3.77", {"Content-Type": JSON}
    created = requests.post(address, json.dumps(creation()), headers=kind, timeout=30)
    assert created.status_code == 201, created.text
    asked = []

    def walk(resource, above: str) -> None:
        path = f"{above}/{resource.get('path')}"
        for method in resource.findall(f"{namespace}method"):
            # Streams are open until somebody ends them; channels are no HTTP.
            if method.get("name") == "GET" and method.get("id") not in ("RetrieveEvents", "OpenEventChannel"):
                for name, value in values.items():
                    path = path.replace(name, value)
                response = gallery.server.get(path, headers={"Accept": "*/*"})
                assert response.status_code == 200, (path, response.text)
                asked.append(path)
        for below in resource.findall(f"{namespace}resource"):
            walk(below, f"{above}/{resource.get('path')}")

    for resource in tree.find(f"{namespace}resources"):
        walk(resource, "")
    assert len(asked) > 20


def test_a_preflight_is_not_a_question_for_capabilities(gallery):
    headers = {
        "Origin": "http://localhost:3000",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "x-a",
    }
    response = requests.options(gallery.server.url + "/studies", headers=headers, timeout=30)
    assert response.status_code == 204
    assert response.headers["Access-Control-Allow-Headers"] == "x-a"
    assert "GET" in response.headers["Access-Control-Allow-Methods"]


def test_dataset_too_large_for_a_document(gallery):
    """A data set that is an attachment answers metadata, frames and rendering like any other."""
    from io import BytesIO

    from pydicom import dcmread

    from tests.made_objects import as_bytes

    dataset = dcmread(BytesIO(gallery.files["CT_small.dcm"]))
    dataset.StudyInstanceUID = dataset.SeriesInstanceUID = "1.2.826.0.1.3680043.8.498.8.1"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.826.0.1.3680043.8.498.8.1.1"
    dataset.private_block(0x0019, "TEST", create=True)
    for number in range(200):
        dataset.add_new(0x00191000 + number, "LT", f"{number} " + "x" * 30_000)
    assert gallery.server.store(as_bytes(dataset)).status_code in (200, 202)
    gallery.datasets["large"] = dataset
    (metadata,) = gallery.get("large", "/metadata", accept=JSON, level="study").json()
    assert metadata["001910C7"]["Value"] == ["199 " + "x" * 30_000]
    assert metadata["7FE00010"]["BulkDataURI"].startswith(gallery.server.url + gallery.path("large"))
    assert "datasetAttachment" not in metadata
    for below, accept in (("/rendered", "image/png"), ("/frames/1", "image/jp2"), ("/thumbnail", "*/*")):
        assert gallery.get("large", below, accept=accept).status_code == 200
