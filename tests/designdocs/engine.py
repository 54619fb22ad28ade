"""A JavaScript engine that runs the functions of a design document as CouchDB does: emit, require, lists, updates."""

import json
from pathlib import Path

import quickjs

from dicouch.scripts import designdocs

ROOT = Path(__file__).resolve().parents[2] / "designdocs"

PRELUDE = """
var ddoc = null;
var modules = {};
var emitted = [];
var rows = [];
var sent = '';
var started = null;
function orNull(value) { return value === undefined ? null : value; }
function emit(key, value) { emitted.push({ key: orNull(key), value: orNull(value) }); }
function getRow() { return rows.length ? rows.shift() : null; }
function send(text) { sent += text; }
function start(response) { started = response; }
var provided = [];
function provides(type, make) { provided.push([type, make]); }
function log() {}
function require(path) {
  if (!modules[path]) {
    var source = ddoc;
    path.split('/').forEach(function (part) { source = source[part]; });
    if (typeof source !== 'string') { throw new Error('no module ' + path); }
    var module = { exports: {} };
    modules[path] = module;
    (0, eval)('(function (module, exports, require) {' + source + '\\n})')(module, module.exports, require);
  }
  return modules[path].exports;
}
function compile(source) { return (0, eval)('(' + source + ')'); }
function freeze(value) {
  if (value !== null && typeof value === 'object') {
    Object.freeze(value);
    Object.keys(value).forEach(function (key) { freeze(value[key]); });
  }
  return value;
}
function runMap(source, doc) { emitted = []; compile(source)(freeze(JSON.parse(doc))); return JSON.stringify(emitted); }
function runList(source, given, req) {
  rows = JSON.parse(given); sent = ''; started = null; provided = [];
  var request = JSON.parse(req);
  var tail = compile(source)({}, request);
  var wanted = provided.filter(function (pair) { return pair[0] === request.wanted; })[0];
  if (wanted) { tail = wanted[1](); }
  return JSON.stringify({ body: sent + (tail || ''), started: started, left: rows.length });
}
function runShow(source, req) {
  provided = [];
  var request = JSON.parse(req);
  var answer = compile(source).call(ddoc, null, request);
  var wanted = provided.filter(function (pair) { return pair[0] === request.wanted; })[0];
  return JSON.stringify(wanted ? wanted[1]() : answer);
}
function runUpdate(source, doc, req) { return JSON.stringify(compile(source)(JSON.parse(doc), JSON.parse(req))); }
function runValidate(source, doc, old) {
  try { compile(source)(JSON.parse(doc), JSON.parse(old), {}, {}); } catch (problem) { return JSON.stringify(problem); }
  return 'null';
}
function callModule(path, name, args) { return JSON.stringify(require(path)[name].apply(null, JSON.parse(args))); }
"""


class DesignDocument:
    """One design document on an engine of its own.

    Parameters
    ----------
    name : str
        Folder below ``designdocs/``.
    """

    def __init__(self, name="dicom"):
        self.load(designdocs.load(ROOT / name))

    def load(self, source):
        """Take another design document, on a fresh engine."""
        self.source = source
        self.context = quickjs.Context()
        self.context.set_time_limit(20)
        self.context.eval(PRELUDE)
        self.context.eval(f"ddoc = {json.dumps(self.source)};")

    def _call(self, function, *arguments):
        return json.loads(self.context.get(function)(*arguments))

    def map(self, view, doc):
        """Return the rows that a view emits for a document, as ``[key, value]`` pairs."""
        found = self._call("runMap", self.source["views"][view]["map"], json.dumps(doc))
        return [[row["key"], row["value"]] for row in found]

    def list(self, name, rows, query=None, **params):
        """Run a list over rows; return ``{body, started, left}`` with the body decoded."""
        request = {"query": {**params, **({} if query is None else {"q": json.dumps(query)})}}
        answer = self._call("runList", self.source["lists"][name], json.dumps(rows), json.dumps(request))
        return {**answer, "body": json.loads(answer["body"])}

    def page(self, name, rows, **params):
        """Run a list that provides HTML; return ``{body, started, left}`` with the body as text."""
        request = {"query": params, "userCtx": {"name": None}, "wanted": "html"}
        return self._call("runList", self.source["lists"][name], json.dumps(rows), json.dumps(request))

    def show(self, name, given):
        """Run a show that provides HTML of a JSON body; return its response: ``{code, headers, body}``."""
        request = {"method": "POST", "query": {}, "body": json.dumps(given), "wanted": "html"}
        return self._call("runShow", self.source["shows"][name], json.dumps(request))

    def data(self, name, rows, **params):
        """Run a list that provides JSON."""
        request = {"query": params, "userCtx": {"name": None}, "wanted": "json"}
        answer = self._call("runList", self.source["lists"][name], json.dumps(rows), json.dumps(request))
        return json.loads(answer["body"])

    def post(self, name, doc, request):
        """Run an update with a whole request object; return ``(new document or None, response)``."""
        return self._call("runUpdate", self.source["updates"][name], json.dumps(doc), json.dumps(request))

    def update(self, name, doc, body, document_id):
        """Run an update; return ``(new document or None, response body)``."""
        request = json.dumps({"id": document_id, "body": json.dumps(body), "query": {}})
        written, response = self._call("runUpdate", self.source["updates"][name], json.dumps(doc), request)
        return written, json.loads(response["body"])

    def refusal(self, doc, old=None):
        """Return why ``validate_doc_update`` refuses a document, in the place of another, or None."""
        problem = self._call("runValidate", self.source["validate_doc_update"], json.dumps(doc), json.dumps(old))
        return problem and problem["forbidden"]

    def call(self, module, name, *arguments):
        """Call an exported function of a CommonJS module."""
        return self._call("callModule", module, name, json.dumps(arguments))
