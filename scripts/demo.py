"""Load pydicom's own test files into a running server and show three requests with their answers.

    dicouch demo
    dicouch demo --url http://127.0.0.1:8080/dicom-web

`dicouch run` starts such a server.
"""

import hashlib
import json
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pydicom
import pydicom.data
import requests

from dicouch.scripts import cli
from dicouch.scripts.connection import CommandError, client_of, reason, redact
from dicouch.scripts.load import DEFAULT_URL, upload

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
    print(f"storing pydicom's test files in {redact(url)}")
    for line in upload(FILES, url).lines(shown=5):
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns
    -------
    int
        0 when all three requests were answered as they should be, else 1.
    """
    parser = cli.parser_of("demo", __doc__)
    parser.add_argument("--url", default=os.environ.get("DICOMWEB_URL") or DEFAULT_URL, help="DICOMweb root")
    # The server says what is wrong with a file.
    warnings.filterwarnings("ignore", module="pydicom")
    try:
        demo(cli.parse(parser, arguments).url)
    except (CommandError, requests.RequestException) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0
