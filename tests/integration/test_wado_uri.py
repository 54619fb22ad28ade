"""The URI service (PS3.18 9)."""

from io import BytesIO

import numpy as np
import pytest
import requests
from PIL import Image
from pydicom import dcmread

# What depends on the database is tested on both by test_qido_matching.py and test_store_and_retrieve.py.
pytestmark = pytest.mark.one_database("embedded")

EXPLICIT = "1.2.840.10008.1.2.1"


def ask(gallery, name: str, root: str = "", headers: dict | None = None, **query) -> requests.Response:
    dataset = gallery.datasets[name]
    params = {
        "requestType": "WADO",
        "studyUID": dataset.StudyInstanceUID,
        "seriesUID": dataset.SeriesInstanceUID,
        "objectUID": dataset.SOPInstanceUID,
        **query,
    }
    params = {key: value for key, value in params.items() if value is not None}
    return requests.get(root or gallery.server.url, params=params, headers=headers, timeout=60)


BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8"


def roots(gallery) -> list[str]:
    """Return the URLs of the service: at the root of the server and below the prefix, and where Orthanc has it."""
    url, root = gallery.server.url, gallery.server.url.removesuffix("/dicom-web")
    return [url, f"{url}/", f"{root}/", f"{root}/wado", f"{url}/wado", f"{url}/wado/"]


@pytest.mark.parametrize(
    ("name", "accept", "kind"),
    [
        # PS3.18 9.3: rendered is the default; Table 8.7.4-1.
        *(("CT_small.dcm", accept, "image/jpeg") for accept in (None, "*/*", BROWSER, "image/*", "image/jpg", "toto")),
        ("emri_small_jpeg_ls_lossless.dcm", "*/*", "image/jpeg"),
        ("report", "*/*", "text/html; charset=utf-8"),
        ("report", BROWSER, "text/html; charset=utf-8"),
        ("pdf", "*/*", "application/pdf"),
        ("video", "*/*", "video/mp4"),
        ("CT_small.dcm", "image/png", "image/png"),
        # PS3.18 8.7.3.5.2: no transfer-syntax.
        ("CT_small.dcm", "application/dicom", "application/dicom"),
        ("CT_small.dcm", "application/*", "application/dicom"),
        ("JPEG2000.dcm", "application/dicom", "application/dicom"),
    ],
)
def test_what_is_answered_without_a_content_type(gallery, name, accept, kind):
    response = ask(gallery, name, headers={"Accept": accept})
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == kind
    if name == "JPEG2000.dcm":
        assert dcmread(BytesIO(response.content)).file_meta.TransferSyntaxUID == EXPLICIT


def test_a_dicom_file_at_every_root(gallery):
    for root in roots(gallery):
        response = ask(gallery, "CT_small.dcm", root, contentType="application/dicom")
        assert response.status_code == 200, response.text
        assert response.headers["Content-Type"] == "application/dicom"
        assert response.content == gallery.files["CT_small.dcm"]
        assert ask(gallery, "CT_small.dcm", root).headers["Content-Type"] == "image/jpeg"
    response = ask(gallery, "JPEG2000.dcm", contentType="application/dicom")
    dataset = dcmread(BytesIO(response.content))
    assert dataset.file_meta.TransferSyntaxUID == EXPLICIT
    assert np.array_equal(dataset.pixel_array, gallery.datasets["JPEG2000.dcm"].pixel_array)


def test_a_browser_asks_before_a_request_of_another_origin(gallery):
    for root in roots(gallery):
        asked = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "GET"}
        assert requests.options(root, headers=asked, timeout=60).status_code == 204


def test_the_transfer_syntax_asked_for(gallery):
    for syntax in ("1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.5", EXPLICIT):
        response = ask(gallery, "JPEG2000.dcm", contentType="application/dicom", transferSyntax=syntax)
        assert dcmread(BytesIO(response.content)).file_meta.TransferSyntaxUID == syntax
    assert ask(gallery, "JPEG2000.dcm", transferSyntax="*").content == gallery.files["JPEG2000.dcm"]
    refused = ask(gallery, "JPEG2000.dcm", contentType="application/dicom", transferSyntax="1.2.3")
    assert refused.status_code == 406
    assert "1.2.840.10008.1.2.4.91" in refused.json()["reason"]


@pytest.mark.parametrize("kind", ["image/jpeg", "image/png", "image/gif", "image/jp2"])
def test_pictures(gallery, kind):
    response = ask(gallery, "CT_small.dcm", contentType=kind, rows="64", columns="200")
    assert response.headers["Content-Type"] == kind
    assert Image.open(BytesIO(response.content)).size == (64, 64)


def test_window_region_and_frame(gallery):
    response = ask(
        gallery, "CT_small.dcm", contentType="image/png", windowCenter="40", windowWidth="400", region="0.25,0.5,0.5,1"
    )
    dataset = gallery.datasets["CT_small.dcm"]
    values = dataset.pixel_array.astype(float) * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
    expected = np.rint(np.clip((values - 39.5) / 399 + 0.5, 0, 1) * 255)[64:, 32:64]
    assert np.array_equal(np.asarray(Image.open(BytesIO(response.content))), expected)
    frames = [
        ask(gallery, "emri_small_jpeg_ls_lossless.dcm", contentType="image/png", frameNumber=n).content for n in (1, 10)
    ]
    assert frames[0] != frames[1]


def test_other_kinds(gallery):
    assert "Müller" in ask(gallery, "report", contentType="text/html").content.decode()
    assert ask(gallery, "pdf", contentType="application/pdf").content.startswith(b"%PDF")
    assert ask(gallery, "report", contentType="image/jpeg").status_code == 406
    assert (
        ask(gallery, "CT_small.dcm", contentType="image/svg+xml, image/png;q=0.5").headers["Content-Type"]
        == "image/png"
    )


@pytest.mark.parametrize(
    ("query", "status", "named"),
    [
        ({"requestType": "PACS"}, 400, "requestType"),
        ({"requestType": None}, 400, "requestType is missing"),
        ({"requestType": ""}, 400, "requestType"),
        ({"studyUID": None}, 400, "studyUID"),
        ({"objectUID": ""}, 400, "objectUID"),
        ({"objectUID": "a b"}, 400, "object"),
        ({"objectUID": "1.2.3"}, 404, "1.2.3"),
        ({"anonymize": "yes"}, 400, "anonymize"),
        ({"presentationUID": "1.2"}, 400, "presentationUID"),
        ({"charset": "klingon"}, 400, "charset"),
        ({"contentType": "image/png", "frameNumber": "2"}, 400, "frameNumber"),
        ({"contentType": "image/png", "frameNumber": "x"}, 400, "frameNumber"),
        ({"contentType": "image/png", "frameNumber": "00000000123"}, 400, "frameNumber"),
        ({"contentType": "image/png", "rows": "-1"}, 400, "rows"),
        ({"contentType": "image/png", "windowCenter": "1"}, 400, "windowWidth"),
        ({"contentType": "image/png", "region": "0,0,2,1"}, 400, "region"),
        ({"contentType": "image/png", "region": "0,0,1"}, 400, "region"),
        ({"contentType": "image/png", "imageQuality": "200"}, 400, "imageQuality"),
        ({"contentType": "application/dicom, image/png"}, 400, "contentType"),
        ({"contentType": "image/"}, 400, "contentType"),
        ({"contentType": "video/mp4"}, 406, "application/dicom"),
    ],
)
def test_what_is_refused_and_why(gallery, query, status, named):
    response = ask(gallery, "CT_small.dcm", **query)
    assert response.status_code == status, response.text
    assert named in response.json()["reason"]


def test_harmless_parameters(gallery):
    assert ask(gallery, "CT_small.dcm", anonymize="no", charset="utf-8").status_code == 200
