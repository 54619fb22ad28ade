"""The style of the sources is part of the tests: the checks of `make lint`, sizes of functions and files, the hooks."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import lint

ROOT = Path(__file__).resolve().parents[2]
MOST_LINES_OF_A_FUNCTION, MOST_LINES_OF_A_FILE = 60, 450


def run(command, folder=ROOT):
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240)


@pytest.fixture(scope="module")
def eslint():
    if not (ROOT / lint.ESLINT[0]).exists():
        pytest.fail("eslint is not installed: run the tests with make test, or npm ci --ignore-scripts in tests/js")
    return [str(ROOT / word) if word.startswith("tests/js") else word for word in lint.ESLINT]


@pytest.mark.parametrize("name", lint.CHECKS)
def test_check(name):
    passed, said = lint.run(name)
    assert passed, said


def sources():
    """Return the Python files of the package."""
    files = [path for folder in ("shim", "scripts") for path in sorted((ROOT / folder).rglob("*.py"))]
    return [path for path in files if "node_modules" not in path.parts]


def long_functions(source):
    """Yield the name and the lines of each function whose body, less its docstring, is too long."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            lines = node.end_lineno - body[0].lineno + 1 if body else 0
            if lines > MOST_LINES_OF_A_FUNCTION:
                yield f"{node.name}: {lines}"


def test_no_function_is_too_long():
    found = {str(path.relative_to(ROOT)): list(long_functions(path.read_text("utf-8"))) for path in sources()}
    assert {path: names for path, names in found.items() if names} == {}


def test_no_file_is_too_long():
    lines = {str(path.relative_to(ROOT)): path.read_text("utf-8").count("\n") for path in sources()}
    assert {path: count for path, count in lines.items() if count > MOST_LINES_OF_A_FILE} == {}


def test_links_between_pages_lead_somewhere():
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8"))]
    assert links
    assert [(page.name, link) for page, link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize(("body", "found"), [(59, []), (60, []), (61, ["f: 61"])])
def test_lines_of_a_function_are_counted_without_its_docstring(body, found):
    text = 'def f():\n    """One.\n\n    Two.\n    """\n' + "    pass\n" * body
    assert list(long_functions(text)) == found


@pytest.mark.parametrize(("subject", "passes"), [("Say why", True), ("ü" * 72, True), ("ü" * 73, False), ("", False)])
def test_hook_of_subjects(tmp_path, subject, passes):
    """Run the hook as git does, in a repository of its own."""
    for name in (".pre-commit-config.yaml", "tests/check_subject.sh"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "message").write_text(f"{subject}\n\n{'A line of the body. ' * 9}\n", "utf-8")
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
    stage = ["--hook-stage", "commit-msg", "--commit-msg-filename", "message"]
    done = run(
        ["env", f"PRE_COMMIT_HOME={tmp_path / 'home'}", sys.executable, "-m", "pre_commit", "run", *stage], tmp_path
    )
    assert (done.returncode == 0) == passes, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "source", "rule"),
    [
        ("views/a/map.js", "function (doc) { emit(key, 1); }", "no-undef"),
        ("views/a/map.js", "function (doc) { const a = 1; emit(a); }", "Parsing error"),
        ("views/a/map.js", "function (doc) { doc.n = 1; }", "frozen"),
        ("lists/l.js", "function (head, req) { var unused; return '' == head; }", "eqeqeq"),
        ("lib/l.js", "exports.compare = function (a, b) { return a.localeCompare(b); };", "localeCompare"),
    ],
)
def test_eslint_reads_bare_functions_and_finds_what_is_wrong(eslint, tmp_path, name, source, rule):
    path = tmp_path / "designdocs/x" / name
    path.parent.mkdir(parents=True)
    path.write_text(source)
    result = run([*eslint, "designdocs"], tmp_path)
    assert result.returncode == 1, result.stderr
    assert rule in result.stdout


def test_eslint_accepts_what_couchdb_accepts(eslint, tmp_path):
    for name, source in {
        "views/a/map.js": "// why\nfunction (doc) {\n  emit(require('views/lib/k').k(doc), null);\n}\n",
        "views/a/reduce.js": "_count\n",
        "views/lib/k.js": "exports.k = function (doc) { return doc.n; };\n",
        "validate_doc_update.js": "function (newDoc, oldDoc, user) { throw { forbidden: 'no' }; }",
    }.items():
        path = tmp_path / "designdocs/x" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    result = run([*eslint, "designdocs"], tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
