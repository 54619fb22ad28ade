"""A STOW-RS client: several files in one streamed request, and what became of each (PS3.18 10.5)."""

import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from dicouch.scripts.connection import CommandError, client_of, reason
from dicouch.scripts.dicomfiles import uids_of

CHUNK = 1 << 18
ATTEMPTS = 3
# Statuses after which the same request may be answered otherwise.
BUSY = (429, 502, 503, 504)
# Seconds to connect, and to wait for an answer: storing waits for the disk.
TIMEOUT = (10, 600)

File = tuple[Path, int]
"""A path and its size."""

STORED, ALREADY, REFUSED = "stored", "already there", "refused"

REFERENCED_SOP_SEQUENCE = "00081199"
FAILED_SOP_SEQUENCE = "00081198"
OTHER_FAILURES_SEQUENCE = "0008119A"
REFERENCED_SOP_INSTANCE_UID = "00081155"
FAILURE_REASON = "00081197"
WARNING_REASON = "00081196"
ERROR_COMMENT = "00000902"
# Failure Reason (0008,1197), PS3.18 I.2.2; the ranges of the first by their first digits.
REASONS = {
    0x0110: "processing failure",
    0x0111: "duplicate SOP Instance",
    0x0117: "invalid SOP Instance UID",
    0x0122: "SOP Class not supported",
    0x0124: "not authorized",
    0x0131: "malformed data set",
    0xC122: "transfer syntax not supported",
}
RANGES = {
    0xA700: "out of resources",
    0xA900: "the data set does not match its SOP Class",
    0xC000: "cannot be understood",
}


@dataclass(frozen=True)
class Outcome:
    """What became of one file.

    Attributes
    ----------
    path : pathlib.Path
    result : str
        `STORED`, `ALREADY` or `REFUSED`.
    reason : str
        Why it was refused, or what the server remarks; empty when there is nothing to say.
    again : bool
        Whether another attempt may go better: the server did not answer, or was too busy.
    """

    path: Path
    result: str
    reason: str = ""
    again: bool = False


class UnreadableFileError(Exception):
    """A file cannot be read, or has become shorter."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class Body:
    """A `multipart/related` request body that reads its files while it is sent.

    Parameters
    ----------
    files : list of tuple of (pathlib.Path, int)
        Paths and sizes.
    sent : callable
        Called with the number of bytes of each piece of a file.
    """

    def __init__(self, files: Sequence[File], sent: Callable[[int], object]) -> None:
        self.files = files
        self.sent = sent
        self.boundary = uuid.uuid4().hex
        self._part = f"--{self.boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        self._end = f"--{self.boundary}--\r\n".encode()

    @property
    def content_type(self) -> str:
        """Value of the request's Content-Type (PS3.18 8.7.3.3)."""
        return f'multipart/related; type="application/dicom"; boundary={self.boundary}'

    def __len__(self) -> int:
        return sum(len(self._part) + size + 2 for _, size in self.files) + len(self._end)

    def __iter__(self) -> Iterator[bytes]:
        for path, size in self.files:
            yield self._part
            yield from self._pieces(path, size)
            yield b"\r\n"
        yield self._end

    def _pieces(self, path: Path, size: int) -> Iterator[bytes]:
        left = size
        try:
            with open(path, "rb", buffering=0) as file:
                while left:
                    piece = file.read(min(CHUNK, left))
                    if not piece:
                        raise UnreadableFileError(path, "became shorter while it was read")
                    left -= len(piece)
                    self.sent(len(piece))
                    yield piece
        except OSError as error:
            # As an OSError it would pass for a broken connection.
            raise UnreadableFileError(path, error.strerror or str(error)) from error


class Client:
    """Sends files to one DICOMweb server; one per thread.

    Parameters
    ----------
    url : str
        DICOMweb root, may carry ``user:password@``.
    sent : callable, optional
        Called with the number of bytes sent of a file, negative when they must be sent again.
    """

    def __init__(self, url: str, sent: Callable[[int], object] | None = None) -> None:
        self.url, self.session = client_of(url)
        self.sent = sent or (lambda count: None)

    def store(self, files: Sequence[File]) -> list[Outcome]:
        """Store files with one request, or with more where the server finds one too large.

        Parameters
        ----------
        files : list of tuple of (pathlib.Path, int)
            Paths and sizes.

        Returns
        -------
        list of Outcome
            One for each file, in any order.

        Raises
        ------
        CommandError
            When the server refuses the login, so that going on is of no use.
        """
        outcomes: list[Outcome] = []
        files = list(files)
        while files:
            try:
                answer = self._post(files)
            except UnreadableFileError as error:
                outcomes.append(Outcome(error.path, REFUSED, error.reason))
                files = [(path, size) for path, size in files if path != error.path]
                continue
            except requests.RequestException as error:
                text = f"the connection broke: {_cause(error)}"
                return outcomes + [Outcome(path, REFUSED, text, again=True) for path, _ in files]
            return outcomes + self._outcomes(answer, files)
        return outcomes

    def _post(self, files: Sequence[File]) -> requests.Response:
        for attempt in range(1, ATTEMPTS + 1):
            counted = 0

            def sent(count: int) -> None:
                nonlocal counted
                counted += count
                self.sent(count)

            body = Body(files, sent)
            headers = {"Content-Type": body.content_type, "Accept": "application/dicom+json"}
            try:
                answer = self.session.post(f"{self.url}/studies", data=body, headers=headers, timeout=TIMEOUT)
            except UnreadableFileError:
                self.sent(-counted)
                raise
            except requests.ConnectionError:
                # Storing the same instance twice does no harm, so a broken connection is tried again.
                if attempt == ATTEMPTS:
                    raise
            else:
                if answer.status_code not in BUSY or attempt == ATTEMPTS:
                    return answer
            self.sent(-counted)
            time.sleep(attempt)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _outcomes(self, answer: requests.Response, files: Sequence[File]) -> list[Outcome]:
        if answer.status_code in (401, 403):
            raise CommandError(f"the server refuses the login ({answer.status_code}): {reason(answer)}")
        dataset = _json(answer)
        if answer.status_code in (200, 202, 400, 409) and dataset is not None:
            return match(dataset, files)
        if answer.status_code == 413 and len(files) > 1:
            self.sent(-sum(size for _, size in files))
            middle = len(files) // 2
            return self.store(files[:middle]) + self.store(files[middle:])
        text = f"{answer.status_code} {reason(answer)}"
        return [Outcome(path, REFUSED, text, again=answer.status_code in BUSY) for path, _ in files]


def match(dataset: dict, files: Sequence[File]) -> list[Outcome]:
    """Read a Store Instances Response (PS3.18 I.2) and say which item means which file.

    Parameters
    ----------
    dataset : dict
        DICOM JSON Model object.
    files : list of tuple of (pathlib.Path, int)
        The files of the request, in its order.

    Returns
    -------
    list of Outcome
        One for each file.
    """
    stored, failed, other = (
        dataset.get(tag, {}).get("Value", [])
        for tag in (REFERENCED_SOP_SEQUENCE, FAILED_SOP_SEQUENCE, OTHER_FAILURES_SEQUENCE)
    )
    remarks = any(WARNING_REASON in item or ERROR_COMMENT in item for item in stored)
    if len(stored) == len(files) and not failed and not other and not remarks:
        return [Outcome(path, STORED) for path, _ in files]
    items: dict[str | None, list[dict]] = {}
    for item in [*stored, *failed]:
        items.setdefault(_value(item, REFERENCED_SOP_INSTANCE_UID), []).append(item)
    outcomes = []
    unknown = []
    claimed = set()
    for path, _ in files:
        uid = _instance_uid(path)
        same = items.get(uid)
        if same:
            claimed.add(uid)
            outcomes.append(_outcome(path, same.pop(0) if len(same) > 1 else same[0]))
        else:
            unknown.append(path)
    # The server may take from the File Meta Information what the data set of a file does not say.
    other = [item for item in failed if _value(item, REFERENCED_SOP_INSTANCE_UID) not in claimed] + other
    # Instances whose identifiers the server could not read come back without them, in the order of the request.
    for index, path in enumerate(unknown):
        if len(other) == len(unknown):
            outcomes.append(Outcome(path, REFUSED, _why(other[index])))
        else:
            outcomes.append(Outcome(path, REFUSED, _why(other[0]) if other else "the answer does not mention it"))
    return outcomes


def _outcome(path: Path, item: dict) -> Outcome:
    if FAILURE_REASON in item:
        return Outcome(path, REFUSED, _why(item))
    comment = str(_value(item, ERROR_COMMENT) or "")
    if comment.startswith("already"):
        return Outcome(path, ALREADY)
    warning = _value(item, WARNING_REASON)
    return Outcome(path, STORED, comment or (f"warning {warning:04X}H" if warning is not None else ""))


def _why(item: dict) -> str:
    code = _value(item, FAILURE_REASON)
    comment = _value(item, ERROR_COMMENT)
    if code is None:
        return comment or "no reason given"
    words = comment or REASONS.get(code) or RANGES.get(code & 0xFF00) or RANGES.get(code & 0xF000) or "refused"
    return f"{words} ({code:04X}H)"


def _value(item: dict, tag: str) -> Any:
    values = item.get(tag, {}).get("Value") or [None]
    return values[0]


def _instance_uid(path: Path) -> str | None:
    """SOP Instance UID of a file, or None where it cannot be read."""
    try:
        return uids_of(path, ["SOPInstanceUID"])[0]
    except ValueError:
        return None


def _json(answer: requests.Response) -> dict | None:
    try:
        body = answer.json()
    except ValueError:
        return None
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    known = (REFERENCED_SOP_SEQUENCE, FAILED_SOP_SEQUENCE, OTHER_FAILURES_SEQUENCE)
    return body if isinstance(body, dict) and any(tag in body for tag in known) else None


def _cause(error: Exception) -> str:
    inner = error.args[0] if error.args else error
    inner = getattr(inner, "reason", None) or inner
    return os.strerror(inner.errno) if isinstance(inner, OSError) and inner.errno else str(inner)[:200]
