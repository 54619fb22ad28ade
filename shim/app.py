"""The application: `create_app` puts configuration, database and routes together. Start reading here."""

from __future__ import annotations

import orjson
from flask import Flask, Response, current_app, g, request
from werkzeug.exceptions import HTTPException

from dicouch.config import Config
from dicouch.couch.cache import Cache
from dicouch.couch.client import Couch, CouchError, told
from dicouch.couch.known import Register
from dicouch.couch.study_memory import Memory
from dicouch.dicom.pixels.errors import BadParameter, PixelError, TooLarge
from dicouch.errors import BROKEN_BODY, DicomWebError
from dicouch.read.fingerprints import Fingerprints
from dicouch.read.neighbours import Neighbours
from dicouch.read.search.by_extended import Indexes
from dicouch.rewrite import extended
from dicouch.routes import (
    bulkdata,
    capabilities,
    conflicts,
    delete,
    frames,
    metadata,
    rendered,
    thumbnails,
    ui,
    wado_uri,
)
from dicouch.routes import (
    instances as wado,
)
from dicouch.routes import (
    search as qido,
)
from dicouch.routes import (
    store as stow,
)
from dicouch.server import timing
from dicouch.server.proxy import ProxyHeaders
from dicouch.write.headers import Merged
from dicouch.write.pace import Pace
from dicouch.write.shared import Shared

SERVICES = (
    qido,
    wado,
    metadata,
    frames,
    bulkdata,
    rendered,
    thumbnails,
    stow,
    delete,
    wado_uri,
    capabilities,
    conflicts,
)

# Lists of UIDs make queries long; shim/server/gunicorn_conf.py lets longer request lines in, so that this one answers.
LONGEST_QUERY = 128 << 10


def create_app(config: Config | None = None) -> Flask:
    """Return the WSGI application.

    Parameters
    ----------
    config : Config, optional
        Read from the environment when not given.
    """
    config = config or Config.from_environment()
    app = Flask(__name__, static_folder=None)
    app.json.ensure_ascii = False
    app.url_map.strict_slashes = False
    app.wsgi_app = ProxyHeaders(app.wsgi_app)
    couch = Couch(config.couchdb_url, config.couchdb_database)
    couch.observe = timing.observe
    store = config.store(couch)
    app.extensions["dicouch"] = {"config": config, "couch": couch, "bytes": store, "merged": Merged()}
    app.extensions["dicouch"]["studies"] = Memory()
    # Made before gunicorn forks, and shared by its processes.
    app.extensions["dicouch"]["cache"] = cache = Cache()
    app.extensions["dicouch"]["fingerprints"] = Fingerprints(cache)
    app.extensions["dicouch"]["pace"] = Pace(couch)
    app.extensions["dicouch"]["shared"] = Shared(couch)
    app.extensions["dicouch"]["register"] = Register(config.remember)
    app.extensions["dicouch"]["neighbours"] = Neighbours()
    app.extensions["dicouch"]["extended"] = extended.read(config.extended_attributes)
    app.extensions["dicouch"]["indexes"] = Indexes(couch)

    app.before_request(timing.begin)
    app.before_request(remember_client)
    for service in SERVICES:
        app.register_blueprint(service.blueprint, url_prefix=config.prefix or None)
    app.register_blueprint(ui.blueprint)
    if config.prefix:
        app.register_blueprint(ui.blueprint, name="ui_below_prefix", url_prefix=f"{config.prefix}/ui")
        # The URI service answers at the root of the server, too.
        app.register_blueprint(wado_uri.blueprint, name="wado_uri_at_root")
    app.register_error_handler(DicomWebError, answer_error)
    app.register_error_handler(CouchError, lambda problem: answer_error(told(problem)))
    app.register_error_handler(BadParameter, lambda problem: answer_error(DicomWebError(400, str(problem))))
    app.register_error_handler(PixelError, answer_pixels)
    for kind in BROKEN_BODY:
        app.register_error_handler(kind, answer_broken_body)
    app.register_error_handler(HTTPException, answer_http_exception)
    app.register_error_handler(Exception, answer_bug)
    app.after_request(add_cors)
    app.after_request(name_no_content)
    app.after_request(timing.add_header)
    return app


def remember_client() -> None:
    """Keep what every service needs of the request: the DICOMweb root and the client's credentials."""
    if len(request.query_string) > LONGEST_QUERY:
        raise DicomWebError(414, f"the query has {len(request.query_string)} characters, more than {LONGEST_QUERY}")
    prefix = current_app.extensions["dicouch"]["config"].prefix
    g.base = f"{request.scheme}://{request.host}{request.root_path}{prefix}"
    g.authorization = request.headers.get("Authorization")


def answer_error(problem: DicomWebError) -> Response:
    """Answer a request that cannot be served."""
    return Response(orjson.dumps(problem.body), problem.status, problem.headers, content_type="application/json")


def answer_pixels(problem: PixelError) -> Response:
    """Answer that pixels cannot be had in the form that was asked for."""
    return answer_error(DicomWebError(413 if isinstance(problem, TooLarge) else 406, str(problem)))


def answer_broken_body(problem: Exception) -> Response:
    """Answer that the request's body is no HTTP; gunicorn closes the connection."""
    return answer_error(DicomWebError(400, f"the request's body breaks off: {type(problem).__name__}"))


def answer_http_exception(problem: HTTPException) -> Response:
    """Answer what Flask itself refuses (unknown path, method not allowed) in the same form."""
    headers = {"Allow": ", ".join(sorted(problem.valid_methods))} if getattr(problem, "valid_methods", None) else {}
    reason = {404: f"there is no resource {request.path}", 405: f"{request.method} is not allowed here"}
    return answer_error(
        DicomWebError(problem.code or 500, reason.get(problem.code, problem.description or ""), headers)
    )


def answer_bug(problem: Exception) -> Response:
    """Answer an error of ours without its traceback, which goes to the log."""
    current_app.logger.error("%s %s", request.method, request.path, exc_info=problem)
    return answer_error(DicomWebError(500, f"an error of the server ({type(problem).__name__}); its log says more"))


def name_no_content(response: Response) -> Response:
    """Leave out the type of content that is not there (RFC 9110 8.3): Flask says ``text/html`` where nobody chose."""
    if response.status_code == 204:
        response.headers.pop("Content-Type", None)
    return response


def add_cors(response: Response) -> Response:
    """Let viewers of any origin read the answers, errors too."""
    response.headers.setdefault("Access-Control-Allow-Origin", "*")
    response.headers.setdefault(
        "Access-Control-Expose-Headers", "Content-Location, Content-Range, ETag, Location, Server-Timing, Warning"
    )
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        response.headers["Access-Control-Allow-Methods"] = "GET, HEAD, POST, DELETE, OPTIONS"
        asked = request.headers.get("Access-Control-Request-Headers", "Accept, Authorization, Content-Type")
        response.headers["Access-Control-Allow-Headers"] = asked
        response.headers["Access-Control-Max-Age"] = "86400"
    return response
