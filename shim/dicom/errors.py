"""What goes wrong with DICOM data: one family of errors, so that callers need to know nothing of its members."""

from __future__ import annotations

# Failure reasons: PS3.18 Table I.2-2, which allows the further codes of PS3.7 Annex C. Of A7xx, A9xx and Cxxx the
# server chooses the last digits.
INVALID_VALUE = 0x0106
MISSING_ATTRIBUTE = 0x0120
MISSING_VALUE = 0x0121
OUT_OF_RESOURCES = 0xA700
PIXELS_DO_NOT_FIT = 0xA900
MISSING_BULK_DATA = 0xA922
CANNOT_UNDERSTAND = 0xC000
UNSUPPORTED_SYNTAX = 0xC122


class DicomError(ValueError):
    """Data that cannot be read, written or made.

    `reason` can be shown to the sender; `failure_reason` is for (0008,1197), PS3.18 I.2.2.
    """

    def __init__(self, reason: str, failure_reason: int = CANNOT_UNDERSTAND) -> None:
        super().__init__(reason)
        self.reason = reason
        self.failure_reason = failure_reason


class NoSuchFrame(DicomError):
    """An instance does not have the frame that is asked for."""


class PixelError(ValueError):
    """Pixel data that cannot be decoded, encoded or rendered; the message says why, in words a client can be told."""


class Unsupported(PixelError):
    """Pixel data in a form that nothing here can read or write; another form of the same may be available."""


class TooLarge(PixelError):
    """An answer that would need more memory than one request may take."""


class Busy(RuntimeError):
    """What the machine has no time or memory for just now, and what says nothing of the pixels."""


class BadParameter(ValueError):
    """A query parameter that makes no sense; the message names it."""


def one_line(problem: BaseException) -> str:
    """Return the message of an error of a library, short and on one line."""
    return " ".join(str(problem).split())[:300] or type(problem).__name__
