"""The summary of a test run says what was not tested, also where several processes ran the tests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("processes", ["0", "1"])
def test_a_missing_browser_is_told(processes, tmp_path):
    (tmp_path / "test_browser.py").write_text("def test_browser(chromium):\n    pass\n")
    (tmp_path / "conftest.py").write_text("from tests.browser.conftest import chromium\n")
    command = [sys.executable, "-m", "pytest", "-n", processes, "-p", "tests.conftest", "-p", "no:cacheprovider", "-q"]
    environment = {**os.environ, "PATH": "/nonexistent", "PYTHONPATH": str(ROOT)}
    told = subprocess.run(
        [*command, str(tmp_path)], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert "1 skipped" in told.stdout, told.stdout + told.stderr
    assert "NOT TESTED in a browser: no chromium on PATH" in told.stdout, told.stdout
