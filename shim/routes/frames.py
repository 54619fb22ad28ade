"""WADO-RS: frames and pixel data (PS3.18 10.4.1.1.6), read by range from where STOW found them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import orjson
from flask import Response, request

from dicouch.couch.memory import Memory, Token
from dicouch.couch.response import CouchError
from dicouch.dicom.errors import PixelError
from dicouch.dicom.media.negotiate import MediaRange, MediaType
from dicouch.dicom.syntaxes import media_type
from dicouch.errors import DicomWebError, resource_name
from dicouch.read.ahead import Around, Keep
from dicouch.read.frames import (
    LazyPart,
    acceptable_frames,
    all_frames,
    check_there,
    choose_frames,
    is_kept,
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


@dataclass(frozen=True)
class Located:
    """Where the frames of an instance lie, and how they go to a client.

    Attributes
    ----------
    document : dict
        Instance document without its data set.
    digest : str
        Of the attachment with the bytes: its entity tag.
    chosen : MediaType
        For what the client accepts.
    """

    document: dict
    digest: str
    chosen: MediaType


def retrieve(study: str, series: str, instance: str, frames: str) -> Response:
    """Retrieve frames, as stored, decoded, or encoded without loss."""
    numbers = current.frame_list(frames)
    document_id = f"{study}:{series}:{instance}"
    ranged = len(numbers) == 1 and current.wants_range()
    form = "frames", len(numbers) == 1, ranged, *current.accept_told()
    memory, reader = services().memory, current.reader()
    known = memory.recall(study, (document_id, *form), reader.authorization, admitted=True)
    if known is not None and (found := from_memory(reader, known, numbers)):
        return found
    with Around(memory, current.reader(), study, series, *form, wanted=len(numbers) == 1) as around:
        document = reader.document(study, series, instance)
        ranges = current.retrieval_accepted()
        chosen = choose_frames(reader, document, ranges, single=len(numbers) == 1, ranged=ranged)
        if is_kept(document, chosen):
            keep = keeper(memory, reader.authorization, form, chosen, document["file"]["transferSyntax"])
            one = stored_in(document)
            keep(one, around.token)
            around.read(one, keep)
        return answer(reader, document, numbers, chosen, current.retrieval_accepted())


def keeper(memory: Memory, authorization: str | None, form: tuple, chosen: MediaType, syntax: str) -> Keep:
    """Return what remembers where the frames of instances lie whose transfer syntax is `syntax`."""

    def keep(one: Stored, token: Token) -> None:
        told = (one.digest or one.file["store"] != ATTACHED) and not form_problem(one.file)
        if told and one.file.get("frames") and one.file["transferSyntax"] == syntax:
            located = Located({"_id": one.id, "file": one.file, "dataset": {}}, one.digest, chosen)
            size = len(orjson.dumps(one.file)) + 1000
            memory.remember(one.id.partition(":")[0], (one.id, *form), authorization, located, token, size)

    return keep


def from_memory(reader: Retriever, known: Located, numbers: list[int]) -> Response | None:
    """Answer with frames whose place is known; None when it takes the document after all."""
    attached = known.document["file"]["store"] == ATTACHED
    if attached and len(numbers) > 1:
        return None  # which attachment they are of only the first could tell
    # The request for the bytes tells whether the client may read them, and by its tag whether they are these.
    if not (attached and is_unconditional()) and not services().memory.admits(reader.authorization):
        return None
    reader.expect(known.digest if attached else None)
    try:
        return answer(reader, known.document, numbers, known.chosen, [])
    except (Changed, CouchError, DicomWebError):
        reader.expect(None)
        return None


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
