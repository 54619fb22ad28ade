"""WADO-RS: frames and pixel data (PS3.18 10.4.1.1.6), read by range from where STOW found them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import orjson
from flask import Response, request

from dicouch.couch.response import CouchError
from dicouch.dicom.errors import PixelError
from dicouch.dicom.media.negotiate import (
    MalformedMediaType,
    MediaRange,
    MediaType,
    mixes_dicom_and_rendered,
    parse_accept,
)
from dicouch.dicom.syntaxes import media_type
from dicouch.errors import DicomWebError, resource_name
from dicouch.read.ahead import Around
from dicouch.read.frames import (
    LazyPart,
    acceptable_frames,
    all_frames,
    check_there,
    choose_form,
    choose_frames,
    is_plain,
    part_size,
    plain_syntax,
    syntax_in,
)
from dicouch.read.imaging import form_problem
from dicouch.read.instances import check_bytes
from dicouch.read.retrieve import Changed, Retriever, Stored, stored_in
from dicouch.routes import answers, current
from dicouch.services import services
from dicouch.store import ATTACHED
from dicouch.store.ranges import AHEAD, begun

CONDITIONAL = {"If-Match", "If-None-Match", "If-Range", "Range"}


def retrieve(study: str, series: str, instance: str, frames: str) -> Response:
    """Retrieve frames, as stored, decoded, or encoded without loss."""
    numbers = current.frame_list(frames)
    memory, reader = services().memory, current.reader()
    key = "frames", series, instance
    around = Around(memory, reader, study, series)
    known = around.known(look=len(numbers) == 1)
    one = known.found.get(instance) if known else None
    if one is None or "frames" not in one.file:
        one = memory.recall(study, key, reader.authorization, admitted=True)
    if one is not None and (found := from_memory(reader, one, numbers)):
        return found
    document = reader.document(study, series, instance)
    ranges = current.retrieval_accepted()
    ranged = len(numbers) == 1 and current.wants_range()
    chosen = choose_frames(reader, document, ranges, single=len(numbers) == 1, ranged=ranged)
    one = stored_in(document)
    if is_plain(document) and (one.digest or one.file["store"] != ATTACHED):
        size = len(orjson.dumps(one.file)) + 1000
        memory.remember(study, key, reader.authorization, one, around.token, size)
        if len(numbers) == 1:
            around.behind(one)
    return answer(reader, document, numbers, chosen, ranges)


def from_memory(reader: Retriever, one: Stored, numbers: list[int]) -> Response | None:
    """Answer with frames whose places are known; None when it takes the document after all."""
    attached = one.file["store"] == ATTACHED
    document = {"_id": one.id, "file": one.file, "dataset": {}}
    if attached and len(numbers) > 1:
        return None  # which attachment they are of only the first could tell
    if not one.file.get("frames") or not is_plain(document) or form_problem(one.file):
        return None
    single = len(numbers) == 1
    chosen = choose_as_stored(plain_syntax(one.file), current.accept_told(), single, single and current.wants_range())
    # The request for the bytes tells whether the client may read them, and by its tag whether they are these.
    if chosen is None or not (attached and is_unconditional()) and not services().memory.admits(reader.authorization):
        return None
    reader.expect(one.digest if attached else None)
    try:
        return answer(reader, document, numbers, chosen, [])
    except (Changed, CouchError, DicomWebError):
        reader.expect(None)
        return None


@lru_cache(256)
def choose_as_stored(
    stored: str, told: tuple[tuple[str, ...], tuple[str, ...]], single: bool, ranged: bool
) -> MediaType | None:
    """Return the form of frames, None where it is not the one that they are stored in, or takes their document.

    A viewer says the same thousands of times; `told` is what `dicouch.routes.current.accept_told` returns.
    """
    try:
        ranges = list(parse_accept(*told))
    except MalformedMediaType:
        return None
    chosen = choose_form(ranges, stored, single=single, ranged=ranged)
    if chosen is None or chosen.transfer_syntax != stored or mixes_dicom_and_rendered(ranges):
        return None
    return chosen


def is_unconditional() -> bool:
    """Return whether the answer needs the bytes in any case."""
    return request.method == "GET" and not CONDITIONAL & set(request.headers.keys())


def answer(
    reader: Retriever, document: dict, numbers: list[int], chosen: MediaType, ranges: list[MediaRange]
) -> Response:
    """Answer with frames of an instance."""
    check_there(document, numbers)
    syntax, base = str(chosen.transfer_syntax), current.base_url()
    tag = answers.tag_of(document["_id"], document["file"]["sha256"], numbers, chosen, base)
    if unchanged := answers.unchanged(tag):
        return unchanged
    parts = acceptable_frames(reader, document, numbers, chosen, ranges, base)
    if chosen.is_multipart and syntax == plain_syntax(document["file"]):
        return answers.multipart_answer(media_type(syntax), list(parts), syntax, tag)
    first = next(parts)
    if chosen.is_multipart:
        return answers.streamed(first, parts, syntax_in(first), tag)
    return answers.part_alone(first, tag)


def retrieve_all(study: str, series: str | None = None, instance: str | None = None) -> Response:
    """Answer with all frames of all images of a resource; instances of other kinds have no part in it."""
    ranges = current.retrieval_accepted()
    reader = current.reader()
    found = reader.instances(study, series, instance)
    left_out, base = answers.LeftOut(), current.base_url()

    def all_images() -> Iterator[LazyPart]:
        for one in found:
            try:
                check_bytes(reader, one)
                document = reader.document(*one.id.split(":"))
                if document["file"].get("frames"):
                    chosen = choose_frames(reader, document, ranges, single=False)
                    yield from all_frames(reader, document, chosen, ranges, base)
            except (DicomWebError, PixelError) as problem:
                left_out.add(problem)  # not there any more, or not to be had in an acceptable form

    parts = begun(all_images(), AHEAD, part_size)
    first = next(parts, None)
    if first is None and left_out.problems:
        raise left_out.problems[0]
    if first is None:
        raise DicomWebError(404, f"there are no pixel data in {resource_name(study, series, instance)}")
    return left_out.tell(answers.streamed(first, parts, syntax_in(first) if instance else None), "images")
