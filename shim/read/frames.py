"""Frames of an instance: in which forms they can be had, and their bytes in one of those (PS3.18 8.7.3.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

from dicouch.dicom.errors import Unsupported
from dicouch.dicom.media.negotiate import MediaRange, MediaType, choose, parse_media_type
from dicouch.dicom.pixels.decode import can_decode, decode, native_bytes
from dicouch.dicom.pixels.encode import ENCODED, can_encode, encode
from dicouch.dicom.syntaxes import EXPLICIT_LITTLE, OCTETS, PIXELS_BIG, media_type
from dicouch.errors import DicomWebError, not_acceptable
from dicouch.read.imaging import form_problem, image_of
from dicouch.read.retrieve import Retriever

# A part of an answer before it is opened: headers, size when known, and what yields the bytes, or those from a start
# up to an end.
LazyPart = tuple[dict[str, str], int | None, Callable[..., Iterable[bytes]]]


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
    if problem := form_problem(file):
        raise DicomWebError(406, problem)
    stored = plain_syntax(file)
    offered = forms(media_type(stored), stored, single)
    for syntax in other_syntaxes(reader, document):
        offered += forms(OCTETS if syntax == EXPLICIT_LITTLE else media_type(syntax), syntax, single)
    chosen = choose(ranges, offered)
    if chosen is None:
        raise not_acceptable(offer for offer in offered if is_honest(offer))
    return chosen


def syntax_of(form: MediaType) -> str:
    """Return the transfer syntax of a form that `choose_frames` returned: each names one."""
    return form.transfer_syntax or EXPLICIT_LITTLE


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


def other_syntaxes(reader: Retriever, document: dict) -> list[str]:
    """Return the transfer syntaxes that frames can be converted to."""
    stored = plain_syntax(document["file"])
    native = stored == EXPLICIT_LITTLE
    if not native and not can_decode(stored):
        return []
    found = [] if native else [EXPLICIT_LITTLE]
    try:
        image = image_of(reader, document)
        found += [syntax for syntax in ENCODED if syntax != stored and can_encode(image, syntax)]
    except Unsupported:
        pass  # an image that does not say what it is goes as it is
    return found


def is_plain(document: dict) -> bool:
    """Return whether a frame is one range of the file, bytes as they are."""
    file = document["file"]
    plain = not file.get("deflated") and "bits" not in (file.get("frames") or {})
    return plain and file["transferSyntax"] not in PIXELS_BIG


def is_kept(document: dict, chosen: MediaType) -> bool:
    """Return whether frames of an instance go out as they are stored, so that knowing where they lie is enough."""
    return is_plain(document) and chosen.transfer_syntax == plain_syntax(document["file"])


def all_frames(reader: Retriever, document: dict, syntax: str, base: str) -> Iterator[LazyPart]:
    """Yield all frames of an instance; see `frame_parts`."""
    return frame_parts(reader, document, list(range(1, document["file"]["frames"]["count"] + 1)), syntax, base)


def frame_parts(reader: Retriever, document: dict, numbers: list[int], syntax: str, base: str) -> Iterator[LazyPart]:
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
