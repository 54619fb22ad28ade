"""STOW-RS beside bare writes of the same files to the same CouchDB, and beside Orthanc."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path

from dicouch.scripts.bench import orthanc
from dicouch.scripts.bench.archive import JSON_TYPE, Stamp, store_placeholder
from dicouch.scripts.bench.client import Request, Side, race
from dicouch.scripts.bench.files import Identity, Template, new_run, series_of, store_request
from dicouch.scripts.bench.options import Options
from dicouch.scripts.bench.report import Goal, Report
from dicouch.scripts.bench.servers import create, database, pids, settled, shim
from dicouch.scripts.push_views import push

BOUNDARY = "dicouch-benchmark-put-0123456789abcdef"
SMALL_MATRIX = 64
CHECKED = "CouchDB, same design documents"
"""The same writes to a database that checks and indexes documents as ours does: what Python adds shows beside it."""


def measure(options: Options, report: Report, folder: Path) -> None:
    """Measure storing: large and small instances, one and several a request, over one and several connections."""
    with (
        database(folder / "couchdb", options.database, options.javascript[0]) as couch,
        orthanc.beside(options, folder) as peer,
    ):
        report.versions["database"] = f"{couch.name} ({options.javascript[0]})"
        if peer:
            report.versions["orthanc"] = orthanc.version(peer)
        bare, checked = create(couch, "bare"), create(couch, "checked")
        push(couch.url, "checked")
        for name in ("attachment", "folder"):
            create(couch, name)
        with (
            shim(couch, "attachment") as attached,
            shim(couch, "folder", f"folder:{folder / 'bytes'}") as in_folder,
        ):
            servers = [server for server in (attached, in_folder, peer) if server]
            settle = settled(couch.url)

            def compare(template: Template, name: str, per: int, connections: int, bulk: bool = False) -> None:
                stamp = store_placeholder(attached.root, attached.couch, template)["instance"]
                identities = series_of(new_run(), options.instances)
                contents = [template.file(identity) for identity in identities]
                chunks = [slice(start, start + per) for start in range(0, options.instances, per)]
                requests = [[store_request(contents[chunk])] for chunk in chunks]
                sides = {
                    server.name: Side(server.root, requests, pids(server, couch.pid), settle) for server in servers
                }
                if bulk:
                    writes = [[bulk_docs(stamp, identities[chunk], contents[chunk])] for chunk in chunks]
                else:
                    # A bare PUT takes one instance, so one operation is as many of them.
                    puts = [put(stamp, *pair) for pair in zip(identities, contents, strict=True)]
                    writes = [puts[chunk] for chunk in chunks]
                sides["CouchDB"] = Side(bare, writes, (couch.pid,), settle)
                sides[CHECKED] = Side(checked, writes, (couch.pid,), settle)
                taken = race(sides, connections, options.rounds)
                goals = [
                    Goal("dicouch, attachment", "CouchDB", 0.6 if bulk else 0.75),
                    Goal("dicouch, attachment", CHECKED, 0.6 if bulk else 0.75),
                    Goal("dicouch, folder", "Orthanc", 1),
                ]
                per_operation = options.instances / len(chunks)
                report.compare(
                    "stow",
                    name,
                    taken,
                    connections=connections,
                    per=per_operation,
                    size=template.size,
                    references=("CouchDB", CHECKED, "Orthanc"),
                    goals=goals,
                )

            large = Template(options.matrix, options.matrix)
            small = Template(SMALL_MATRIX, SMALL_MATRIX)
            for connections in options.connections:
                for per in (1, 10):
                    compare(large, f"{large.size / 1000:.0f} KB, {per} a request", per, connections)
                compare(small, f"{small.size / 1000:.0f} KB, 1 a request", 1, connections)
                for per in (10, 100):
                    name = f"{small.size / 1000:.0f} KB, {per} a request, beside _bulk_docs"
                    compare(small, name, per, connections, bulk=True)


def put(stamp: Stamp, identity: Identity, content: bytes) -> Request:
    """Return the PUT of one instance's document and file that CouchDB documents: ``multipart/related``."""
    document = stamp.document(identity)
    stub = {"object.dcm": {"follows": True, "content_type": "application/dicom", "length": len(content)}}
    text = f'{document[:-1]},"_attachments":{json.dumps(stub)}}}'
    body = b"".join(
        (
            f"--{BOUNDARY}\r\nContent-Type: application/json\r\n\r\n{text}\r\n--{BOUNDARY}\r\n\r\n".encode(),
            content,
            f"\r\n--{BOUNDARY}--".encode(),
        )
    )
    path = f"/{identity.study}:{identity.series}:{identity.instance}"
    return Request("PUT", path, {"Content-Type": f'multipart/related; boundary="{BOUNDARY}"'}, body)


def bulk_docs(stamp: Stamp, identities: Sequence[Identity], contents: Sequence[bytes]) -> Request:
    """Return the ``_bulk_docs`` request of several documents with their files as inline attachments."""
    docs = []
    for identity, content in zip(identities, contents, strict=True):
        data = base64.b64encode(content).decode()
        attachment = {"object.dcm": {"content_type": "application/dicom", "data": data}}
        docs.append(f'{stamp.document(identity)[:-1]},"_attachments":{json.dumps(attachment)}}}')
    body = ('{"docs":[' + ",".join(docs) + "]}").encode()
    return Request("POST", "/_bulk_docs", JSON_TYPE, body)
