"""The design document's JavaScript for what no list can read: corrected data sets that are attachments."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import orjson

MODULES = ("lib/headers/compare", "lib/metadata/modified", "lib/metadata/metadata")
# quickjs-ng 0.17 hands over no long text that was concatenated (`Unknown quickjs tag: -6`). `render` ends in a
# replacement, which makes its text anew in one piece.
PRELUDE = """
var sources = {};
var modules = {};
function require(path) {
  if (!modules[path]) {
    modules[path] = { exports: {} };
    new Function('module', 'exports', 'require', sources[path])(modules[path], modules[path].exports, require);
  }
  return modules[path].exports;
}
function add(path, source) { sources[path] = source; }
function render(document, base, corrections) {
  return require('lib/metadata/metadata').render(JSON.parse(document), base, JSON.parse(corrections));
}
"""


@cache
def sources() -> dict[str, str]:
    """Return the modules by their names."""
    return {name: (files("dicouch.designdocs") / "dicom" / f"{name}.js").read_text("utf-8") for name in MODULES}


def render(document_id: str, dataset: bytes, base: str, corrections: list[dict]) -> bytes:
    """Return the data set (DICOM JSON Model) of an instance, corrected, as the list ``metadata`` would send it.

    `base` is the absolute URL of the DICOMweb root, `corrections` are values of ``corrections_by_study``.
    """
    # Here, since its import starts a thread, and this module is imported before gunicorn forks.
    from quickjs import Context

    # An engine must stay in one thread. This is rare and the data set large: one for each takes a millisecond.
    context = Context()
    context.eval(PRELUDE)
    add = context.get("add")
    for name, source in sources().items():
        add(name, source)
    document = b'{"_id":%b,"dataset":%b}' % (orjson.dumps(document_id), dataset)
    return context.get("render")(document.decode(), base, orjson.dumps(corrections).decode()).encode()
