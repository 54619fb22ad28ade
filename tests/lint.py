"""The checks of the sources, one after the other (`make lint`); the tests run each of them by itself.

python -m tests.lint [NAME ...]
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# The folders under the names that they are imported by: mypy and import-linter look packages up by their folders.
LINKED = ROOT / "build/lint/dicouch"

BIN = str(Path(sys.executable).parent)
ESLINT = [
    "tests/js/node_modules/.bin/eslint",
    *("--config", "tests/js/eslint.config.js", "--max-warnings", "0", "--no-error-on-unmatched-pattern"),
]
CHECKS = {
    "ruff": [sys.executable, "-m", "ruff", "check", "."],
    "format": [sys.executable, "-m", "ruff", "format", "--check", "."],
    "eslint": [*ESLINT, "designdocs", "docs", "scripts", "tests"],
    "imports": [f"{BIN}/lint-imports", "--no-cache"],
    "mypy": [sys.executable, "-m", "mypy"],
}


def link_packages() -> None:
    """Make `build/lint/dicouch`, which holds what setup.cfg's `package_dir` maps to that name."""
    LINKED.mkdir(parents=True, exist_ok=True)
    entries = [*(ROOT / "shim").iterdir(), ROOT / "scripts", ROOT / "designdocs"]
    wanted = {entry.name: entry for entry in entries if entry.name != "__pycache__"}
    for link in LINKED.iterdir():
        if link.is_symlink() and wanted.get(link.name) != link.resolve():
            link.unlink(missing_ok=True)
    for name, entry in wanted.items():
        try:
            (LINKED / name).symlink_to(os.path.relpath(entry, LINKED))
        except FileExistsError:
            continue  # from an earlier run, or made by another process at the same moment


def run(name: str) -> tuple[bool, str]:
    """Run one check; return whether it passed, and what it said, with paths as they are in the repository."""
    if name in ("imports", "mypy"):
        link_packages()
    environment = os.environ | {"PYTHONPATH": str(LINKED.parent)}
    done = subprocess.run(CHECKS[name], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280)
    said = done.stdout + done.stderr
    for folder in ("scripts/", "designdocs/"):
        said = said.replace(f"build/lint/dicouch/{folder}", folder)
    return done.returncode == 0, said.replace("build/lint/dicouch/", "shim/")


def main() -> int:
    """Run the checks that are named, or all; say what failed."""
    failed = []
    for name in sys.argv[1:] or CHECKS:
        passed, said = run(name)
        print(f"{name}: {'passed' if passed else 'failed'}", flush=True)
        if not passed:
            failed.append(name)
            print(said, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
