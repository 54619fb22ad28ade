"""The viewer at /ohif: its files, its page below any path, its policy; and what is changed in npm's build before."""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import orjson
import pytest

from dicouch.app import create_app
from dicouch.config import Config
from dicouch.scripts import viewer

PAGE = (
    '<!doctype html><script>window.PUBLIC_URL="/"</script><link rel="icon" href="/assets/icon.png">'
    '<meta content="/assets/icon.png"><meta content="width=1"><script src="/app-config.js"></script>'
    '<script>window.PUBLIC_URL="/"</script><script defer src="/app.bundle.0123456789abcdef.js"></script>'
)
CODE = (
    "x" * viewer.WORTH_PACKING
    + '__webpack_require__.p = "/";\n'
    + "f = browserImportFunction('/dicom-microscopy-viewer/a.js')"
)


FILES = {
    "index.html": PAGE,
    "app.bundle.0123456789abcdef.js": CODE,
    "app.bundle.css": "@font-face { src: url(/a34f.woff2), url(data:x) }",
    "manifest.json": '{"icons": [{"src": "/assets/icon.png"}]}',
    "0123456789abcdef.wasm": "\0asm",
    "dicom-microscopy-viewer/a.js": "1",
}


@pytest.fixture
def built(tmp_path):
    """Give a folder with files as those of OHIF's build."""
    (tmp_path / "dicom-microscopy-viewer").mkdir()
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def folder(built):
    """Give such a folder, prepared."""
    assert viewer.prepare(built) == 3
    return built


@pytest.fixture
def client(folder):
    return create_app(Config(ohif=str(folder))).test_client()


def test_a_build_is_made_to_lie_below_a_path(folder):
    code = (folder / "app.bundle.0123456789abcdef.js").read_text()
    assert '__webpack_require__.p = (self.PUBLIC_URL || new URL(".", self.location.href).pathname);' in code
    assert "browserImportFunction((self.PUBLIC_URL || " in code
    assert "+ 'dicom-microscopy-viewer/a.js')" in code
    assert gzip.decompress((folder / "app.bundle.0123456789abcdef.js.gz").read_bytes()).decode() == code
    assert (folder / "app.bundle.css").read_text() == "@font-face { src: url(a34f.woff2), url(data:x) }"
    assert (folder / "manifest.json").read_text() == '{"icons": [{"src": "assets/icon.png"}]}'
    assert viewer.prepare(folder) == 0


def content_of(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("number", range(4))
def test_what_was_interrupted_is_prepared_by_the_next_run(built, number, monkeypatch):
    """At any write: files are changed whole, and those that are changed already count."""
    real, writes = Path.write_bytes, []

    def write_bytes(path, content):
        if len(writes) == number:
            real(path, content[: len(content) // 2])
            raise KeyboardInterrupt
        writes.append(path)
        return real(path, content)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", write_bytes)
        with pytest.raises(KeyboardInterrupt):
            viewer.prepare(built)
    assert not (built / viewer.DONE).exists()
    viewer.prepare(built)
    found = content_of(built)
    for name, text in FILES.items():
        (built / name).write_text(text)
    (built / viewer.DONE).unlink()
    assert viewer.prepare(built) == 3
    assert found == content_of(built)


def test_two_at_once_prepare_it_once(built):
    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(viewer.prepare, [built] * 4)) == [0, 0, 0, 3]
    assert '"assets/icon.png"' in (built / "manifest.json").read_text()


def test_a_build_of_one_s_own_is_prepared(built):
    """The command of docs/ohif.md."""
    command = [sys.executable, "-m", "dicouch.scripts.viewer", str(built)]
    subprocess.run(command, check=True, timeout=60)
    assert (built / viewer.DONE).is_file()
    done = subprocess.run([*command[:-1], str(built / "none")], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (1, f"viewer: {built / 'none'} has no built viewer\n")


def test_another_build_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no built viewer"):
        viewer.prepare(tmp_path)
    (tmp_path / "index.html").write_text(PAGE)
    with pytest.raises(ValueError, match="another than the one known here"):
        viewer.prepare(tmp_path)
    with pytest.raises(ValueError, match="OHIF must name the folder"):
        Config.from_environment({"OHIF": str(tmp_path / "none")})
    assert Config.from_environment({"OHIF": "none"}).ohif is None


@pytest.mark.parametrize(
    "path", ["/ohif", "/ohif/", "/ohif/index.html", "/ohif/viewer?StudyInstanceUIDs=1.2", "/ohif/a/b"]
)
def test_routes_of_the_viewer_are_one_page(client, path):
    answer = client.get(path)
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    assert answer.headers["Cache-Control"] == "no-cache"
    assert set(re.findall('"(/[^"]*)"', answer.text)) == {
        "/ohif/", "/ohif/assets/icon.png", "/ohif/app-config.js", "/ohif/app.bundle.0123456789abcdef.js",
    }  # fmt: skip
    assert 'content="width=1"' in answer.text


def test_the_policy_lets_in_the_page_s_own_scripts_only(client):
    answer = client.get("/ohif/")
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
    scripts = re.findall("<script>(.+?)</script>", answer.text)
    digests = {f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in scripts}
    assert set(policy["script-src"].split()) == {"'self'", "'unsafe-eval'", *digests}
    assert policy["default-src"] == "'self'"


def test_files_have_types_tags_and_lasting(client, folder):
    code = client.get("/ohif/app.bundle.0123456789abcdef.js")
    assert (code.mimetype, code.headers["Cache-Control"]) == ("text/javascript", "public, max-age=86400")
    assert "sandbox" not in code.headers["Content-Security-Policy"]
    assert "attachment" not in code.headers.get("Content-Disposition", "")
    packed = client.get("/ohif/app.bundle.0123456789abcdef.js", headers={"Accept-Encoding": "gzip, br"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.mimetype == "text/javascript"
    assert "Accept-Encoding" in packed.headers["Vary"]
    assert "Accept-Encoding" in code.headers["Vary"]
    assert gzip.decompress(packed.data) == code.data
    assert packed.headers["ETag"] != code.headers["ETag"]
    refused = client.get("/ohif/app.bundle.0123456789abcdef.js", headers={"Accept-Encoding": "gzip;q=0"})
    assert "Content-Encoding" not in refused.headers
    assert refused.data == code.data
    known = client.get("/ohif/app.bundle.0123456789abcdef.js", headers={"If-None-Match": code.headers["ETag"]})
    assert (known.status_code, known.data) == (304, b"")
    wasm = client.get("/ohif/0123456789abcdef.wasm")
    assert (wasm.mimetype, wasm.data) == ("application/wasm", b"\0asm")
    assert client.get("/ohif/app.bundle.css").headers["Cache-Control"] == "no-cache"
    assert client.get("/ohif/manifest.json").mimetype == "application/json"


@pytest.mark.parametrize(
    "path", ["none.js", "../secret.txt", "..%2fsecret.txt", "%2e%2e/secret.txt", "a/../../secret.txt"]
)
def test_nothing_else_is_sent(client, folder, path):
    (folder.parent / "secret.txt").write_text("secret")
    answer = client.get(f"/ohif/{path}")
    assert answer.status_code == 404
    assert set(answer.json) == {"error", "reason"}


def settings_of(answer):
    return orjson.loads(answer.data.removeprefix(b"window.config = "))


def test_the_configuration_points_at_this_server(folder):
    for prefix in ("/dicom-web", "/a/b", ""):
        client = create_app(Config(ohif=str(folder), prefix=prefix)).test_client()
        answer = client.get("/ohif/app-config.js")
        assert (answer.mimetype, answer.headers["Cache-Control"]) == ("text/javascript", "no-cache")
        settings = settings_of(answer)
        source = settings["dataSources"][0]["configuration"]
        assert {source[name] for name in ("qidoRoot", "wadoRoot", "wadoUriRoot")} == {prefix}
        assert settings["routerBasename"] == "/ohif/"
        # Nothing that is not ours can be loaded by a link: OHIF's own defaults, which docs/safety.md relies on.
        assert not {"customizationUrlPrefixes", "dangerouslyUseDynamicConfig"} & set(settings)


def test_behind_a_proxy_with_a_prefix(client):
    headers = {"X-Forwarded-Prefix": "/pacs"}
    page = client.get("/ohif/viewer", headers=headers).text
    assert 'src="/pacs/ohif/app-config.js"' in page
    assert 'PUBLIC_URL="/pacs/ohif/"' in page
    settings = settings_of(client.get("/ohif/app-config.js", headers=headers))
    assert settings["routerBasename"] == "/pacs/ohif/"
    assert settings["dataSources"][0]["configuration"]["wadoRoot"] == "/pacs/dicom-web"


def test_without_a_viewer_the_way_to_one_is_told():
    answer = create_app(Config()).test_client().get("/ohif/")
    assert answer.status_code == 404
    assert "make demo" in answer.json["reason"]
