"""The OHIF viewer at ``/ohif``: files of a folder, and the configuration that points it at this server.

`dicouch.scripts.viewer` makes the folder of what npm has; the setting ``OHIF`` names it.
"""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from mimetypes import guess_type
from pathlib import Path

import orjson
from flask import Blueprint, Response, request, send_from_directory
from werkzeug.exceptions import NotFound
from werkzeug.security import safe_join

from dicouch.errors import DicomWebError
from dicouch.services import services

blueprint = Blueprint("ohif", __name__, url_prefix="/ohif")

# Nothing of other sites, nor in their frames. Its decoders are WebAssembly, and make functions of texts.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-eval'{scripts}; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' blob:; font-src 'self' data:; connect-src 'self' data: blob:; "
    "worker-src 'self' blob:; object-src 'self' blob:; frame-src 'self' blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'"
)
KINDS = {".js": "text/javascript", ".wasm": "application/wasm", ".webapp": "application/manifest+json"}
# Names of files that have a digest of their content. A day, as a build can be prepared in another way.
LASTING = re.compile(r"(^|\.)[0-9a-f]{16}\.")
LASTS = 86_400
AT_ROOT = re.compile(r'(href="|src="|PUBLIC_URL="|content=")/(?=assets/|[^"]*\.|")')
INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def link() -> str | None:
    """Return the path of the viewer as the client sees it, None where none is served."""
    return f"{request.root_path}/ohif/" if services().config.ohif else None


@blueprint.get("/", defaults={"path": ""})
@blueprint.get("/<path:path>")
def show(path: str) -> Response:
    """Send a file of the viewer; its own routes, such as ``/ohif/viewer``, are all the same page."""
    folder = services().config.ohif
    if not folder:
        raise DicomWebError(404, "no viewer is served here: make demo installs one, the setting OHIF names its folder")
    if path == "app-config.js":
        return _answer(b"window.config = " + configuration(), "text/javascript")
    if path not in ("", "index.html"):
        try:
            return _file(folder, path)
        except NotFound:
            if "." in path.rpartition("/")[2]:
                raise
    return _page(Path(folder, "index.html").read_text("utf-8"))


def configuration() -> bytes:
    """Return what ``app-config.js`` sets: one data source, this server."""
    root = f"{request.root_path}{services().config.prefix}"
    source = {
        "friendlyName": "dicouch",
        "name": "dicouch",
        "qidoRoot": root,
        "wadoRoot": root,
        "wadoUriRoot": root,
        "qidoSupportsIncludeField": True,
        "supportsFuzzyMatching": True,
        "supportsWildcard": True,
        "imageRendering": "wadors",
        "thumbnailRendering": "thumbnail",
        "thumbnailRequestStrategy": "fetch",
        "enableStudyLazyLoad": True,
        "dicomUploadEnabled": True,
        "bulkDataURI": {"enabled": True},
        "singlepart": "bulkdata,video,pdf",
        "omitQuotationForMultipartRequest": True,
    }
    return orjson.dumps(
        {
            "routerBasename": link(),
            "showStudyList": True,
            "extensions": [],
            "modes": [],
            "customizationService": {},
            "maxNumberOfWebWorkers": 3,
            "showLoadingIndicator": True,
            "showCPUFallbackMessage": True,
            "strictZSpacingForVolumeViewport": True,
            "investigationalUseDialog": {"option": "configure", "days": 30},
            "defaultDataSourceName": "dicouch",
            "dataSources": [
                {
                    "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
                    "sourceName": "dicouch",
                    "configuration": source,
                }
            ],
        },
        option=orjson.OPT_INDENT_2,
    )


def _page(text: str) -> Response:
    """Return the page with the path that it is below."""
    base = link() or "/"
    text = AT_ROOT.sub(lambda found: found[1] + base, text)
    digests = (b64encode(sha256(script.encode()).digest()).decode() for script in INLINE.findall(text))
    return _answer(text.encode(), "text/html", "".join(f" 'sha256-{digest}'" for digest in digests))


def _answer(body: bytes, kind: str, scripts: str = "") -> Response:
    response = Response(body, content_type=f"{kind}; charset=utf-8")
    response.headers["Cache-Control"] = "no-cache"
    response.headers["Content-Security-Policy"] = POLICY.format(scripts=scripts)
    return response


def _file(folder: str, path: str) -> Response:
    """Return a file, packed where the client takes that and it is there."""
    kind = KINDS.get(Path(path).suffix) or guess_type(path)[0] or "application/octet-stream"
    packed = safe_join(folder, f"{path}.gz")
    packs = packed is not None and Path(packed).is_file()
    sent = packs and request.accept_encodings["gzip"] > 0
    lasts = LASTS if LASTING.search(path.rpartition("/")[2]) else None
    response = send_from_directory(folder, f"{path}.gz" if sent else path, mimetype=kind, max_age=lasts)
    if sent:
        response.headers["Content-Encoding"] = "gzip"
        del response.headers["Content-Disposition"]  # which has the name of the packed file
    if packs:
        response.vary.add("Accept-Encoding")
    # Workers have the policy that comes with them (CSP3 4.4).
    response.headers["Content-Security-Policy"] = POLICY.format(scripts="")
    return response
