"""How pixel data fail."""


class PixelError(ValueError):
    """Pixel data that cannot be decoded, encoded or rendered; the message says why, in words a client can be told."""


class Unsupported(PixelError):
    """Pixel data in a form that nothing here can read or write; another form of the same may be available."""


class TooLarge(PixelError):
    """An answer that would need more memory than one request may take."""


class BadParameter(ValueError):
    """A query parameter that makes no sense; the message names it."""


def one_line(problem: BaseException) -> str:
    """Return the message of an error of a library, short and on one line."""
    return " ".join(str(problem).split())[:300] or type(problem).__name__
