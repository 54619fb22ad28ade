"""Bytes in the attachment ``object.dcm`` of the instance's document."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dicouch.couch.client import Couch, segment
from dicouch.couch.response import Answer, CouchError
from dicouch.errors import DicomWebError
from dicouch.store import ATTACHMENT
from dicouch.store.ranges import cut_out


def open_attachment(
    couch: Couch,
    document_id: str,
    size: int,
    start: int,
    end: int,
    authorization: str | None = None,
    check: Callable[[str], None] | None = None,
) -> Iterator[bytes]:
    """Yield the bytes of an attachment of `size` bytes from `start` up to `end`; see `dicouch.store.places.Bytes.open`.

    Raises
    ------
    DicomWebError
        404, before the first byte, if the instance is not there any more.
    """
    headers = {"Accept": "*/*"}
    if (start, end) != (0, size):
        if start >= end:
            return iter(())
        headers["Range"] = f"bytes={start}-{end - 1}"
    try:
        path = f"{segment(document_id)}/{ATTACHMENT}"
        answer = couch.request("GET", path, headers=headers, authorization=authorization)
    except CouchError as problem:
        if problem.status == 404:
            raise DicomWebError(404, f"{document_id} has no bytes in the database") from problem
        raise
    if check is not None:
        try:
            check((answer.headers.get("ETag") or "").strip('"'))
        except BaseException:
            answer.close()
            raise
    if "Range" in headers and answer.status != 206:
        return cut_out(answer.chunks(), start, end)  # a proxy in between may drop ranges
    return _Streamed(answer)


class _Streamed:
    """The pieces of an answer; `close` drops its connection even when none was asked for yet."""

    def __init__(self, answer: Answer) -> None:
        self.close = answer.close
        self._pieces = answer.chunks()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._pieces)
