"""A private Orthanc with its DICOMweb plugin, where one is installed."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from dicouch.scripts import processes
from dicouch.scripts.bench.client import Refused, Request, fetch
from dicouch.scripts.bench.options import Options
from dicouch.scripts.bench.report import Report
from dicouch.scripts.bench.servers import Server, database, free_port
from dicouch.scripts.databases import Database

PLUGIN_FOLDERS = ("/usr/share/orthanc/plugins", "/usr/lib/orthanc/plugins", "/usr/local/share/orthanc/plugins")
PLUGIN = "libOrthancDicomWeb.so"
DEBIAN = "apt-get install orthanc orthanc-dicomweb"
START_LIMIT = 60.0


def find() -> tuple[Path, Path] | str:
    """Return the program and its DICOMweb plugin, or in words what is missing."""
    program = shutil.which("Orthanc") or shutil.which("orthanc")
    if not program:
        return f"Orthanc is not installed ({DEBIAN}): measured without it"
    for folder in PLUGIN_FOLDERS:
        if (plugin := Path(folder) / PLUGIN).exists():
            return Path(program), plugin
    return f"Orthanc has no DICOMweb plugin here ({DEBIAN}): measured without it"


def configuration(folder: Path, port: int, plugin: Path, dicom_port: int = 0) -> dict:
    """Return Orthanc's settings: its defaults, less what has no part in DICOMweb, and in DIMSE without a port."""
    return {
        "Name": "benchmark",
        "StorageDirectory": str(folder / "orthanc"),
        "IndexDirectory": str(folder / "orthanc"),
        "Plugins": [str(plugin)],
        "HttpPort": port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomServerEnabled": bool(dicom_port),
        "DicomPort": dicom_port or 4242,
        "DicomCheckCalledAet": False,
        "DicomAlwaysAllowStore": True,
        "WebDavEnabled": False,
        "DefaultEncoding": "Utf8",
        # Searches are compared without a limit of the server's own.
        "LimitFindResults": 0,
        "LimitFindInstances": 0,
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": True, "Ssl": False},
    }


@contextlib.contextmanager
def orthanc(folder: Path, dicom_port: int = 0) -> Iterator[Server | None]:
    """Run Orthanc on loopback with its data in `folder`; yields None where it is not installed."""
    found = find()
    if isinstance(found, str):
        yield None
        return
    program, plugin = found
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    settings = folder / "orthanc.json"
    settings.write_text(json.dumps(configuration(folder, port, plugin, dicom_port), indent=2))
    with open(folder / "orthanc.log", "wb") as log:
        process = processes.start([str(program), str(settings)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        _wait(process, f"http://127.0.0.1:{port}", folder / "orthanc.log")
        yield Server("Orthanc", f"http://127.0.0.1:{port}/dicom-web", process.pid)
    finally:
        processes.stop(process, 30)


@contextlib.contextmanager
def beside(options: Options, folder: Path, dicom_port: int = 0) -> Iterator[Server | None]:
    """Run Orthanc with its data below `folder`, unless it is not wanted or not installed."""
    if not options.orthanc:
        yield None
        return
    with orthanc(folder / "orthanc", dicom_port) as running:
        yield running


@contextlib.contextmanager
def compared(
    options: Options, report: Report, folder: Path, dicom_port: int = 0
) -> Iterator[tuple[Database, Server | None]]:
    """Run the database server and, as `beside` does, Orthanc; the report is told which versions they are."""
    with (
        database(folder / "couchdb", options.database, options.javascript[0]) as couch,
        beside(options, folder, dicom_port) as peer,
    ):
        report.versions["database"] = f"{couch.name} ({options.javascript[0]})"
        if peer:
            report.versions["orthanc"] = version(peer)
        yield couch, peer


def version(server: Server) -> str:
    """Return what it says of itself."""
    told = json.loads(fetch(server.root.removesuffix("/dicom-web"), Request("GET", "/system"))[1])
    return f"Orthanc {told['Version']}"


def _wait(process: subprocess.Popen, root: str, log: Path) -> None:
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Refused(0, f"Orthanc ended with code {process.returncode}: {log.read_text(errors='replace')[-500:]}")
        with contextlib.suppress(Refused):
            fetch(root, Request("GET", "/dicom-web/studies?limit=1", {"Accept": "application/dicom+json"}))
            return
        time.sleep(0.1)
    raise Refused(0, f"Orthanc did not answer within {START_LIMIT:.0f} s")
