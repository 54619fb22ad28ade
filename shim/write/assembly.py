"""A store request of metadata and bulk data (PS3.18 10.5.1.4): which part belongs to which instance."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, cast
from urllib.parse import urljoin

import orjson

from dicouch.dicom.build import BuildError, Bulk, Scratch, Target, build
from dicouch.dicom.build.instance import string_in
from dicouch.dicom.build.pixels import PIXEL_TAGS, holds_frames, number_of_frames
from dicouch.dicom.errors import CANNOT_UNDERSTAND, MISSING_BULK_DATA, OUT_OF_RESOURCES, DicomError
from dicouch.dicom.json_model import JsonDataset
from dicouch.dicom.media.dicom_xml import MalformedNativeDicom, xml_to_dataset
from dicouch.dicom.media.multipart import CHUNK, MalformedMultipart, ReceivedPart, TooManyParts
from dicouch.dicom.media.negotiate import MalformedMediaType, MediaType, parse_media_type
from dicouch.dicom.part10.model import MAX_DEPTH
from dicouch.errors import DicomWebError
from dicouch.write.outcome import Outcome

DICOM, JSON, XML = "application/dicom", "application/dicom+json", "application/dicom+xml"
METADATA = frozenset((JSON, XML, "application/json"))

METADATA_LIMIT = 64 << 20
"""Bytes of a part of metadata; as Python objects they take ten times as much."""
MAX_PARTS = 1 << 18
"""Most parts of bulk data in a request."""

_FRAME = re.compile(r"(.+)/frames/([1-9][0-9]{0,8})")
_PIXELS = frozenset(f"{tag:08X}" for tag in PIXEL_TAGS)
_OCTETS = MediaType("application", "octet-stream")


@dataclass
class Incomplete:
    """An instance of which not all bulk data have come; its number is that in the metadata of the request, from 1.

    Attributes
    ----------
    missing : set of str
        Locations of which parts are to come.
    frames : int or None
        Number of parts of compressed pixel data; None when only the end of the request shows it.
    pixels : str
        Location of the pixel data, empty if they are none.
    """

    number: int
    dataset: JsonDataset
    media: MediaType
    missing: set[str] = field(default_factory=set)
    frames: int | None = 1
    pixels: str = ""


class Assembly:
    """The instances of one request, each built as soon as its bulk data are complete.

    Relative references are relative to `base`, the URL of the request; `default` is the type of a part without
    Content-Type; large parts are spooled in `folder`.
    """

    def __init__(self, base: str, default: MediaType, max_size: int, max_instances: int, folder: str | None) -> None:
        self.base = base
        self.default = default
        self.max_size = max_size
        self.max_instances = max_instances
        self.folder = folder
        self.scratch = Scratch(folder)
        self._count = 0
        self._too_many = False
        self._parts: dict[str, list[Bulk]] = {}
        self._frames: dict[str, list[Bulk]] = {}
        self._waiting: dict[int, Incomplete] = {}
        self._wanted: dict[str, list[Incomplete]] = {}
        self._used: set[int] = set()

    def take(self, part: ReceivedPart) -> Iterator[ReceivedPart | Outcome]:
        """Take a part of the request; yield the instances that it completes.

        Raises
        ------
        DicomWebError
            400 when the metadata are not what their Content-Type says, 413 when they are too large.
        """
        media = self._media(part)
        if media.essence == DICOM:
            if self._number():
                yield part
            else:
                part.close()
            return
        with part:
            if media.essence not in METADATA:
                ready = self._bulk(part, media)
            elif part.too_large or part.size > METADATA_LIMIT:
                raise DicomWebError(413, f"metadata of {part.size} bytes are larger than the {METADATA_LIMIT} taken")
            elif media.essence == XML:
                try:
                    datasets = [xml_to_dataset(cast(BinaryIO, part.file).read())]
                except MalformedNativeDicom as problem:
                    if self._number():
                        yield Outcome(failure=CANNOT_UNDERSTAND, comment=f"part {part.number}: {problem}")
                    return
                ready = self._metadata(datasets, media)
            else:
                ready = self._metadata(_json(part), media)
        for waiting in ready:
            yield self._finish(waiting)

    @property
    def begun(self) -> bool:
        """Whether metadata of an instance have come."""
        return self._count > 0

    def end(self) -> Iterator[ReceivedPart | Outcome]:
        """Yield what the end of the request leaves: instances without all bulk data, bulk data without instance.

        Raises
        ------
        DicomWebError
            400 when there are no metadata.
        TooManyParts
            When there were more instances than allowed; those are left out.
        """
        if not self.begun and self._parts:
            raise DicomWebError(400, "the request has bulk data and no metadata")
        for waiting in list(self._waiting.values()):
            yield self._finish(waiting)
        if self._too_many:  # the bulk data of those beyond the limit have no metadata either
            raise TooManyParts(f"more than {self.max_instances} instances")
        for location, parts in self._parts.items():
            if not any(bulk.number in self._used for bulk in parts):
                # The comment has 64 characters (PS3.5 6.2, LO); the end of a location says most.
                comment = f"no metadata name the bulk data {location if len(location) < 34 else '..' + location[-31:]}"
                yield Outcome(failure=MISSING_BULK_DATA, comment=comment)

    def _media(self, part: ReceivedPart) -> MediaType:
        if not part.content_type:
            return _OCTETS if "content-location" in part.headers or "content-id" in part.headers else self.default
        try:
            return parse_media_type(part.content_type)
        except MalformedMediaType as problem:
            raise DicomWebError(400, f"part {part.number}: Content-Type: {problem}") from problem

    def _number(self) -> bool:
        """Count an instance; False when the request has more than it may have."""
        self._too_many |= self._count >= self.max_instances
        self._count += not self._too_many
        return not self._too_many

    def _metadata(self, datasets: list, media: MediaType) -> list[Incomplete]:
        ready = []
        for dataset in datasets:
            if not self._number():
                break
            waiting = Incomplete(self._count, dataset, media)
            self._waiting[waiting.number] = waiting
            for is_pixels, uri in _uris(dataset, 0):
                key = self._key(uri)
                waiting.missing.add(key)
                if is_pixels:
                    waiting.pixels = key
            if waiting.pixels:
                try:
                    waiting.frames = number_of_frames(dataset)
                except BuildError:
                    waiting.frames = 1  # building it says what is wrong
            waiting.missing = {key for key in waiting.missing if not self._enough(waiting, key)}
            for key in waiting.missing:
                self._wanted.setdefault(key, []).append(waiting)
            if not waiting.missing:
                ready.append(waiting)
        return ready

    def _bulk(self, part: ReceivedPart, media: MediaType) -> list[Incomplete]:
        location = part.headers.get("content-location", "")
        if not location and "content-id" in part.headers:
            location = "cid:" + part.headers["content-id"].strip().strip("<>")  # RFC 2392
        if len(self._parts) >= MAX_PARTS:
            raise TooManyParts(f"more than {MAX_PARTS} parts of bulk data")
        key = self._key(location) if location else f"part {part.number}, which has no Content-Location"
        if part.too_large or part.size > self.max_size:
            offset, length = -1, part.size
        else:
            file = cast(BinaryIO, part.file)
            offset, length = self.scratch.add(iter(lambda: file.read(CHUNK), b""))
        bulk = Bulk(offset, length, media, 0, part.number)
        self._parts.setdefault(key, []).append(bulk)
        keys = [key]
        if frame := _FRAME.fullmatch(key):
            keys.append(frame[1])
            self._frames.setdefault(frame[1], []).append(Bulk(offset, length, media, int(frame[2]), part.number))
        ready = []
        for name in keys:
            for waiting in self._wanted.get(name, ()):
                if name in waiting.missing and self._enough(waiting, name):
                    waiting.missing.discard(name)
                    if not waiting.missing:
                        ready.append(waiting)
        return ready

    def _find(self, key: str) -> list[Bulk]:
        return self._parts.get(key) or self._frames.get(key, [])

    def _enough(self, waiting: Incomplete, key: str) -> bool:
        found = self._find(key)
        if key != waiting.pixels or not found or holds_frames(found[0]):
            return bool(found)
        return waiting.frames is not None and len(found) >= waiting.frames

    def _key(self, reference: str) -> str:
        """Return a Content-Location or BulkDataURI as an absolute URL (RFC 2557 5), so that both compare."""
        try:
            return urljoin(self.base, reference.strip().strip("<>"))
        except ValueError:
            return reference

    def _finish(self, waiting: Incomplete) -> ReceivedPart | Outcome:
        self._waiting.pop(waiting.number)

        def find(uri: str) -> list[Bulk]:
            found = self._find(self._key(uri))
            self._used.update(bulk.number for bulk in found)
            if any(bulk.offset < 0 for bulk in found):
                raise BuildError(
                    f"bulk data are larger than the {self.max_size} bytes this server takes", OUT_OF_RESOURCES
                )
            return found

        target = Target(self.max_size, self.folder)
        try:
            build(waiting.dataset, waiting.media, find, self.scratch, target)
        except DicomError as problem:
            target.file.close()
            for _pixels, uri in _uris(waiting.dataset, 0):  # the failure is reported once
                self._used.update(bulk.number for bulk in self._find(self._key(uri)))
            return Outcome(
                study=string_in(waiting.dataset, "0020000D"),
                series=string_in(waiting.dataset, "0020000E"),
                instance=string_in(waiting.dataset, "00080018"),
                sop_class=string_in(waiting.dataset, "00080016"),
                failure=problem.failure_reason,
                comment=problem.reason,
                too_large=problem.failure_reason == OUT_OF_RESOURCES,
            )
        except BaseException:
            target.file.close()
            raise
        return ReceivedPart(
            waiting.number, {"content-type": DICOM}, target.file, target.size, target.digest.hexdigest()
        )


def assemble(parts: Iterable[ReceivedPart], assembly: Assembly) -> Iterator[ReceivedPart | Outcome]:
    """Yield the instances of a request, each as soon as it is complete.

    Raises
    ------
    MalformedMultipart
        When the body is broken; after what could be built.
    DicomWebError
        When the metadata cannot be read; likewise.
    """
    problem = None
    try:
        try:
            for part in parts:
                yield from assembly.take(part)
        except (MalformedMultipart, DicomWebError) as broken:
            problem = broken
        if problem is None or assembly.begun:
            yield from assembly.end()
        if problem:
            raise problem
    finally:
        assembly.scratch.file.close()


def _json(part: ReceivedPart) -> list:
    try:
        datasets = orjson.loads(cast(BinaryIO, part.file).read())
    except orjson.JSONDecodeError as problem:
        raise DicomWebError(400, f"part {part.number} is not JSON: {problem}") from problem
    if isinstance(datasets, dict):
        return [datasets]
    if not isinstance(datasets, list):
        raise DicomWebError(400, f"part {part.number} is JSON, and not an array of data sets (PS3.18 F.2)")
    return datasets


def _uris(dataset: object, depth: int) -> Iterator[tuple[bool, str]]:
    """Yield each BulkDataURI of a data set and its items, and whether it is that of its pixel data."""
    if depth > MAX_DEPTH or not isinstance(dataset, dict):
        return
    for name, element in dataset.items():
        if not isinstance(element, dict):
            continue
        if isinstance(element.get("BulkDataURI"), str):
            yield not depth and name.upper() in _PIXELS, element["BulkDataURI"]
        items = element.get("Value") if element.get("vr") == "SQ" else None
        for item in items if isinstance(items, list) else ():
            yield from _uris(item, depth + 1)
