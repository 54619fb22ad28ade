"""WADO-RS: frames and pixel data (PS3.18 10.4.1.1.6), read by range from where STOW found them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass

from flask import Response, request

from dicouch.couch.client import CouchError
from dicouch.couch.known import Changed, Register
from dicouch.dicom.media.negotiate import MediaType
from dicouch.dicom.pixels.errors import PixelError
from dicouch.dicom.syntaxes import media_type
from dicouch.errors import DicomWebError, resource_name
from dicouch.read.frames import LazyPart, all_frames, check_there, choose_frames, frame_parts, is_kept, plain_syntax
from dicouch.read.neighbours import Around
from dicouch.read.retrieve import Retriever, Stored, stored_in
from dicouch.routes import accept, answers, current, validators
from dicouch.routes.frame_list import frame_list
from dicouch.services import services
from dicouch.store import ATTACHED, FOLDER

CONDITIONAL = {"If-None-Match", "If-Range", "Range"}


def retrieve(study: str, series: str, instance: str, frames: str) -> Response:
    """Retrieve frames, as stored, decoded, or encoded without loss."""
    numbers = frame_list(frames)
    reader = current.reader()
    # A conditional or partial request may be answered without a look at the attachment.
    one = len(numbers) == 1 and request.method == "GET" and not CONDITIONAL & set(request.headers.keys())
    if one and (known := known_frame(reader, f"{study}:{series}:{instance}", numbers[0])):
        return known
    if not one:
        return answer(reader, reader.document(study, series, instance), numbers)
    keeper = Keeper(services().register, current.authorization(), accepts())
    what = "frame", keeper.accepted
    # Of one that is known only the form was asked for that nobody had asked for before.
    wanted = not keeper.knows(f"{study}:{series}:{instance}")
    with Around(services().neighbours, current.reader(), study, series, *what, wanted=wanted) as around:
        return answer(reader, reader.document(study, series, instance), numbers, around, keeper)


def answer(
    reader: Retriever, document: dict, numbers: list[int], around: Around | None = None, keeper: Keeper | None = None
) -> Response:
    """Answer with frames of an instance; keep where those of it and of others lie, if that is enough to know."""
    chosen = choose_frames(reader, document, accept.retrieval_accepted(), single=len(numbers) == 1)
    syntax = chosen.transfer_syntax
    base = current.base_url()
    parts = frame_parts(reader, document, numbers, syntax, base)
    check_there(document, numbers)
    tag = validators.tag_of(document["_id"], document["file"]["sha256"], numbers, chosen, base)
    if known := validators.unchanged(tag):
        return known
    if keeper and is_kept(document, chosen):
        reader.check = keeper.remember(around, stored_in(document), chosen)
    if chosen.is_multipart and syntax == plain_syntax(document["file"]["transferSyntax"]):
        return answers.multipart_answer(media_type(syntax), list(parts), syntax, tag)
    first = next(parts)
    if chosen.is_multipart:
        return answers.streamed(first, parts, syntax, tag)
    return answers.part_alone(first, tag)


def known_frame(reader: Retriever, document_id: str, number: int) -> Response | None:
    """Answer with a frame of an instance that is known, without its document; None when it takes that.

    See `dicouch.couch.known` for what makes this exact.
    """
    register = services().register
    key = key_of(document_id, in_folder=True, authorization=current.authorization())
    known = register.get(key) if register.life else None
    if known is None:
        key = key_of(document_id, in_folder=False)
        known = register.get(key)
    chosen = known.forms.get(accepts()) if known else None
    if chosen is None:
        return None

    def check(tag: str) -> None:
        if tag != known.tag:
            raise Changed

    reader.check = check
    try:
        syntax = chosen.transfer_syntax
        headers, size, pieces = next(frame_parts(reader, known.document, [number], syntax, current.base_url()))
        body = pieces()  # the database has answered, and the tag is the same
    except (Changed, CouchError, DicomWebError):
        reader.check = None
        register.drop(key)
        return None
    part = headers, size, lambda *_whole: body
    tag = validators.tag_of(document_id, known.document["file"]["sha256"], [number], chosen, current.base_url())
    if chosen.is_multipart:
        return answers.multipart_answer(media_type(syntax), [part], syntax, tag)
    return answers.part_alone(part, tag)


def key_of(document_id: str, *, in_folder: bool, authorization: str | None = None) -> Hashable:
    """Return under what an instance is known; in a folder only to who read it."""
    return ("frame", document_id, authorization if in_folder else None, in_folder)


@dataclass(frozen=True)
class Keeper:
    """Keeps instances for who asks for frames of one; it can be used when the request is gone.

    Attributes
    ----------
    register : Register
    authorization : str or None
        Of who asks.
    accepted : hashable
        What negotiation looks at.
    """

    register: Register
    authorization: str | None
    accepted: Hashable

    def keep(self, stored: Stored, chosen: MediaType, asked: float) -> None:
        """Keep an instance as the database told it at a time."""
        if stored.file["store"] == ATTACHED:
            self.put(stored, chosen, tag=stored.digest)
        elif self.register.life and stored.file["store"].startswith(FOLDER):
            # A linked file stays when its document is deleted, so that it is there tells nothing.
            self.put(stored, chosen, asked)

    def put(self, stored: Stored, chosen: MediaType, asked: float | None = None, tag: str = "") -> None:
        self.register.put(self.key(stored), stored.id, stored.file, tag, self.accepted, chosen, asked)

    def knows(self, document_id: str) -> bool:
        """Return whether an instance is kept, wherever its bytes are."""
        keys = [key_of(document_id, in_folder=place, authorization=self.authorization) for place in (True, False)]
        return any(self.register.get(key) is not None for key in keys)

    def key(self, stored: Stored) -> Hashable:
        """Return under what an instance is kept."""
        return key_of(stored.id, in_folder=stored.file["store"] != ATTACHED, authorization=self.authorization)

    def remember(self, around: Around, one: Stored, chosen: MediaType) -> Callable[[str], None] | None:
        """Keep an instance, of an attachment once its entity tag is seen, and those like it around it.

        Returns
        -------
        callable or None
            To be told the entity tag of the attachment.
        """

        def keep(stored: Stored, asked: float, _generation: str) -> None:
            alike = stored.file["transferSyntax"] == one.file["transferSyntax"]
            if alike and stored.file.get("frames") and self.register.get(self.key(stored)) is None:
                self.keep(stored, chosen, asked)

        around.read(one, keep)
        if one.file["store"] != ATTACHED:
            self.keep(one, chosen, around.asked)
            return None
        return lambda tag: self.keep(one, chosen, around.asked) if tag and tag == one.digest else None


def accepts() -> Hashable:
    """Return all that negotiation looks at."""
    return tuple(request.headers.getlist("Accept")), tuple(request.args.getlist("accept"))


def retrieve_all(study: str, series: str | None = None, instance: str | None = None) -> Response:
    """Answer with all frames of all images of a resource; instances of other kinds have no part in it."""
    ranges = accept.retrieval_accepted()
    reader = current.reader()
    documents = (reader.document(*one.id.split(":")) for one in reader.instances(study, series, instance))
    images = (document for document in documents if document["file"].get("frames"))
    document = next(images, None)
    if document is None:
        raise DicomWebError(404, f"there are no pixel data in {resource_name(study, series, instance)}")
    chosen = choose_frames(reader, document, ranges, single=False)
    base = current.base_url()
    parts = all_frames(reader, document, chosen.transfer_syntax, base)
    first = next(parts)

    def more() -> Iterator[LazyPart]:
        yield from parts
        for following in images:
            try:
                choice = choose_frames(reader, following, ranges, single=False)
                yield from all_frames(reader, following, choice.transfer_syntax, base)
            except (DicomWebError, PixelError):
                continue  # not to be had in an acceptable form

    return answers.streamed(first, more(), chosen.transfer_syntax if instance else None)
