"""WADO-RS: retrieve studies, series and instances as Part 10 files (PS3.18 10.4.1.1.1)."""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from flask import Response, request

from dicouch.couch import known
from dicouch.couch.client import CouchError
from dicouch.dicom.media.multipart_writer import BodyPart, multipart_content_type, new_boundary, write_multipart
from dicouch.dicom.media.negotiate import MediaRange, parse_media_type
from dicouch.dicom.media.zip_stream import write_zip
from dicouch.errors import DicomWebError
from dicouch.read import instances as files
from dicouch.read.ahead import Ahead
from dicouch.read.neighbours import Around, Keep
from dicouch.read.retrieve import Retriever, Stored
from dicouch.routes import accept, answers, current, validators
from dicouch.routes.instance_answers import as_file
from dicouch.services import services
from dicouch.store import ATTACHED, LINK

MULTIPART = parse_media_type('multipart/related; type="application/dicom"; transfer-syntax=*')
SINGLE = parse_media_type("application/dicom; transfer-syntax=*")
ZIP = parse_media_type("application/zip")


def retrieve(study: str, series: str | None = None, instance: str | None = None) -> Response:
    """Answer with whole instances, streamed."""
    ranges = accept.retrieval_accepted()
    reader = current.reader()
    uids = tuple(uid for uid in (study, series, instance) if uid)
    if instance and (found := known_instance(reader, ":".join(uids))):
        try:
            return answer(reader, found, ranges, uids)
        except (known.Changed, CouchError, DicomWebError):
            reader.check = None
            services().register.drop(key_of(found[0].id, reader.authorization))
    if not instance or not services().register.life:
        return answer(reader, reader.instances(study, series, instance), ranges, uids)
    with Around(services().neighbours, current.reader(), study, series, "instance") as around:
        found = reader.instances(study, series, instance)
        if not found[0].changes:
            keep = keeper(services().register, reader.authorization)
            keep(found[0], around.asked, around.generation)
            if reader.unfixed:
                around.read(found[0], keep)
    return answer(reader, found, ranges, uids)


def answer(reader: Retriever, found: list[Stored], ranges: list[MediaRange], uids: tuple[str, ...]) -> Response:
    """Answer with instances that were found.

    Raises
    ------
    Changed
        The one that was known is another by now, or it takes more than its bytes as they are.
    """
    syntaxes = list(dict.fromkeys(one.file["transferSyntax"] for one in found))
    kinds = [offer for syntax in syntaxes for offer in files.offers(syntax, multipart=True)]
    if len(uids) == 3:
        kinds += files.offers(syntaxes[0], multipart=False)
    chosen = accept.negotiated([*kinds, ZIP], ranges)
    if reader.check and chosen.transfer_syntax != syntaxes[0]:
        raise known.Changed
    if chosen is ZIP:
        return zipped(reader, found, ":".join(uids))
    if not chosen.is_multipart:
        return as_file(reader, found[0], chosen.transfer_syntax)
    return multipart(reader, found, ranges)


def keeper(register: known.Register, authorization: str | None) -> Keep:
    """Return what keeps an instance for a while; it can be used when the request is gone."""

    def keep(one: Stored, asked: float, generation: str) -> None:
        # A linked file stays when its document is deleted, so that it is there tells nothing.
        if not one.file["store"].startswith(LINK):
            key = key_of(one.id, authorization)
            register.put(key, one.id, one.file, generation, "digest", one.digest, read=asked)

    return keep


def key_of(document_id: str, authorization: str | None) -> Hashable:
    """Return under what a whole instance is known, to who read it."""
    return ("instance", document_id, authorization)


def known_instance(reader: Retriever, document_id: str) -> list[Stored] | None:
    """Return an instance that this client just read: a file that is there, or an attachment whose tag is to be checked.

    See `dicouch.couch.known` for what makes that exact.
    """
    entry = services().register.get(key_of(document_id, reader.authorization))
    if entry is None or entry.tag != known.generation():
        return None
    file, digest = entry.document["file"], entry.forms["digest"]
    if file["store"] == ATTACHED:
        # A conditional or partial request may be answered without a look at the attachment.
        if not digest or request.method != "GET" or {"If-None-Match", "Range"} & set(request.headers.keys()):
            return None

        def check(tag: str) -> None:
            if tag != digest:
                raise known.Changed

        reader.check = check
    elif reader.store.locate(file) is None:
        services().register.drop(key_of(document_id, reader.authorization))
        return None
    return [Stored(document_id, file, digest=digest)]


def multipart(reader: Retriever, found: list[Stored], ranges: list[MediaRange]) -> Response:
    """Answer with instances as parts; those that no acceptable transfer syntax can hold are left out, and that is told.

    (PS3.18 Table 10.4.3-1: 206 when the acceptable media types fit some of the instances only.)
    """
    chooser = files.Chooser(ranges)
    chosen = [(one, syntax) for one in found if (syntax := chooser(one.file["transferSyntax"]))]
    as_stored = all(one.file["transferSyntax"] == syntax for one, syntax in chosen)
    base = current.base_url()
    # Of what is sent: another choice of transfer syntaxes leaves others out.
    tag = validators.tag_of("multipart", *(f"{one.id} {one.tag} {syntax}" for one, syntax in chosen), base)
    if unchanged := validators.unchanged(tag):
        return unchanged
    if as_stored:
        parts = []
        for one, syntax in chosen:
            headers = {"Content-Type": f"{files.DICOM}; transfer-syntax={syntax}", "Content-Location": base + one.path}
            # A corrected file is made when its turn comes, and only then is its size known.
            size = None if one.changes else one.file["size"]
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
    elif reader.check:
        raise known.Changed
    elif len(chosen) == 1:
        # Alone it can still be refused, and its size is known.
        sent = files.deliver(reader, *chosen[0])
        headers = {"Content-Type": sent.content_type, "Content-Location": base + sent.stored.path}
        part = headers, sent.size, sent.open
        response = answers.multipart_answer(files.DICOM, [part], sent.transfer_syntax, tag)
    else:
        response = converted(reader, chosen, base)
    if len(chosen) < len(found):
        response.status_code = 206
        missing = len(found) - len(chosen)
        answers.warn(response, f"{missing} instances cannot be had in an acceptable transfer syntax and are left out")
    return response


def converted(reader: Retriever, chosen: list[tuple[Stored, str]], base: str) -> Response:
    """Answer with parts that are made while they are sent."""

    def parts() -> Iterator[BodyPart]:
        for sent in files.deliver_all(reader, chosen):
            headers = {"Content-Type": sent.content_type, "Content-Location": base + sent.stored.path}
            yield BodyPart(headers, sent.open(), sent.size)

    boundary = new_boundary()
    return Response(write_multipart(parts(), boundary), content_type=multipart_content_type(files.DICOM, boundary))


def zipped(reader: Retriever, found: list[Stored], name: str) -> Response:
    """Answer with the files in the encoding in which they are stored, one folder a series."""
    if not found:
        raise DicomWebError(404, "there is no instance")

    def entries() -> Iterator[tuple[str, Iterator[bytes]]]:
        for one in found:
            yield "/".join(one.id.split(":")) + ".dcm", reader.content(one)[1]()

    response = Response(write_zip(entries()), content_type=str(ZIP))
    safe = "".join(character if character.isalnum() or character in ".-" else "_" for character in name)
    response.headers["Content-Disposition"] = f'attachment; filename="{safe}.zip"'
    return response
