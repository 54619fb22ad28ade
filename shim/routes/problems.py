"""What clients are told when something goes wrong: a status and JSON, never a traceback."""

from __future__ import annotations

import orjson
from flask import Flask, Response, current_app, request
from werkzeug.exceptions import HTTPException

from dicouch.couch.response import CouchError, told
from dicouch.dicom.errors import BadParameter, PixelError, TooLarge
from dicouch.errors import DicomWebError


def register(app: Flask) -> None:
    """Have an application answer errors."""
    app.register_error_handler(DicomWebError, answer)
    app.register_error_handler(CouchError, lambda problem: answer(told(problem)))
    app.register_error_handler(BadParameter, lambda problem: answer(DicomWebError(400, str(problem))))
    app.register_error_handler(TooLarge, lambda problem: answer(DicomWebError(413, str(problem))))
    app.register_error_handler(PixelError, lambda problem: answer(DicomWebError(406, str(problem))))
    app.register_error_handler(HTTPException, answer_http_exception)
    app.register_error_handler(Exception, answer_bug)


def answer(problem: DicomWebError) -> Response:
    """Answer a request that cannot be served."""
    # What is not there now will be: whoever is told so is told when to ask again (RFC 9110 15.6.4).
    headers = {"Retry-After": "5", **problem.headers} if problem.status == 503 else problem.headers
    return Response(orjson.dumps(problem.body), problem.status, headers, content_type="application/json")


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
