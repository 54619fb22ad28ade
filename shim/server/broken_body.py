"""What reading a request's body raises when it comes in chunks that are none, or breaks off between two."""

from gunicorn.http.errors import NoMoreData, ParseException

BROKEN_BODY = (NoMoreData, ParseException)
