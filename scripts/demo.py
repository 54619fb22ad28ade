"""Load example studies and pydicom's own test files, show three requests, and say where to look at the studies.

    dicouch demo
    dicouch demo --url http://127.0.0.1:8080/dicom-web

Where no server runs and none is named, it starts one, as `dicouch run` does, and stays until it is stopped.
"""

import hashlib
import json
import os
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from typing import Any
from urllib.parse import urljoin

import pydicom
import pydicom.data
import requests

from dicouch.config import Config
from dicouch.scripts import cli, examples, processes, viewer
from dicouch.scripts.connection import CommandError, client_of, reason, redact
from dicouch.scripts.load import upload
from dicouch.scripts.run import DEFAULT_BIND, START_LIMIT, STOP_LIMIT, local_url, parse_bind

FILES = Path(pydicom.data.__file__).parent / "test_files"
EXAMPLE = FILES / "CT_small.dcm"
SHOWN_LINES = 24
SHOWN_ATTRIBUTES = 14


def fetch(url: str, accept: str, **parameters: Any) -> requests.Response:
    """Send a GET request and show it as a curl line.

    Parameters
    ----------
    url : str
        Without a query.
    accept : str
        Media type asked for.
    **parameters
        The query.

    Returns
    -------
    requests.Response

    Raises
    ------
    CommandError
        When the answer is an error.
    """
    plain, session = client_of(url)
    request = session.prepare_request(requests.Request("GET", plain, params=parameters, headers={"Accept": accept}))
    output = "" if "json" in accept else " --output instance.dcm"
    query = f"?{str(request.url).partition('?')[2]}" if parameters else ""
    print(f"\n$ curl -H 'Accept: {accept}'{output} '{plain}{query}'")
    with session:
        answer = session.send(request, timeout=60)
    if answer.status_code != 200:
        raise CommandError(f"{redact(url)} answers {answer.status_code}: {reason(answer)}")
    return answer


def shorten(datasets: Iterable[dict]) -> Iterator[str]:
    """Render DICOM JSON for reading: one line an attribute, with its keyword, and only the first that have a value."""
    for number, dataset in enumerate(datasets):
        yield "{" if number == 0 else "}, {"
        filled = [(tag, attribute) for tag, attribute in sorted(dataset.items()) if len(attribute) > 1]
        for tag, attribute in filled[:SHOWN_ATTRIBUTES]:
            keyword = pydicom.datadict.keyword_for_tag(tag) or "private"
            value = json.dumps(attribute.get("Value", attribute.get("BulkDataURI")), ensure_ascii=False)
            yield f"  {tag} {keyword:<28} {attribute['vr']} {value[:60]}"
        if len(filled) > SHOWN_ATTRIBUTES:
            yield f"  … {len(filled) - SHOWN_ATTRIBUTES} more attributes"
    yield "}"


def show(lines: Iterable[str]) -> None:
    """Print the first lines of an answer."""
    text = list(lines)
    print("\n".join(text[:SHOWN_LINES]))
    if len(text) > SHOWN_LINES:
        print(f"… {len(text) - SHOWN_LINES} more lines")


def demo(url: str) -> None:
    """Load the files and show the requests.

    Raises
    ------
    CommandError
        When the server is out of reach or an answer is not what it should be.
    """
    url = url.rstrip("/")
    print(f"storing example studies and pydicom's test files in {redact(url)}")
    with tempfile.TemporaryDirectory() as folder:
        examples.write(Path(folder))
        if not examples.COMPLETE:
            print("without segmentation and measurements: pip install 'dicouch[demo]' has what makes them")
        summaries = [upload(folder, url), upload(FILES, url)]
    for summary in summaries:
        for line in summary.lines(shown=5):
            print(line)
    example = pydicom.dcmread(EXAMPLE, stop_before_pixels=True)
    study = f"{url}/studies/{example.StudyInstanceUID}"
    instance = f"{study}/series/{example.SeriesInstanceUID}/instances/{example.SOPInstanceUID}"

    print("\n1. Which studies has a patient whose name starts with CompressedSamples? (QIDO-RS)", end="")
    show(shorten(fetch(f"{url}/studies", "application/dicom+json", PatientName="CompressedSamples*", limit=1).json()))

    print("\n2. What is in this study? (WADO-RS metadata)", end="")
    show(shorten(fetch(f"{study}/metadata", "application/dicom+json").json()))

    print("\n3. Give me one instance back. (WADO-RS)", end="")
    content = fetch(instance, "application/dicom").content
    same = hashlib.sha256(content).digest() == hashlib.sha256(EXAMPLE.read_bytes()).digest()
    print(f"{len(content)} bytes, {'bit for bit the file that was stored' if same else 'not the file that was stored'}")
    if not same:
        raise CommandError(f"{EXAMPLE.name} came back changed")


def links(url: str) -> Iterator[str]:
    """Yield where to look at the studies: lines with the viewer of the server, where it has one.

    Parameters
    ----------
    url : str
        The DICOMweb root.
    """
    root, found = _viewer_of(url)
    if not found.ok:
        if viewer.unless_set():
            yield f"no OHIF at {root} yet: it is installed on this machine, whose server has it when started again"
        else:
            yield f"no OHIF at {root}: {reason(found)}; start the server again once it is installed"
        return
    yield f"{root}  study list"
    for study in examples.STUDIES:
        yield f"{root}{study.mode}?StudyInstanceUIDs={study.uid}  {study.title}"


def _viewer_of(url: str) -> tuple[str, requests.Response]:
    """Return where the viewer of a server is, and what it answers."""
    root = urljoin(redact(url), "/ohif/")
    plain, session = client_of(root)
    with session:
        return root, session.get(f"{plain}/", timeout=60)


def _install_for(url: str) -> None:
    """Install the viewer for a server of this machine that has none, unless the site has its own or wants none."""
    if os.environ.get("OHIF", "").strip() or _viewer_of(url)[1].ok:
        return
    try:
        viewer.install()
    except (CommandError, ValueError) as problem:
        print(f"demo: no viewer: {problem}", file=sys.stderr)


@contextmanager
def server(url: str | None) -> Iterator[tuple[str, Popen | None]]:
    """Yield the DICOMweb root of the server that is named or runs already, else of one that is started, and that one.

    Raises
    ------
    CommandError
        When the viewer cannot be installed, or the server does not start.
    """
    if url:
        yield url, None
        return
    url = local_url(*parse_bind(os.environ.get("SHIM_BIND") or DEFAULT_BIND)) + Config.from_environment().prefix
    if _answers(url):
        _install_for(url)
        yield url, None
        return
    viewer.install()
    process = processes.start([sys.executable, "-m", "dicouch.scripts.cli", "run"])
    try:
        deadline = time.monotonic() + 2 * START_LIMIT
        while not _answers(url):
            if process.poll() is not None or time.monotonic() > deadline:
                raise CommandError("the server did not start; its messages are above")
            time.sleep(0.2)
        yield url, process
    finally:
        processes.stop(process, STOP_LIMIT + 20)


def _answers(url: str) -> bool:
    """Return whether a server is there; `dicouch.scripts.load` says what is wrong with one that refuses."""
    try:
        return requests.get(f"{url}/studies", params={"limit": 1}, timeout=30).status_code < 500
    except requests.RequestException:
        return False


def _stop(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns
    -------
    int
        0 when all three requests were answered as they should be, else 1.
    """
    parser = cli.parser_of("demo", __doc__)
    parser.add_argument("--url", default=os.environ.get("DICOMWEB_URL") or None, help="DICOMweb root of a server")
    # The server says what is wrong with a file.
    warnings.filterwarnings("ignore", module="pydicom")
    signal.signal(signal.SIGTERM, _stop)
    try:
        with server(cli.parse(parser, arguments).url) as (url, started):
            demo(url)
            print("\nLook at them in a browser:", *links(url), sep="\n  ", flush=True)
            if started is not None:
                print("\nThe server runs until Ctrl-C.", flush=True)
                return started.wait()
    except KeyboardInterrupt:
        pass
    except (CommandError, ValueError, requests.RequestException) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
