"""What docs/clients.md shows runs as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from tests.server import ROOT

# The same requests are tested on both databases elsewhere.
pytestmark = pytest.mark.one_database("embedded")

DOCUMENT = (ROOT / "docs/clients.md").read_text("utf-8")
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [(kind, text) for kind, text in BLOCK.findall(DOCUMENT)]


def test_the_page_has_them():
    assert [kind for kind, _ in BLOCKS] == ["python", "sh", "python", "python", "sh"]


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_an_example(hospital, tmp_path, monkeypatch, number):
    kind, text = BLOCKS[number]
    text = text.replace("http://127.0.0.1:5985/dicom-web", hospital.server.url)
    stored = hospital.files["CT_small.dcm"]
    (tmp_path / "file.dcm").write_bytes(stored)
    monkeypatch.chdir(tmp_path)
    if kind == "python":
        values: dict = {}
        exec(compile(text, "docs/clients.md", "exec"), values)
        if "frame" in values:
            assert bytes(values["frame"]) == hospital.datasets["CT_small.dcm"].PixelData
        if "trolley" in values:
            assert len([path for path in Path("downloaded").rglob("*") if path.is_file()]) == 5
        if "thumbnail" in values:
            assert values["region"].size == (200, 150)
        return
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", text], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "Ludwig" in done.stdout
    if "curl" in text:
        assert Path("stored.dcm").read_bytes() == stored
        assert Image.open(BytesIO(Path("picture.png").read_bytes())).size == (128, 128)
        assert len(zipfile.ZipFile("study.zip").namelist()) == 5
