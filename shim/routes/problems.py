"""What clients are told when something goes wrong: a status and JSON, or a page in a browser; never a traceback.

The page is made here: it must work while the database, which has the other pages, does not answer.
"""

from __future__ import annotations

from html import escape
from http import HTTPStatus

import orjson
from flask import Flask, Response, current_app, request
from werkzeug.exceptions import HTTPException

from dicouch.couch.response import CouchError, told
from dicouch.dicom.errors import BadParameter, Busy, DicomError, NoSuchFrame, PixelError, TooLarge
from dicouch.dicom.media.negotiate import choose, parse_accept, parse_media_type
from dicouch.errors import DicomWebError
from dicouch.routes import answers

FORMS = [parse_media_type(name) for name in ("application/dicom+json", "application/json", "text/html")]
# What a person can do, by status.
HELP = {
    400: "The address asks for something that cannot be: correct what is named above.",
    401: "Load the page again and sign in with an account of the database.",
    403: "Ask whoever runs this server for the right to do this, or how it is set up.",
    404: "Look at the address for a typing error. What was there before may have been deleted.",
    405: "Go back: the address is there, but not for this.",
    406: "Another form can be had: add ?accept= and one of those named above to the address.",
    409: "Somebody else was faster: load the page again and look at what is there now.",
    412: "Load the page again: it shows what is there now.",
    413: "Ask for less at a time, or whoever runs this server for a higher limit.",
    414: "Ask for less at a time: the address is too long.",
    416: "Load it again from its beginning.",
}
TRY_AGAIN = "Nothing that was stored is lost. Try again in {} seconds; if this stays, tell whoever runs this server."
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>:root {{ color-scheme: light dark }} body {{ font: 1rem/1.5 sans-serif; max-width: 40rem; margin: 3rem auto;
padding: 0 1rem; overflow-wrap: anywhere }}</style></head>
<body><main><h1>{title}</h1>
<p>{reason}</p>
<p>{advice}</p>
<p><a href="{root}/">Home</a> · <a href="{root}/ui/studies">Studies</a></p>
</main></body></html>
"""


def register(app: Flask) -> None:
    """Have an application answer errors."""
    app.register_error_handler(DicomWebError, answer)
    app.register_error_handler(CouchError, lambda problem: answer(told(problem)))
    app.register_error_handler(BadParameter, lambda problem: answer(DicomWebError(400, str(problem))))
    app.register_error_handler(Busy, lambda problem: answer(DicomWebError(503, str(problem), {"Retry-After": "5"})))
    app.register_error_handler(TooLarge, lambda problem: answer(DicomWebError(413, str(problem))))
    app.register_error_handler(PixelError, lambda problem: answer(DicomWebError(406, str(problem))))
    app.register_error_handler(NoSuchFrame, lambda problem: answer(DicomWebError(404, str(problem))))
    app.register_error_handler(DicomError, lambda problem: answer(DicomWebError(406, str(problem))))
    app.register_error_handler(HTTPException, answer_http_exception)
    app.register_error_handler(Exception, answer_bug)


def answer(problem: DicomWebError) -> Response:
    """Answer a request that cannot be served."""
    # What is not there now will be: whoever is told so is told when to ask again (RFC 9110 15.6.4).
    headers = {"Retry-After": "5", **problem.headers} if problem.status == 503 else problem.headers
    shown = wants_page()
    body: str | bytes = page(problem) if shown else orjson.dumps(problem.body)
    kind = "text/html; charset=utf-8" if shown else "application/json"
    response = Response(body, problem.status, headers, content_type=kind)
    if shown:
        response.headers["Content-Security-Policy"] = POLICY
    response.vary.add("Accept")
    return response


def wants_page() -> bool:
    """Return whether a person looks at the answer: a browser likes HTML better than JSON."""
    told = request.headers.getlist("Accept")
    # Java's HttpURLConnection says that it likes HTML best, and that it takes "*", which no browser says.
    if any(name.partition(";")[0].strip() == "*" for value in told for name in value.split(",")):
        return False
    chosen = choose(parse_accept(told), FORMS)
    return chosen is not None and chosen.essence == "text/html"


def page(problem: DicomWebError) -> str:
    """Return the page that says what is wrong, what to do, and where the way goes on."""
    try:
        phrase = HTTPStatus(problem.status).phrase
    except ValueError:
        phrase = problem.body["error"]
    advice = HELP.get(problem.status, "Go back, or on from here.")
    if problem.status >= 500:
        advice = TRY_AGAIN.format(problem.headers.get("Retry-After", "a few"))
    return PAGE.format(
        title=escape(f"{problem.status} {phrase}"),
        reason=escape(problem.reason),
        advice=escape(advice),
        root=escape(request.root_path),
    )


def check_match(response: Response) -> Response:
    """Answer 412 in place of a representation that is none of those that the client named (RFC 9110 13.1.1).

    And 304 in place of any that a client of ``If-None-Match: *`` has (13.1.2).
    """
    if "If-Match" not in request.headers and "If-None-Match" not in request.headers:
        return response
    if answers.is_unmatched(response):
        response.close()
        return answer(DicomWebError(412, "the resource has another entity tag than those of If-Match"))
    if answers.is_known(response):
        response.close()
        return answers.with_validator(Response(status=304), response.get_etag()[0])
    return response


def answer_http_exception(problem: HTTPException) -> Response:
    """Answer what Flask itself refuses (unknown path, method not allowed) in the same form."""
    methods = getattr(problem, "valid_methods", None)
    headers = {"Allow": ", ".join(sorted(methods))} if methods else {}
    status = problem.code or 500
    reasons = {404: f"there is no resource {request.path}", 405: f"{request.method} is not allowed here"}
    return answer(DicomWebError(status, reasons.get(status, problem.description or ""), headers))


def answer_bug(problem: Exception) -> Response:
    """Answer an error of ours without its traceback, which goes to the log."""
    current_app.logger.error("%s %s", request.method, request.path, exc_info=problem)
    return answer(DicomWebError(500, f"an error of the server ({type(problem).__name__}); its log says more"))
