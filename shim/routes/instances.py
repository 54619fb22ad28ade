"""WADO-RS: retrieve studies, series and instances as Part 10 files (PS3.18 10.4.1.1.1)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import chain

import orjson
from flask import Response, request

from dicouch.couch.response import CouchError
from dicouch.dicom.media.multipart_writer import BodyPart, multipart_content_type, new_boundary, write_multipart
from dicouch.dicom.media.negotiate import MediaRange, parse_media_type
from dicouch.dicom.media.zip_stream import write_zip
from dicouch.errors import DicomWebError, not_acceptable, only_metadata, resource_name
from dicouch.read import instances as files
from dicouch.read.ahead import Ahead, Around
from dicouch.read.frames import LazyPart
from dicouch.read.retrieve import Changed, Retriever, Stored
from dicouch.routes import answers, bulkdata, current
from dicouch.routes.frames import is_unconditional
from dicouch.routes.instance_answers import as_file
from dicouch.services import services
from dicouch.store import ATTACHED
from dicouch.store.peers import STORED
from dicouch.store.ranges import AHEAD, begun

MULTIPART = parse_media_type('multipart/related; type="application/dicom"; transfer-syntax=*')
SINGLE = parse_media_type("application/dicom; transfer-syntax=*")
ZIP = parse_media_type("application/zip")


def retrieve(study: str, series: str | None = None, instance: str | None = None) -> Response:
    """Answer with whole instances, streamed."""
    ranges = current.retrieval_accepted()
    memory, reader = services().memory, current.reader()
    if study and series and instance and STORED in request.headers:
        return as_stored(reader, study, series, instance)
    uids = tuple(uid for uid in (study, series, instance) if uid)
    key = "instances", *uids
    around = Around(memory, reader, study, series) if series else None
    known = in_index(around, instance) if around else None
    if known is None:
        known = memory.recall(study, key, reader.authorization, admitted=True)
    if known and (response := from_memory(reader, known, ranges, uids)):
        return response
    token = memory.token(study)
    found = reader.instances(study, series, instance)
    if all(is_lasting(one, alone=bool(instance)) for one in found):
        size = len(orjson.dumps([one.file for one in found])) + 1000 * len(found)
        memory.remember(study, key, reader.authorization, found, token, size)
    if around and instance and reader.unfixed:
        around.behind(found[0])
    return answer(reader, found, ranges, uids)


def in_index(around: Around, instance: str | None) -> list[Stored] | None:
    """Return an instance, or all of a series, as the index tells; None where that is not known, or not all there is."""
    known = around.known(whole=instance is None)
    if known is None or known.fixed:
        return None
    if instance:
        one = known.found.get(instance)
        return [one] if one and (around.fresh or is_lasting(one, alone=True)) else None
    found = list(known.found.values())
    usable = around.fresh or all(is_lasting(one, alone=False) for one in found)
    return found if known.whole and usable else None


def is_lasting(one: Stored, *, alone: bool) -> bool:
    """Return whether what is known of an instance is of use to the next who asks."""
    # Of an attachment its tag must tell whether it is the same; a corrected one is read in pieces.
    return one.file["store"] != ATTACHED or (alone and bool(one.digest) and one.is_as_stored)


def as_stored(reader: Retriever, study: str, series: str, instance: str) -> Response:
    """Answer with the bytes of an instance as this server has them, for one that replicates its documents."""
    file = reader.document(study, series, instance)["file"]
    # Another server is not asked: two that ask each other would never end.
    pieces = partial(reader.store.open, f"{study}:{series}:{instance}", file, authorization=reader.authorization)
    kind = f"{files.DICOM}; transfer-syntax={file['transferSyntax']}"
    return answers.ranged(
        file["size"], lambda start, end: pieces(start, end, fetch=False), kind, answers.tag_of("stored", file["sha256"])
    )


def from_memory(
    reader: Retriever, known: list[Stored], ranges: list[MediaRange], uids: tuple[str, ...]
) -> Response | None:
    """Answer with instances that are known; None when it takes the database after all."""
    attached = known[0].file["store"] == ATTACHED
    # The request for the bytes tells whether the client may read them, and by its tag whether they are these.
    if not (attached and is_unconditional()) and not services().memory.admits(reader.authorization):
        return None
    reader.expect(known[0].digest if attached and len(uids) == 3 else None)
    try:
        return answer(reader, known, ranges, uids)
    except (Changed, CouchError, DicomWebError):
        reader.expect(None)
        return None


def answer(reader: Retriever, found: list[Stored], ranges: list[MediaRange], uids: tuple[str, ...]) -> Response:
    """Answer with instances that were found.

    Raises
    ------
    Changed
        The one that was known is another by now, or it takes more than its bytes as they are.
    """
    here = [one for one in found if one.is_here]
    if not here:
        raise only_metadata(*uids)
    response = _answer(reader, here, ranges, uids)
    if len(here) < len(found) and response.status_code != 304:
        answers.tell_missing(response, f"the files of {len(found) - len(here)} instances")
    return response


def _answer(reader: Retriever, found: list[Stored], ranges: list[MediaRange], uids: tuple[str, ...]) -> Response:
    syntaxes = list(dict.fromkeys(one.file["transferSyntax"] for one in found))
    kinds = [offer for syntax in syntaxes for offer in files.offers(syntax, multipart=True)]
    if len(uids) == 3:
        kinds += files.offers(syntaxes[0], multipart=False)
    octets = bulkdata.offers(syntaxes)
    chosen = current.negotiated([*kinds, ZIP, *octets], ranges)
    if reader.expected and chosen.transfer_syntax != syntaxes[0]:
        raise Changed
    if chosen in octets:
        try:
            return bulkdata.answer(reader, found, ranges, resource_name(*uids))
        except DicomWebError as problem:
            if problem.status not in (404, 406):
                raise
            raise not_acceptable([*kinds, ZIP]) from problem
    if chosen is ZIP:
        return zipped(reader, found, ranges)
    if not chosen.is_multipart:
        return as_file(reader, found[0], chosen.transfer_syntax, ranges)
    return multipart(reader, found, ranges)


def multipart(reader: Retriever, found: list[Stored], ranges: list[MediaRange]) -> Response:
    """Answer with instances as parts; those that no acceptable transfer syntax can hold are left out, and that is told.

    (PS3.18 Table 10.4.3-1: 206 when the acceptable media types fit some of the instances only.)
    """
    chooser = files.Chooser(ranges)
    fitting = [(one, syntax) for one in found if (syntax := chooser(one.file["transferSyntax"]))]
    chosen = [(one, syntax) for one, syntax in fitting if len(found) == 1 or files.has_bytes(reader, one)] or fitting
    as_stored = all(files.is_kept(one, syntax) for one, syntax in chosen)
    base = current.base_url()
    # Of what is sent: another choice of transfer syntaxes leaves others out.
    tag = answers.tag_of("multipart", *(f"{one.id} {one.tag} {syntax}" for one, syntax in chosen), base)
    if unchanged := answers.unchanged(tag):
        return unchanged
    left_out = answers.LeftOut()
    if as_stored:
        parts: list[LazyPart] = []
        for one, syntax in chosen:
            headers = {"Content-Type": f"{files.DICOM}; transfer-syntax={syntax}", "Content-Location": base + one.path}
            # A corrected file is made when its turn comes, and only then is its size known.
            size = one.file["size"] if one.is_as_stored else None
            parts.append((headers, size, lambda one=one: reader.content(one)[1]()))
        if len(parts) == 1:
            # What is alone is opened now: what can be wrong with it is told instead of an answer.
            headers, size, opener = parts[0]
            body = opener()
            parts = [(headers, size, lambda: body)]
        elif any(one.file["store"] == ATTACHED for one, _syntax in chosen):
            ahead = Ahead([opener for _headers, _size, opener in parts])
            parts = [(headers, size, ahead.opener(number)) for number, (headers, size, _opener) in enumerate(parts)]
        common_syntax = {syntax for _one, syntax in chosen}
        one_syntax = common_syntax.pop() if len(common_syntax) == 1 else None
        response = answers.multipart_answer(files.DICOM, parts, one_syntax, tag)
    elif reader.expected:
        raise Changed
    elif len(chosen) == 1:
        # Alone it can still be refused, and its size is known.
        sent = files.deliver_acceptable(reader, *chosen[0], ranges, multipart=True)
        headers = {"Content-Type": sent.content_type, "Content-Location": base + sent.stored.path}
        part = headers, sent.size, sent.open
        response = answers.multipart_answer(files.DICOM, [part], sent.transfer_syntax, tag)
    else:
        response = converted(reader, chosen, ranges, left_out, base)
    if len(fitting) < len(found):
        answers.tell_missing(response, f"{len(found) - len(fitting)} instances", "in an acceptable transfer syntax ")
    if len(chosen) < len(fitting):
        answers.tell_missing(response, f"{len(fitting) - len(chosen)} instances")
    return left_out.tell(response)


def converted(
    reader: Retriever, chosen: list[tuple[Stored, str]], ranges: list[MediaRange], left_out: answers.LeftOut, base: str
) -> Response:
    """Answer with parts that are made while they are sent, the first ones before the answer begins."""
    sent = _begun(reader, chosen, ranges, left_out)

    def parts() -> Iterator[BodyPart]:
        for one in sent:
            headers = {"Content-Type": one.content_type, "Content-Location": base + one.stored.path}
            yield BodyPart(headers, one.open(), one.size)

    boundary = new_boundary()
    body = answers.ahead_of_status(write_multipart(parts(), boundary))
    return Response(body, content_type=multipart_content_type(files.DICOM, boundary))


def _begun(
    reader: Retriever, chosen: list[tuple[Stored, str]], ranges: list[MediaRange], left_out: answers.LeftOut
) -> Iterator[files.Delivery]:
    """Return instances of which the first ones are there before the answer begins."""
    sent = begun(files.deliver_all(reader, chosen, ranges, left_out.add), AHEAD, lambda one: one.weight)
    first = next(sent, None)
    if first is None:
        raise left_out.problems[0] if len(chosen) == 1 else DicomWebError(406, "none of the instances can be had")
    return chain([first], sent)


def zipped(reader: Retriever, found: list[Stored], ranges: list[MediaRange]) -> Response:
    """Answer with the files in the encoding in which they are stored, one folder a series."""
    if not found:
        raise DicomWebError(404, "there is no instance")
    left_out = answers.LeftOut()
    there = [one for one in found if files.has_bytes(reader, one)] or found
    sent = _begun(reader, [(one, one.file["transferSyntax"]) for one in there], ranges, left_out)
    entries = (("/".join(one.stored.id.split(":")) + ".dcm", one.open()) for one in sent)
    response = Response(answers.ahead_of_status(write_zip(entries)), content_type=str(ZIP))
    if len(there) < len(found):
        answers.tell_missing(response, f"{len(found) - len(there)} instances")
    return left_out.tell(response)
