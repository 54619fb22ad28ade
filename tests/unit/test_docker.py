"""The container's description, as far as it can be checked without an engine."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "scripts" / "docker"


def test_everything_copied_exists():
    for line in (FOLDER / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY "):
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists(), source


def test_the_compose_file_names_what_is_there():
    text = (FOLDER / "compose.yaml").read_text()
    context = re.search(r"context: (\S+)", text).group(1)
    assert (FOLDER / context).resolve() == ROOT
    assert (ROOT / re.search(r"dockerfile: (\S+)", text).group(1)).is_file()
    assert (FOLDER / re.search(r"- \./(\S+?):", text).group(1)).is_file()


def test_the_settings_of_couchdb_can_be_read():
    settings = configparser.ConfigParser(comment_prefixes=(";",))
    settings.read(FOLDER / "couchdb.ini")
    assert settings["couchdb"]["single_node"] == "true"


def test_the_start_script_is_a_shell_script():
    subprocess.run(["sh", "-n", str(FOLDER / "start.sh")], check=True)


def test_compose_accepts_it():
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True).returncode:
        pytest.skip("NOT TESTED: no docker compose on this machine")
    command = [docker, "compose", "--file", str(FOLDER / "compose.yaml"), "config", "--quiet"]
    subprocess.run(command, check=True, env={"PATH": "/usr/bin:/bin", "COUCHDB_PASSWORD": "x"})
