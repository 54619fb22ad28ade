"""The container's description, as far as it can be checked without an engine."""

import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dicouch.app import create_app
from dicouch.config import Config, split_url

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "scripts" / "docker"


def copied(name: str) -> list[str]:
    """Return what a Dockerfile copies from its context."""
    lines = [line.split() for line in (FOLDER / name).read_text().splitlines() if line.startswith("COPY ")]
    return [word for line in lines for word in line[1:-1] if not word.startswith("--")]


@pytest.mark.parametrize(("name", "context"), [("Dockerfile", ROOT), ("couchdb.Dockerfile", FOLDER)])
def test_everything_copied_exists(name, context):
    assert copied(name)
    for source in copied(name):
        assert (context / source).exists(), source


def test_everything_copied_is_in_the_context():
    let_in = {line[1:] for line in (FOLDER / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"}
    assert set(copied("Dockerfile")) == let_in


def test_every_package_is_copied():
    """Else `pip install .` fails in the image; below a copied folder is copied too."""
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    folders = [line.split(" = ")[1] for line in settings["options"]["package_dir"].strip().splitlines()]
    assert "shim" in folders
    sources = [Path(source) for source in copied("Dockerfile")]
    missing = [folder for folder in folders if not any(Path(folder).is_relative_to(source) for source in sources)]
    assert missing == []


def test_the_compose_file_names_what_is_there():
    text = (FOLDER / "compose.yaml").read_text()
    builds = re.findall(r"context: (\S+)\s+dockerfile: (\S+)", text)
    assert len(builds) == 2
    for context, dockerfile in builds:
        assert (FOLDER / context / dockerfile).is_file()


def test_nothing_is_mounted_where_the_image_sets_owners():
    # https://github.com/apache/couchdb-docker/issues/73: with a read-only file there, the container ends at once.
    assert "/opt/couchdb/etc" not in (FOLDER / "compose.yaml").read_text()


def test_the_settings_of_couchdb_can_be_read():
    settings = configparser.ConfigParser(comment_prefixes=(";",))
    settings.read(FOLDER / "couchdb.ini")
    assert settings["couchdb"]["single_node"] == "true"


def test_its_health_is_asked_where_it_is_told():
    """Not below /studies, which asks for a login where the site does."""
    place = re.search(
        r"HEALTHCHECK.*?http://127\.0\.0\.1:5985(/\S*?)'", (FOLDER / "Dockerfile").read_text(), re.DOTALL
    )[1]
    app = create_app(Config(couchdb_url="http://127.0.0.1:9", remember=0, authorization="required"))
    assert place == "/readyz"
    assert app.test_client().get(place).status_code == 503
    assert app.test_client().get("/dicom-web/studies").status_code == 401


def test_the_start_script_is_a_shell_script():
    subprocess.run(["sh", "-n", str(FOLDER / "start.sh")], check=True)


def test_the_start_script_takes_any_password(tmp_path):
    """Its commands are replaced by one that shows the URL with which they would run."""
    for name in ("python", "dicouch"):
        (tmp_path / name).write_text(f'#!/bin/sh\n[ "$1" = -c ] && exec {sys.executable} "$@"\necho "$COUCHDB_URL"\n')
        (tmp_path / name).chmod(0o755)
    told = {"COUCHDB_URL": "http://couchdb:5984", "COUCHDB_USER": "admin", "COUCHDB_PASSWORD": "a@b/c:ü%41"}
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", **told}
    done = subprocess.run(
        ["sh", str(FOLDER / "start.sh")], env=environment, capture_output=True, text=True, check=True, cwd=ROOT
    )
    urls = done.stdout.split()
    assert len(urls) == 2
    assert [split_url(url) for url in urls] == [("http://couchdb:5984", ("admin", "a@b/c:ü%41"))] * 2


def test_compose_accepts_it():
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True).returncode:
        pytest.skip("NOT TESTED: no docker compose on this machine")
    command = [docker, "compose", "--file", str(FOLDER / "compose.yaml"), "config", "--quiet"]
    subprocess.run(command, check=True, env={"PATH": "/usr/bin:/bin", "COUCHDB_PASSWORD": "x"})
