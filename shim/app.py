"""The application: `create_app` puts services, routes and answers to errors together. Start reading here.

`dicouch.services` has what the routes share, `dicouch.routes.resources` the table of the resources.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Flask, Response

from dicouch import services
from dicouch.config import Config
from dicouch.routes import (
    browse,
    browsers,
    capabilities,
    codings,
    conflict_pages,
    conflicts,
    current,
    health,
    metrics,
    pages,
    problems,
    resources,
    status,
    upload,
    viewer,
    wado_uri,
)
from dicouch.server import counters, origins, timing
from dicouch.server.proxy import ProxyHeaders


class Shim(Flask):
    """Flask's application, of which nothing is a coroutine: it need not look at each function of each request."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function as it is."""
        return func


def create_app(config: Config | None = None) -> Flask:
    """Return the WSGI application; its configuration is read from the environment when none is given."""
    config = config or Config.from_environment()
    app = Shim(__name__, static_folder=None)
    app.url_map.strict_slashes = False
    app.wsgi_app = ProxyHeaders(app.wsgi_app)  # type: ignore[method-assign] # as Flask's documentation says
    ours = services.Services.from_config(config)
    app.extensions[services.NAME] = ours

    app.before_request(timing.begin)
    app.before_request(origins.guard)
    app.before_request(current.remember_client)
    app.before_request(capabilities.tell)
    app.before_request(current.check_path)
    dicomweb = Blueprint("dicomweb", __name__)
    resources.register(dicomweb)
    for blueprint in (dicomweb, wado_uri.blueprint, conflicts.blueprint):
        app.register_blueprint(blueprint, url_prefix=config.prefix or None)
    for blueprint in (module.blueprint for module in (browse, conflict_pages, status, upload, pages)):
        app.register_blueprint(blueprint)
        if config.prefix:
            below = config.prefix + (blueprint.url_prefix or "")
            app.register_blueprint(blueprint, name=f"{blueprint.name}_below_prefix", url_prefix=below)
    app.register_blueprint(viewer.blueprint)
    if config.prefix:
        # The URI service answers at the root of the server, too.
        app.register_blueprint(wado_uri.blueprint, name="wado_uri_at_root")
    app.register_blueprint(health.blueprint)
    app.register_blueprint(metrics.blueprint)
    problems.register(app)
    counted = counters.Counters(rule.endpoint for rule in app.url_map.iter_rules())
    app.extensions[counters.NAME] = counted

    def observe(name: str, seconds: float, again: bool) -> None:
        timing.observe(name, seconds)
        counted.asked(name, seconds, again)

    ours.couch.observe, ours.memory.observe = observe, timing.recalled
    app.teardown_request(current.end_patience)
    app.after_request(add_headers)
    app.after_request(browsers.add_headers)
    app.after_request(origins.add_headers)
    app.after_request(timing.add_header)
    # The last one is the first to see an answer.
    app.after_request(codings.encode)
    app.after_request(problems.check_match)
    app.after_request(current.wait_for_index)
    return app


def add_headers(response: Response) -> Response:
    """Say nothing of the type of no content (RFC 9110 8.3)."""
    if response.status_code == 204:
        # Flask says ``text/html`` where nobody chose.
        response.headers.pop("Content-Type", None)
    return response
