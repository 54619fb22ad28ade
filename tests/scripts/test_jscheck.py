"""The JavaScript checks: what a database would refuse or break on later is found in the files."""

import pytest

from dicouch.scripts import jscheck


@pytest.fixture
def folder(tmp_path):
    """A design document with one module on each side, and a function to add files to it."""

    def write(name, source):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, "utf-8")
        return path

    write("lib/render.js", "exports.text = function (value) { return String(value); };\n")
    write("views/lib/keys.js", "exports.key = function (doc) { return doc.n; };\n")
    return tmp_path, write


def messages(folder):
    return [f"{f.path.relative_to(folder).as_posix()}:{f.line}: {f.message}" for f in jscheck.check(folder)]


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("views/a/map.js", "function (doc) { emit(require('views/lib/keys').key(doc), null); }"),
        ("views/a/map.js", "// why\nfunction (doc) {\n  emit(doc._id);\n} // trailing"),
        ("views/a/reduce.js", "_count\n"),
        ("views/a/reduce.js", "function (keys, values) { return sum(values); }"),
        ("lists/l.js", "function (head, req) { send(require('lib/render').text('ü')); }"),
        ("lists/l.js", "function (head, req) { send(require('views/lib/keys').key({n: 1})); }"),
        ("lib/other.js", "var render = require('./render'); exports.x = render.text(require('lib/render'));"),
        ("lib/sub/deep.js", "exports.x = require('../render').text;"),
        ("lib/getter.js", "module.exports = { get a() { return 1; }, 'b': 0x1F, c: 1e3, d: /x/gim };"),
        ("validate_doc_update.js", "function (doc, old) { if (!doc) { throw { forbidden: 'no' }; } }"),
    ],
)
def test_good_source_passes(folder, name, source):
    root, write = folder
    write(name, source)
    assert messages(root) == []


@pytest.mark.parametrize(
    ("name", "source", "place", "part"),
    [
        ("views/a/map.js", "function (doc) {\n  var a = ;\n}\n", "views/a/map.js:2", "SyntaxError"),
        ("lib/bad.js", "exports.a = 1;\nexports.b = (;\n", "lib/bad.js:2", "SyntaxError"),
        ("lists/l.js", "function (head, req) { return 1; }; start()", "lists/l.js:1", "SyntaxError"),
        ("lists/l.js", "send('x')", "lists/l.js:1", "one function expression"),
        ("lists/l.js", "", "lists/l.js:1", "SyntaxError"),
        ("lists/l.js", "function list(head, req) { return 1; }", "lists/l.js:1", "leave the name out"),
        ("lists/l.js", "function (head, req) {\n return head?.a; }", "lists/l.js:2", "`?.`"),
        ("lists/l.js", "function (head, req) {\n return head ?? 1; }", "lists/l.js:2", "`??`"),
        ("lists/l.js", "function (head, req) { return {...head}; }", "lists/l.js:1", "`...`"),
        ("lists/l.js", "function (head, req) { let a = 1; return a; }", "lists/l.js:1", "`let`"),
        ("lists/l.js", "function (head, req) { return (a) => 1; }", "lists/l.js:1", "arrow"),
        ("lists/l.js", "function (head, req) { return `${head}`; }", "lists/l.js:1", "template"),
        ("lists/l.js", "function (head, req) { for (var a of head) { send(a); } }", "lists/l.js:1", "for … of"),
        ("lists/l.js", "function (head, req) { try { send(1); } catch { send(2); } }", "lists/l.js:1", "catch"),
        ("lists/l.js", "function (head, req) { return 10n; }", "lists/l.js:1", "10n"),
        ("lists/l.js", "function (head, req) { return /a/s; }", "lists/l.js:1", "flag"),
        ("lists/l.js", "function (head, req) { return { send() {} }; }", "lists/l.js:1", "method"),
        ("lists/l.js", "function (head = 1, req) { return 1; }", "lists/l.js:1", "default value"),
        ("lists/l.js", "function (head, req) { require('lib/none'); }", "lists/l.js:1", "no module lib/none"),
        ("lists/l.js", "function (head, req) { require('./render'); }", "lists/l.js:1", "only a module"),
        ("lists/l.js", "function (head, req) { require(head); }", "lists/l.js:1", "literal"),
        ("views/a/map.js", "function (doc) { require('lib/render'); }", "views/a/map.js:1", "views/lib"),
        ("views/a/reduce.js", "function (k, v) { require('views/lib/keys'); }", "views/a/reduce.js:1", "reduce"),
        ("views/a/reduce.js", "_counts", "views/a/reduce.js:1", "built-in"),
        ("views/lib/more.js", "exports.a = require('lib/render');", "views/lib/more.js:1", "views/lib"),
        ("lib/up.js", "exports.a = require('../top');", "lib/up.js:1", "leaves"),
    ],
)
def test_bad_source_is_named_with_its_place(folder, name, source, place, part):
    root, write = folder
    write(name, source)
    found = messages(root)
    assert found
    assert found[0].startswith(f"{place}:")
    assert part in found[0]


def test_columns_are_those_of_the_file(folder):
    root, write = folder
    write("lists/l.js", "function (head, req) { 'ü'; let a; }")
    write("shows/s.js", "function (doc, req) { return ]; }")
    columns = {finding.path.stem: finding.column for finding in jscheck.check(root)}
    assert columns == {"l": 29, "s": 30}


def test_nothing_is_run(folder):
    root, write = folder
    write("lib/evil.js", "}), (function () { while (true) {} })(), (function () {")
    write("lists/l.js", "function () {}) && (function () { while (true) {} })(")
    assert len(jscheck.check(root)) == 2


def test_all_findings_of_all_files_are_told(folder):
    root, write = folder
    write("views/a/map.js", "function (doc) { let a; var b = `x`; }")
    write("views/b/map.js", "function (doc) {")
    assert [message.split(":")[0] for message in messages(root)] == ["views/a/map.js"] * 2 + ["views/b/map.js"]
