"""The style of the sources is part of the tests: ruff for Python, eslint for JavaScript (`make lint`)."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ESLINT = ROOT / "tests/js/node_modules/.bin/eslint"
CONFIG = ["--config", str(ROOT / "tests/js/eslint.config.js"), "--max-warnings", "0", "--no-error-on-unmatched-pattern"]


def run(command, folder=ROOT):
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240)


@pytest.fixture(scope="module")
def eslint():
    if not ESLINT.exists():
        pytest.fail("eslint is not installed: run the tests with make test, or npm ci --ignore-scripts in tests/js")
    return [str(ESLINT), *CONFIG]


def test_python():
    result = run([sys.executable, "-m", "ruff", "check", "--no-cache", "."])
    assert result.returncode == 0, result.stdout + result.stderr


def test_javascript(eslint):
    result = run([*eslint, "designdocs", "scripts", "tests"])
    assert result.returncode == 0, result.stdout + result.stderr


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
