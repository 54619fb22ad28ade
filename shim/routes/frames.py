"""WADO-RS: frames and pixel data (PS3.18 10.4.1.1.6), read by range from where STOW found them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

from flask import Blueprint, Response, request

from dicouch.couch.client import CouchError
from dicouch.couch.known import Changed, Register
from dicouch.dicom.media.multipart_writer import BodyPart, multipart_content_type, write_multipart
from dicouch.dicom.media.negotiate import MediaRange, MediaType, choose, parse_media_type
from dicouch.dicom.pixels.decode import can_decode, decode, native_bytes
from dicouch.dicom.pixels.encode import ENCODED, can_encode, encode
from dicouch.dicom.pixels.errors import PixelError, Unsupported
from dicouch.dicom.syntaxes import EXPLICIT_LITTLE, OCTETS, PIXELS_BIG, frame_list, is_native, media_type
from dicouch.errors import DicomWebError
from dicouch.read.imaging import image_of
from dicouch.read.neighbours import Around
from dicouch.read.retrieve import Retriever, Stored, describe, stored_in
from dicouch.routes import common
from dicouch.store.places import ATTACHED, FOLDER

blueprint = Blueprint("frames", __name__)

INSTANCE = "/studies/<study>/series/<series>/instances/<instance>"
CONDITIONAL = {"If-None-Match", "If-Range", "Range"}
# Headers, size when known, and what yields the bytes.
Part = tuple[dict[str, str], int | None, Callable[..., Iterable[bytes]]]


@blueprint.get(INSTANCE + "/frames/<frames>")
def retrieve_frames(study, series, instance, frames):
    """Retrieve frames, as stored, decoded, or encoded without loss."""
    common.check_uids(study=study, series=series, instance=instance)
    numbers = frame_list(frames)
    reader = common.reader()
    # A conditional or partial request may be answered without a look at the attachment.
    one = len(numbers) == 1 and request.method == "GET" and not CONDITIONAL & set(request.headers.keys())
    if one and (known := known_frame(reader, f"{study}:{series}:{instance}", numbers[0])):
        return known
    if not one:
        return answer(reader, reader.document(study, series, instance), numbers)
    keeper = Keeper(common.register(), common.authorization(), accepts())
    what = "frame", keeper.accepted
    # Of one that is known only the form was asked for that nobody had asked for before.
    wanted = not keeper.knows(f"{study}:{series}:{instance}")
    with Around(common.neighbours(), common.reader(), study, series, *what, wanted=wanted) as around:
        return answer(reader, reader.document(study, series, instance), numbers, around, keeper)


def answer(
    reader: Retriever, document: dict, numbers: list[int], around: Around | None = None, keeper: Keeper | None = None
) -> Response:
    """Answer with frames of an instance; keep where those of it and of others lie, if that is enough to know."""
    chosen = choose_frames(reader, document, common.retrieval_accepted(), single=len(numbers) == 1)
    syntax = chosen.transfer_syntax
    base = common.base_url()
    parts = frame_parts(reader, document, numbers, syntax, base)
    check_there(document, numbers)
    tag = common.tag_of(document["_id"], document["file"]["sha256"], numbers, chosen, base)
    if known := common.unchanged(tag):
        return known
    if keeper and is_kept(document, chosen):
        reader.check = keeper.remember(around, stored_in(document), chosen)
    if chosen.is_multipart and syntax == plain_syntax(document["file"]["transferSyntax"]):
        return common.multipart_answer(media_type(syntax), list(parts), syntax, tag)
    first = next(parts)
    return stream([first], parts, chosen, tag=tag) if chosen.is_multipart else common.part_alone(first, tag)


def known_frame(reader: Retriever, document_id: str, number: int) -> Response | None:
    """Answer with a frame of an instance that is known, without its document; None when it takes that.

    See `dicouch.couch.known` for what makes this exact.
    """
    register = common.register()
    key = key_of(document_id, in_folder=True, authorization=common.authorization())
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
        headers, size, pieces = next(frame_parts(reader, known.document, [number], syntax, common.base_url()))
        body = pieces()  # the database has answered, and the tag is the same
    except (Changed, CouchError, DicomWebError):
        reader.check = None
        register.drop(key)
        return None
    part = headers, size, lambda *_whole: body
    tag = common.tag_of(document_id, known.document["file"]["sha256"], [number], chosen, common.base_url())
    if chosen.is_multipart:
        return common.multipart_answer(media_type(syntax), [part], syntax, tag)
    return common.part_alone(part, tag)


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


def is_kept(document: dict, chosen: MediaType) -> bool:
    """Return whether frames of an instance go out as they are stored, so that knowing where they lie is enough."""
    return is_plain(document) and chosen.transfer_syntax == plain_syntax(document["file"]["transferSyntax"])


def accepts() -> Hashable:
    """Return all that negotiation looks at."""
    return tuple(request.headers.getlist("Accept")), tuple(request.args.getlist("accept"))


def is_plain(document: dict) -> bool:
    """Return whether a frame is one range of the file, bytes as they are."""
    file = document["file"]
    plain = not file.get("deflated") and "bits" not in (file.get("frames") or {})
    return plain and file["transferSyntax"] not in PIXELS_BIG


@blueprint.get(INSTANCE + "/pixeldata")
def instance_pixels(study, series, instance):
    """Retrieve all frames of an instance (PS3.18 10.4.1.1.6)."""
    return pixels(study, series, instance)


@blueprint.get("/studies/<study>/series/<series>/pixeldata")
def series_pixels(study, series):
    """Retrieve all frames of a series."""
    return pixels(study, series)


@blueprint.get("/studies/<study>/pixeldata")
def study_pixels(study):
    """Retrieve all frames of a study."""
    return pixels(study)


def pixels(study: str, series: str | None = None, instance: str | None = None) -> Response:
    """Answer with all frames of all images of a resource; instances of other kinds have no part in it."""
    common.check_uids(study=study, series=series, instance=instance)
    ranges = common.retrieval_accepted()
    reader = common.reader()
    documents = (reader.document(*one.id.split(":")) for one in reader.instances(study, series, instance))
    images = (document for document in documents if document["file"].get("frames"))
    document = next(images, None)
    if document is None:
        raise DicomWebError(404, f"there are no pixel data in {describe(study, series, instance)}")
    chosen = choose_frames(reader, document, ranges, single=False)
    base = common.base_url()
    parts = all_frames(reader, document, chosen.transfer_syntax, base)
    first = next(parts)

    def more() -> Iterator[Part]:
        yield from parts
        for following in images:
            try:
                choice = choose_frames(reader, following, ranges, single=False)
                yield from all_frames(reader, following, choice.transfer_syntax, base)
            except (DicomWebError, PixelError):
                continue  # not to be had in an acceptable form

    return stream([first], more(), chosen, one_syntax=instance is not None)


def all_frames(reader: Retriever, document: dict, syntax: str, base: str) -> Iterator[Part]:
    """Yield all frames of an instance; see `frame_parts`."""
    return frame_parts(reader, document, list(range(1, document["file"]["frames"]["count"] + 1)), syntax, base)


def choose_frames(reader: Retriever, document: dict, ranges: list[MediaRange], *, single: bool) -> MediaType:
    """Return the media type, with transfer syntax, in which frames are sent (PS3.18 8.7.3.3).

    Raises
    ------
    DicomWebError
        404 without pixel data; 406 if nothing acceptable can be had, naming what can.
    """
    file = document["file"]
    if not (file.get("frames") or {}).get("count"):
        raise DicomWebError(404, "the instance has no frame")
    stored = plain_syntax(file["transferSyntax"])
    offered = forms(media_type(stored), stored, single)
    for syntax in other_syntaxes(reader, document):
        offered += forms(OCTETS if syntax == EXPLICIT_LITTLE else media_type(syntax), syntax, single)
    chosen = choose(ranges, offered)
    if chosen is None:
        raise common.not_acceptable(list(dict.fromkeys(str(offer) for offer in offered if is_honest(offer))))
    return chosen


def plain_syntax(stored: str) -> str:
    """Return the transfer syntax of frames as they are sent without being converted."""
    return EXPLICIT_LITTLE if is_native(stored) else stored


def is_honest(offer: MediaType) -> bool:
    """Return whether an offer names the parts as what they are, not as octets."""
    return offer.item_type == media_type(offer.transfer_syntax)


def forms(kind: str, syntax: str, single: bool) -> list[MediaType]:
    """Return the media types of frames in one transfer syntax: of their own kind, and as octets."""
    return list(_forms(kind, syntax, single))


@lru_cache(64)
def _forms(kind: str, syntax: str, single: bool) -> tuple[MediaType, ...]:
    multipart = [f'multipart/related; type="{kind}"; transfer-syntax={syntax}']
    if kind != OCTETS:
        # Viewers ask for octets in any transfer syntax, and look at the parts.
        multipart.append(f'multipart/related; type="{OCTETS}"; transfer-syntax={syntax}')
    alone = [f"{kind}; transfer-syntax={syntax}"] if single else []
    return tuple(parse_media_type(text) for text in [*multipart, *alone])


def other_syntaxes(reader: Retriever, document: dict) -> list[str]:
    """Return the transfer syntaxes that frames can be converted to."""
    stored = document["file"]["transferSyntax"]
    if not is_native(stored) and not can_decode(stored):
        return []
    found = [] if is_native(stored) else [EXPLICIT_LITTLE]
    try:
        image = image_of(reader, document)
        found += [syntax for syntax in ENCODED if syntax != stored and can_encode(image, syntax)]
    except Unsupported:
        pass  # an image that does not say what it is goes as it is
    return found


def frame_parts(reader: Retriever, document: dict, numbers: list[int], syntax: str, base: str) -> Iterator[Part]:
    """Yield frames in a transfer syntax; the first is decoded when it is asked for, before the answer begins.

    Parameters
    ----------
    reader : Retriever
    document : dict
        Instance document.
    numbers : list of int
        Frame numbers, from 1, ascending.
    syntax : str
        Transfer syntax UID.
    base : str
        Absolute URL of the DICOMweb root: the answer is made when its request is gone.

    Raises
    ------
    DicomWebError
        404 for a frame that is not there.
    PixelError
        It cannot be decoded.
    """
    check_there(document, numbers)
    stored = document["file"]["transferSyntax"]
    location = "/studies/{}/series/{}/instances/{}/frames/".format(*document["_id"].split(":"))
    kind = OCTETS if syntax == EXPLICIT_LITTLE else media_type(syntax)
    label = f"{kind}; transfer-syntax={syntax}"
    as_stored = syntax == plain_syntax(stored)
    image = None if as_stored else image_of(reader, reader.whole(document))
    for number in numbers:
        headers = {"Content-Type": label, "Content-Location": f"{base}{location}{number}"}
        if as_stored:
            yield headers, *reader.frame(document, number)
            continue
        if syntax == EXPLICIT_LITTLE:
            made = native_bytes(image, decode(image, number))
        else:
            made = encode(image, number, syntax)[0]
        yield headers, len(made), lambda start=0, end=None, made=made: (made[start:end],)


def check_there(document: dict, numbers: list[int]) -> None:
    """Refuse frames that an instance does not have.

    Raises
    ------
    DicomWebError
        404, naming the count.
    """
    count = document["file"]["frames"]["count"]
    if numbers[-1] > count:
        raise DicomWebError(404, f"there is no frame {numbers[-1]}: the instance has {count}")


def stream(
    first: list[Part], rest: Iterator[Part], chosen: MediaType, *, one_syntax: bool = True, tag: str | None = None
) -> Response:
    """Answer with parts that are made while they are sent."""
    boundary = common.boundary_of(tag)
    parts = (BodyPart(headers, pieces(), size) for headers, size, pieces in chain(first, rest))
    kind = parse_media_type(first[0][0]["Content-Type"]).essence
    content_type = multipart_content_type(kind, boundary, chosen.transfer_syntax if one_syntax else None)
    response = Response(write_multipart(parts, boundary), content_type=content_type)
    return common.with_validator(response, tag) if tag else response
