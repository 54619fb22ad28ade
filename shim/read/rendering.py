"""Which images stand for a resource, and their rendered forms (PS3.18 8.7.4, 10.4.1.1.3, 10.4.1.1.4)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from PIL import Image as Pillow
from pydicom.uid import (
    EncapsulatedCDAStorage,
    EncapsulatedMTLStorage,
    EncapsulatedOBJStorage,
    EncapsulatedPDFStorage,
    EncapsulatedSTLStorage,
)

from dicouch.dicom.media.negotiate import parse_media_type
from dicouch.dicom.pixels.annotate import annotate
from dicouch.dicom.pixels.formats import FORMATS, animate, encode_picture, frame_time
from dicouch.dicom.pixels.geometry import fit
from dicouch.dicom.pixels.icc import profile_of
from dicouch.dicom.pixels.image import Image, numbers, text
from dicouch.dicom.pixels.parameters import Rendering
from dicouch.dicom.pixels.render import picture
from dicouch.dicom.report import as_html, as_text, is_report
from dicouch.dicom.syntaxes import OCTETS, media_type
from dicouch.dicom.waveform import Read, draw, is_waveform
from dicouch.errors import DicomWebError, only_metadata, resource_name
from dicouch.read.imaging import image_of, values_of
from dicouch.read.retrieve import Retriever
from dicouch.rewrite import requests
from dicouch.store import NOWHERE

# Modalities whose instances are no pictures to be looked at first.
_NO_PICTURES = frozenset(
    ("SR", "PR", "KO", "DOC", "SEG", "REG", "RTSTRUCT", "RTPLAN", "RWV", "FID", "AU", "PLAN", "HD")
)
DOCUMENT = "00420011"  # Encapsulated Document
_DOCUMENT_TYPES: dict[str, str] = {
    EncapsulatedPDFStorage: "application/pdf",
    EncapsulatedCDAStorage: "text/xml",
    EncapsulatedSTLStorage: "model/stl",
    EncapsulatedOBJStorage: "model/obj",
    EncapsulatedMTLStorage: "model/mtl",
}
PICTURES = [parse_media_type(name) for name in FORMATS]
PICTURES_AS_PARTS = [parse_media_type(f'multipart/related; type="{name}"') for name in FORMATS]
GIF = parse_media_type("image/gif")
DRAWN = ("image", "waveform")  # the kinds that are rendered as pictures
REPORTS = {"text/html": as_html, "text/plain": as_text}


@dataclass(frozen=True)
class Shot:
    """One frame (its number counts from 1) of an instance (its document and its image)."""

    document: dict
    image: Image
    number: int

    @property
    def path(self) -> str:
        """Return the path of what is rendered, below the DICOMweb root."""
        return "/studies/{}/series/{}/instances/{}/frames/{}".format(*self.document["_id"].split(":"), self.number)

    def picture(self, rendering: Rendering) -> Pillow.Image:
        """Render it."""
        return picture(self.image, self.number, rendering)

    def encode(self, kind: str, rendering: Rendering) -> bytes:
        """Return it rendered, in a media type."""
        made, profile = profile_of(self.image, self.picture(rendering), rendering.profile)
        return encode_picture(made, kind, rendering, profile)


@dataclass(frozen=True)
class Drawing(Shot):
    """The waveforms of an instance; its image has their data set and no frame, and `read` gives their values."""

    read: Read

    @property
    def path(self) -> str:
        return super().path.partition("/frames")[0]

    def picture(self, rendering: Rendering) -> Pillow.Image:
        made = fit(draw(self.image.dataset, self.read), rendering.viewport)
        return annotate(made, self.image, self.number, rendering.annotation)


def kind_of_document(reader: Retriever, document: dict) -> str:
    """Return what an instance is: ``image``, ``waveform``, ``video``, ``document``, ``report`` or nothing of these."""
    frames = document["file"].get("frames") or {}
    if frames.get("video"):
        return "video"
    if frames.get("count"):
        return "image"
    if DOCUMENT in document["file"].get("bulk", {}):
        return "document"
    dataset = reader.whole(document)["dataset"]
    if is_waveform(dataset):
        return "waveform"
    return "report" if is_report(dataset) else ""


def shots(reader: Retriever, document: dict, numbers: list[int] | None = None) -> list[Shot]:
    """Return frames of an instance, all of them when no numbers are given; a drawing of waveforms.

    `DicomWebError` 404 for a frame that is not there, `Unsupported` for what is no image.
    """
    document = reader.whole(document)
    if is_waveform(document["dataset"]) and not document["file"].get("frames"):
        if numbers:
            raise DicomWebError(404, "the instance has no frame: it is a waveform")
        image = Image(document["dataset"], document["file"]["transferSyntax"], 1, lambda _number: b"")
        return [Drawing(document, image, 1, values_of(reader, document))]
    image = image_of(reader, document)
    numbers = numbers or list(range(1, image.count + 1))
    if numbers[-1] > image.count:
        raise DicomWebError(404, f"there is no frame {numbers[-1]}: the instance has {image.count}")
    return [Shot(document, image, number) for number in numbers]


def animation(found: list[Shot], rendering: Rendering) -> bytes:
    """Return frames as an animated image/gif."""
    times = [frame_time(shot.image, shot.number) for shot in found]
    return animate((shot.picture(rendering) for shot in found), times)


def document_type(reader: Retriever, document: dict) -> str:
    """Return the media type of an encapsulated document, as the instance names it (0042,0012), else as its class does.

    (PS3.3 A.45.1, A.45.2, A.85: what each of the classes holds.)
    """
    dataset = reader.whole(document)["dataset"]
    try:
        found = parse_media_type(text(dataset, "00420012").lower())
    except ValueError:
        return _DOCUMENT_TYPES.get(text(dataset, "00080016"), OCTETS)
    # Without its boundary, which the essence does not have, a multipart cannot be read.
    return OCTETS if found.is_multipart else found.essence


def stream_type(document: dict) -> str:
    """Return the media type of a video."""
    return media_type(document["file"]["transferSyntax"])


def rendered_types(reader: Retriever, document: dict, kind: str) -> list[str]:
    """Return the media types in which an instance of a kind can be rendered, the default first (PS3.18 8.7.4)."""
    if kind == "video":
        return [stream_type(document)]
    if kind == "document":
        return [document_type(reader, document)]
    return list(FORMATS) if kind in DRAWN else list(REPORTS) if kind == "report" else []


def representative_instance(reader: Retriever, study: str, series: str | None, instance: str | None) -> dict:
    """Return the document of the instance that stands for a resource, without reading its other instances.

    Of a study the first series of pictures, of a series the instance in the middle; `DicomWebError` 404 without any.
    """
    if series and instance:
        return reader.document(study, series, instance)
    left_out = False
    for one in [series] if series else _series_of(reader, study):
        counted = reader.rows(requests.count_of(study, one))
        if counted and counted[0]["value"]:
            rows = reader.rows(requests.instance_at(study, one, counted[0]["value"] // 2))
            if rows and rows[0]["value"]["file"]["store"] != NOWHERE:
                return reader.document(*rows[0]["id"].split(":"))
            if here := [each for each in reader.instances(study, one, None) if each.is_here]:
                return reader.document(*here[0].id.split(":"))
            left_out = True
    if left_out:
        raise only_metadata(study, series)
    raise DicomWebError(404, f"there is no {resource_name(study, series)}")


def _series_of(reader: Retriever, study: str) -> list[str]:
    def rank(row: dict) -> tuple:
        dataset = row["value"]["dataset"]
        series = numbers(dataset, "00200011")
        return text(dataset, "00080060") in _NO_PICTURES, series[0] if series else math.inf, row["id"]

    return [row["id"].split(":")[1] for row in sorted(reader.rows(requests.series_of(study)), key=rank)]
