"""Checking the JavaScript of a design document before any database sees it.

A database accepts a broken function and fails when it is first used (Apache CouchDB compiles only maps and
reduces on arrival, the embedded database nothing). Three checks, all of them on the files, so that a finding
carries its place:

- syntax, by compiling with QuickJS, which is one of CouchDB's own engines;
- ES5: CouchDB on SpiderMonkey passes every function through a parser of ES2017 and refuses what is newer
  (`?.`, `??`, object spread); ES5 is what all engines share;
- `require('...')` names a module that the function can see where it runs.
"""

import functools
import os
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import quickjs
import tree_sitter
import tree_sitter_javascript

from dicouch.couch.designs import VIEW_TABLES, is_source, shares

BUILTIN_REDUCES = ("_count", "_sum", "_stats")
FUNCTION_FOLDERS = ("lists", "shows", "updates", "filters")
FUNCTION_FILES = ("validate_doc_update", "rewrites")
# Nodes of the syntax tree that ES5 does not have, with what a person calls them.
NOT_ES5 = {
    "optional_chain": "optional chaining `?.`",
    "??": "the operator `??`",
    "??=": "the operator `??=`",
    "||=": "the operator `||=`",
    "&&=": "the operator `&&=`",
    "**": "the operator `**`",
    "**=": "the operator `**=`",
    "spread_element": "spread `...`",
    "rest_pattern": "a rest parameter `...`",
    "lexical_declaration": "`let` and `const`",
    "arrow_function": "an arrow function",
    "template_string": "a template string",
    "class": "a class",
    "class_declaration": "a class",
    "async": "an async function",
    "await_expression": "`await`",
    "generator_function": "a generator",
    "generator_function_declaration": "a generator",
    "yield_expression": "`yield`",
    "object_pattern": "destructuring",
    "array_pattern": "destructuring",
    "assignment_pattern": "a default value",
    "shorthand_property_identifier": "a shorthand property",
    "computed_property_name": "a computed property name",
    "import": "`import`",
    "import_statement": "`import`",
    "export_statement": "`export`",
    "meta_property": "`new.target`",
    "of": "`for … of`",
}
NEW_NUMBER = re.compile(r"[n_]$|_|^0[bBoO]")

_PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_javascript.language()))


@dataclass(frozen=True, order=True)
class Finding:
    """One thing wrong in one file; `line` and `column` count from 1."""

    path: Path
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}: {self.message}"


def check(folder: str | os.PathLike) -> list[Finding]:
    """Check every JavaScript file of a design document.

    Parameters
    ----------
    folder : pathlib.Path
        The document's folder.

    Returns
    -------
    list of Finding
        Empty when there is nothing wrong; ordered by file and place.
    """
    folder = Path(folder)
    files = {}
    for path in sorted(folder.rglob("*.js")):
        if path.is_file() and is_source(path, folder):
            files[path.relative_to(folder).with_suffix("").as_posix()] = path
    modules = {field for field in files if not is_function(field)}
    tables = [path.stem for path in (folder / "tables").glob("*.json")]
    for name, shared in shares(folder):
        other = folder.parent / name
        found = [*other.glob(f"{shared}.*"), *(other / shared).rglob("*.js*")]
        modules |= {each.relative_to(other).with_suffix("").as_posix() for each in found if each.suffix == ".js"}
        tables += [each.stem for each in found if each.suffix == ".json"]
    modules |= {place + name for name in tables for place in ("tables/", VIEW_TABLES)}
    findings = []
    for field, path in files.items():
        source = path.read_text("utf-8")
        if field.endswith("/reduce") and source.strip().startswith("_"):
            if source.strip() not in BUILTIN_REDUCES:
                known = ", ".join(BUILTIN_REDUCES)
                findings.append(Finding(path, 1, 1, f"{source.strip()} is not one of the built-in reduces {known}"))
            continue
        findings.extend(_check_source(field, path, source, frozenset(modules)))
    return sorted(set(findings))


def is_function(field: str) -> bool:
    """Tell whether a field (`views/x/map`) holds one function expression; otherwise it is a CommonJS module."""
    parts = field.split("/")
    if parts[0] == "views":
        return len(parts) == 3 and parts[1] != "lib" and parts[2] in ("map", "reduce")
    return len(parts) == 2 and parts[0] in FUNCTION_FOLDERS or field in FUNCTION_FILES


@functools.cache
def _check_source(field: str, path: Path, source: str, modules: frozenset[str]) -> list[Finding]:
    function = is_function(field)
    prefix, suffix = ("(", "\n)") if function else ("(function (module, exports, require) {", "\n})")
    broken = syntax_error(source, prefix, suffix)
    if broken:
        line, column, message = broken
        return [Finding(path, line, column, message)]
    tree = _PARSER.parse(f"{prefix}{source}{suffix}".encode())
    expression = _only_function(tree.root_node)
    if expression is None:
        wrong = "must hold one function expression: function (…) { … }" if function else "closes a brace too many"
        return [Finding(path, 1, 1, f"this file {wrong}")]
    findings = []
    lines = source.encode().split(b"\n")

    def found(node: tree_sitter.Node, message: str) -> None:
        row, column = node.start_point
        before = lines[row][: column - (len(prefix) if row == 0 else 0)]
        findings.append(Finding(path, row + 1, len(before.decode(errors="ignore")) + 1, message))

    if function and expression.child_by_field_name("name") is not None:
        found(expression, "a function with a name does not compile in CouchDB: leave the name out")
    for node in _walk(tree.root_node):
        newer = _newer_than_es5(node)
        if newer:
            found(node, f"uses {newer}: newer than ES5, which is what the engines of all databases share")
        required = node.type == "call_expression" and _text(node.child_by_field_name("function")) == "require"
        if required and (unknown := _require_error(field, node, modules)):
            found(node, unknown)
    return findings


def syntax_error(source: str, prefix: str, suffix: str) -> tuple[int, int, str] | None:
    """Compile `source` between `prefix` and `suffix` without running it.

    Parameters
    ----------
    source : str
        JavaScript.
    prefix, suffix : str
        What surrounds it, so that a function expression or a module body becomes one expression. `prefix` holds no
        line break, so that line numbers stay those of the file.

    Returns
    -------
    tuple of (int, int, str) or None
        Line, column and message of the first syntax error.
    """
    # A script is compiled whole before its first statement runs, and the first one here is the last.
    first = "throw 'compiled'; "
    try:
        quickjs.Context().eval(f"{first}{prefix}{source}{suffix}")
    except quickjs.JSException as error:
        text = str(error)
        if not text.startswith("SyntaxError"):
            return None
        place = re.search(r"<input>:(\d+)(?::(\d+))?", text)
        line, column = (int(place[1]), int(place[2] or 1)) if place else (1, 1)
        if line == 1:
            column = max(1, column - len(first) - len(prefix))
        return min(line, max(1, len(source.splitlines()))), column, text.splitlines()[0]
    return None


def _only_function(root: tree_sitter.Node) -> tree_sitter.Node | None:
    """The function expression that a program in parentheses consists of, or None when it is anything else."""
    node = root
    for kind in ("expression_statement", "parenthesized_expression", "function_expression"):
        inside = [child for child in node.named_children if child.type != "comment"]
        if len(inside) != 1 or inside[0].type != kind:
            return None
        node = inside[0]
    return node


def _walk(node: tree_sitter.Node) -> Iterator[tree_sitter.Node]:
    yield node
    for child in node.children:
        yield from _walk(child)


def _text(node: tree_sitter.Node | None) -> str:
    """Return what a node says in the source."""
    return (node.text or b"").decode() if node else ""


def _newer_than_es5(node: tree_sitter.Node) -> str | None:
    """Name the newer syntax that this node is, or return None."""
    if node.type in NOT_ES5:
        return NOT_ES5[node.type]
    if node.type == "method_definition" and node.children[0].type not in ("get", "set"):
        return "a method in an object"
    text = _text(node)
    if node.type == "number" and not text.startswith(("0x", "0X")) and NEW_NUMBER.search(text):
        return f"the number {text}"
    if node.type == "catch_clause" and node.child_by_field_name("parameter") is None:
        return "`catch` without a parameter"
    if node.type == "regex_flags" and not set(text) <= set("gim"):
        return f"the flag of a regular expression in `{text}`"
    return None


def _require_error(field: str, call: tree_sitter.Node, modules: frozenset[str]) -> str | None:
    """Say why a `require` call cannot work where `field` runs, or return None.

    CouchDB's rules (share/server/util.js): a map sees `views.lib` only, a reduce nothing, everything else the whole
    design document; relative names work between modules, not from a function.
    """
    inside = call.child_by_field_name("arguments")
    arguments = [node for node in inside.named_children if node.type != "comment"] if inside else []
    if len(arguments) != 1 or arguments[0].type != "string":
        return "require() takes one literal string here"
    name = _text(arguments[0])[1:-1]
    if field.endswith("/reduce") and is_function(field):
        return "a reduce function cannot require a module"
    if name.startswith("."):
        if is_function(field):
            return f"require({name!r}): only a module can require by a relative name"
        target = posixpath.normpath(posixpath.join(posixpath.dirname(field), name))
        if target.startswith("..") or "/" not in target:
            return f"require({name!r}) leaves the folders of the design document"
    else:
        target = name
    if field.startswith("views/") and not target.startswith("views/lib/"):
        return f"require({name!r}): only modules in views/lib can be seen while a view is built"
    if target not in modules:
        return f"require({name!r}): there is no module {target}"
    return None
