"""Files of every kind in a running server, each with UIDs of its own, and what an answer's parts are."""

from __future__ import annotations

import email
from dataclasses import dataclass, field
from email.message import EmailMessage
from functools import cache
from io import BytesIO

import requests
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file

from tests.made_objects import as_bytes, document, report, segmentation, segmentations, video
from tests.server import Server

# One file at least of every transfer syntax that pydicom's packages hold, and of every kind of pixels.
IMAGES = (
    "CT_small.dcm",
    "MR_small_implicit.dcm",
    "MR_small_bigendian.dcm",
    "image_dfl.dcm",
    "MR_small_RLE.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "JPEG2000.dcm",
    "JPGExtended.dcm",
    "SC_rgb_jpeg_dcmtk.dcm",
    "SC_rgb_jpeg_gdcm.dcm",
    "JPEGLSNearLossless_08.dcm",
    "emri_small_jpeg_ls_lossless.dcm",
    "SC_rgb_rle_2frame.dcm",
    "SC_rgb_small_odd_big_endian.dcm",
    "SC_ybr_full_422_uncompressed.dcm",
    "liver_1frame.dcm",
    "liver_expb_1frame.dcm",
    "examples_palette.dcm",
    "rtdose_expb.dcm",
    "rtdose_rle.dcm",
    "color3d_jpeg_baseline.dcm",
)

VIDEO = b"\0\0\0\x20ftypmp42" + bytes(range(256)) * 300


@dataclass
class Archive:
    """What is stored.

    Attributes
    ----------
    server : Server
    files, datasets : dict
        Part 10 bytes, and what pydicom reads in them, by name.
    """

    server: Server
    files: dict[str, bytes] = field(default_factory=dict)
    datasets: dict[str, Dataset] = field(default_factory=dict)

    def path(self, name: str, level: str = "instance") -> str:
        """Return the resource of a file, or of its series or study."""
        dataset = self.datasets[name]
        path = f"/studies/{dataset.StudyInstanceUID}"
        if level != "study":
            path += f"/series/{dataset.SeriesInstanceUID}"
        return path if level != "instance" else f"{path}/instances/{dataset.SOPInstanceUID}"

    def get(self, name: str, below: str = "", accept: str = "*/*", level: str = "instance", **options):
        """Send a GET for something below a file's resource."""
        headers = {"Accept": accept, **options.pop("headers", {})}
        return self.server.get(self.path(name, level) + below, headers=headers, **options)


@cache
def _files() -> dict[str, bytes]:
    """Return what is stored, made once."""
    files = {}
    for number, name in enumerate(IMAGES):
        dataset = dcmread(get_testdata_file(name, download=False))
        study = "1.2.826.0.1.3680043.8.498.7.1" if number < 2 else f"1.2.826.0.1.3680043.8.498.7.{number}"
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, f"{study}.1"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{study}.1.{number}"
        files[name] = as_bytes(dataset)
    files |= {"report": report(), "pdf": document(), "video": video(VIDEO)}
    files |= {f"seg-{kind}": data for kind, data in segmentations().items()}
    return files | {"seg-rle": segmentation("FRACTIONAL", "1.2.840.10008.1.2.5")}


def fill(server: Server) -> Archive:
    """Store everything."""
    archive = Archive(server, {**_files()})
    archive.datasets = {name: dcmread(BytesIO(data)) for name, data in archive.files.items()}
    response = server.store(*archive.files.values())
    assert response.status_code in (200, 202), response.text
    assert len(response.json()["00081199"]["Value"]) == len(archive.files)
    return archive


def parts_of(response: requests.Response) -> list[tuple[str, bytes, str]]:
    """Return content type, body and Content-Location of each part.

    Cut at the delimiters (RFC 2046 5.1.1): the e-mail parser reads pixels line by line, which takes minutes.
    """
    kind = EmailMessage()
    kind["Content-Type"] = response.headers["Content-Type"]
    assert kind.get_content_maintype() == "multipart", response.headers["Content-Type"]
    delimiter = b"\r\n--" + kind.get_boundary().encode()
    before, *pieces, after = (b"\r\n" + response.content).split(delimiter)
    assert (before, after.strip()) == (b"", b"--")
    found = []
    for piece in pieces:
        assert piece.startswith(b"\r\n")
        head, _, body = piece[2:].partition(b"\r\n\r\n")
        part = email.message_from_bytes(head)
        found.append((part["Content-Type"], body, part["Content-Location"]))
    return found
