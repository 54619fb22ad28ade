"""Frames of an instance: in which forms they can be had, and their bytes in one of those (PS3.18 8.7.3.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import lru_cache

from dicouch.dicom.errors import PixelError, Unsupported
from dicouch.dicom.media.negotiate import MediaRange, MediaType, choose, parse_media_type
from dicouch.dicom.pixels.decode import can_decode, decode, native_bytes
from dicouch.dicom.pixels.encode import ENCODED, can_encode, encode
from dicouch.dicom.syntaxes import EXPLICIT_LITTLE, OCTETS, PIXELS_BIG, is_native, media_type
from dicouch.errors import DicomWebError, not_acceptable
from dicouch.read.imaging import form_problem, image_of
from dicouch.read.retrieve import Retriever
from dicouch.store.ranges import AHEAD, begun

# A part of an answer before it is opened: headers, size when known, and what yields the bytes, or those from a start
# up to an end.
LazyPart = tuple[dict[str, str], int | None, Callable[..., Iterable[bytes]]]


def choose_frames(
    reader: Retriever, document: dict, ranges: list[MediaRange], *, single: bool, ranged: bool = False
) -> MediaType:
    """Return the media type, with transfer syntax, in which frames are sent (PS3.18 8.7.3.3).

    A `single` one may go without packaging; where a range of it is asked for (`ranged`), it does so if it can.

    Raises
    ------
    DicomWebError
        404 without pixel data; 406 if nothing acceptable can be had, naming what can.
    """
    file = document["file"]
    if not (file.get("frames") or {}).get("count"):
        raise DicomWebError(404, "the instance has no frame")
    if problem := form_problem(file):
        raise DicomWebError(406, problem)
    stored = plain_syntax(file)
    chosen = choose_form(ranges, stored, single=single, ranged=ranged)
    if chosen is None or syntax_of(chosen) in ENCODED and chosen.transfer_syntax != stored:
        # Whether it can be encoded so, only the whole data set tells.
        offered = offers(stored, encodable(reader, document, other_syntaxes(stored)), single)
        chosen = _chosen(ranges, offered, ranged)
        if chosen is None:
            raise not_acceptable(offer for offer in offered if is_honest(offer))
    return chosen


def choose_form(ranges: list[MediaRange], stored: str, *, single: bool, ranged: bool) -> MediaType | None:
    """Return the form as far as the transfer syntax tells in which frames are stored; see `choose_frames`."""
    return _chosen(ranges, offers(stored, other_syntaxes(stored), single), ranged)


def _chosen(ranges: list[MediaRange], offered: list[MediaType], ranged: bool) -> MediaType | None:
    alone = [offer for offer in offered if ranged and not offer.is_multipart]
    return choose(ranges, alone) or choose(ranges, offered)


def offers(stored: str, others: list[str], single: bool) -> list[MediaType]:
    """Return the media types of frames that are stored in one transfer syntax and can be converted to others."""
    offered = forms(media_type(stored), stored, single)
    if not others:
        return stand_ins(stored, single)
    for syntax in others:
        offered += forms(OCTETS if syntax == EXPLICIT_LITTLE else media_type(syntax), syntax, single)
    return offered


def syntax_of(form: MediaType) -> str:
    """Return the transfer syntax of a form that `choose_frames` returned: each names one."""
    return form.transfer_syntax or EXPLICIT_LITTLE


def syntax_in(part: LazyPart) -> str | None:
    """Return the transfer syntax that a part names."""
    return parse_media_type(part[0]["Content-Type"]).transfer_syntax


def plain_syntax(file: dict) -> str:
    """Return the transfer syntax of frames as they are sent without being converted."""
    return file["transferSyntax"] if "fragments" in file["frames"] else EXPLICIT_LITTLE


def is_honest(offer: MediaType) -> bool:
    """Return whether an offer names the parts as what they are, not as octets."""
    return offer.item_type == media_type(syntax_of(offer))


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


def stand_ins(stored: str, single: bool) -> list[MediaType]:
    """Return the media types of frames that cannot be decoded, for who names no transfer syntax, too.

    (PS3.18 8.7.3.3: Explicit VR Little Endian, unless the origin server has the pixel data in compressed form only.)
    """
    alone = [parse_media_type(f"{OCTETS}; transfer-syntax={stored}")] if single else []
    return [replace(form, stands_in=True) for form in (*forms(media_type(stored), stored, single), *alone)]


def other_syntaxes(stored: str) -> list[str]:
    """Return the transfer syntaxes that frames may be converted to, as far as the one they are stored in tells."""
    if is_native(stored):
        return list(ENCODED)
    return [EXPLICIT_LITTLE, *(syntax for syntax in ENCODED if syntax != stored)] if can_decode(stored) else []


def encodable(reader: Retriever, document: dict, syntaxes: list[str]) -> list[str]:
    """Return those of some transfer syntaxes that the frames of an instance can be converted to."""
    try:
        image = image_of(reader, reader.whole(document))
        return [syntax for syntax in syntaxes if syntax == EXPLICIT_LITTLE or can_encode(image, syntax)]
    except Unsupported:
        # An image that does not say what it is goes as it is.
        return [syntax for syntax in syntaxes if syntax == EXPLICIT_LITTLE]


def is_plain(document: dict) -> bool:
    """Return whether a frame is one range of the file, bytes as they are."""
    file = document["file"]
    plain = not file.get("deflated") and "bits" not in (file.get("frames") or {})
    return plain and file["transferSyntax"] not in PIXELS_BIG


def all_frames(
    reader: Retriever, document: dict, chosen: MediaType, ranges: list[MediaRange], base: str
) -> Iterator[LazyPart]:
    """Return all frames of an instance; see `acceptable_frames`."""
    numbers = list(range(1, document["file"]["frames"]["count"] + 1))
    return acceptable_frames(reader, document, numbers, chosen, ranges, base)


def acceptable_frames(
    reader: Retriever, document: dict, numbers: list[int], chosen: MediaType, ranges: list[MediaRange], base: str
) -> Iterator[LazyPart]:
    """Return frames in the form that `choose_frames` chose, the beginning made already; see `frame_parts`.

    Where one of these cannot be decoded and the client names no transfer syntax, all come as they are stored.
    """
    syntax, stored = syntax_of(chosen), plain_syntax(document["file"])
    try:
        return begun(frame_parts(reader, document, numbers, syntax, base), AHEAD, part_size)
    except PixelError:
        if syntax == stored or is_native(stored) or choose(ranges, stand_ins(stored, not chosen.is_multipart)) is None:
            raise
    return frame_parts(reader, document, numbers, stored, base)


def part_size(part: LazyPart) -> int:
    """Return the bytes of a part, as far as they are known."""
    return part[1] or 0


def frame_parts(reader: Retriever, document: dict, numbers: list[int], syntax: str, base: str) -> Iterator[LazyPart]:
    """Yield frames in a transfer syntax, each decoded when it is asked for.

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
    location = "/studies/{}/series/{}/instances/{}/frames/".format(*document["_id"].split(":"))
    kind = OCTETS if syntax == EXPLICIT_LITTLE else media_type(syntax)
    label = f"{kind}; transfer-syntax={syntax}"
    as_stored = syntax == plain_syntax(document["file"])
    image = None if as_stored else image_of(reader, reader.whole(document))
    for number in numbers:
        headers = {"Content-Type": label, "Content-Location": f"{base}{location}{number}"}
        if image is None:
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
