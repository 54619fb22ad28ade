"""Show how a search is run: which index and which part of it CouchDB reads, how much, and how long it takes.

    dicouch explain 'studies?PatientName=DOE*&limit=25'
    dicouch explain 'series?Modality=CT' --url http://user:password@127.0.0.1:5984 --database dicom

The answer to any search says the same where `explain` is one of its parameters.
"""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from dicouch.app import create_app
from dicouch.config import Config
from dicouch.scripts import choose, cli
from dicouch.scripts.connection import CommandError, connect, database_name

LONGEST = 400


def explain(search: str, url: str, database: str | None = None) -> dict:
    """Run a search and return what it took.

    Parameters
    ----------
    search : str
        Path and query below the DICOMweb root.
    url : str
        Root URL of the database server, credentials included.
    database : str, optional
        `COUCHDB_DATABASE`, else `dicom`, when left out.

    Returns
    -------
    dict
        What ``?explain`` answers.

    Raises
    ------
    CommandError
        When the search is refused; the message says why.
    """
    connect(url)
    listed = os.environ.get("EXTENDED_ATTRIBUTES") or None
    config = Config(couchdb_url=url, couchdb_database=database or database_name(), extended_attributes=listed)
    parts = urlsplit(search.removeprefix("/"))
    query = "&".join(part for part in (parts.query, "explain") if part)
    answer = create_app(config).test_client().get(f"{config.prefix}/{parts.path}?{query}")
    body = answer.get_json(silent=True) or {}
    if answer.status_code != 200 or "requests" not in body:
        raise CommandError(body.get("reason") or f"{search} is no search ({answer.status})")
    return {**body, "timing": answer.headers["Server-Timing"], "warnings": answer.headers.getlist("Warning")}


def lines(told: dict) -> Iterator[str]:
    """Yield the explanation as lines of text."""
    for name, key in told["keys"].items():
        yield f"key      {name}: {json.dumps(key, ensure_ascii=False)}"
    yield f"page     offset {told['offset']}, limit {told['limit']}"
    for number, request in enumerate(told["requests"], 1):
        yield f"{number}. {request['method']} {request['path']}   {request['milliseconds']} ms"
        for name, value in {**request["params"], **(request["body"] or {})}.items():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            yield f"     {name} = {text if len(text) <= LONGEST else text[:LONGEST] + ' ...'}"
        read = [f"{request[name]} {name}" for name in ("scanned", "matched", "rows") if name in request]
        yield f"     -> {', '.join(read)}"
    if told["walked"]:
        yield f"walked   no index serves {', '.join(told['walked'])}: all studies are read, newest first"
    yield f"rows     {told['rows']}" + (f", {told['remaining']} more can be requested" if told["remaining"] else "")
    couch, shim = (part.partition("dur=")[2] for part in told["timing"].split(", ")[:2])
    yield f"time     {couch} ms in CouchDB, {shim} ms in the shim"
    yield from (f"warning  {warning}" for warning in told["warnings"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns
    -------
    int
        0, or 2 for an error.
    """
    parser = cli.parser_of("explain", __doc__)
    parser.add_argument("search", help="path and query below the DICOMweb root, such as 'studies?PatientID=1'")
    parser.add_argument("--url", help="database server; COUCHDB_URL, else the one that dicouch run uses")
    parser.add_argument("--database", default=database_name(), help="database (COUCHDB_DATABASE, default dicom)")
    options = cli.parse(parser, arguments)
    try:
        with choose.server(options.url) as url:
            told = explain(options.search, url, options.database)
    except CommandError as error:
        print(f"explain: {error}", file=sys.stderr)
        return 2
    for line in lines(told):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
