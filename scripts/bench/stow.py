"""STOW-RS beside bare writes of the same files to the same CouchDB, and beside Orthanc."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dicouch.scripts.bench import orthanc
from dicouch.scripts.bench.client import Request, Side, race
from dicouch.scripts.bench.files import Identity, Template, new_run, series_of, store_request
from dicouch.scripts.bench.made import JSON_TYPE, Stamp, store_placeholder
from dicouch.scripts.bench.options import Options
from dicouch.scripts.bench.report import Goal, Report
from dicouch.scripts.bench.servers import Server, both_places, create, pids, settled
from dicouch.scripts.databases import Database
from dicouch.scripts.push_views import push

BOUNDARY = "dicouch-benchmark-put-0123456789abcdef"
SMALL_MATRIX = 64
CHECKED = "CouchDB, same design documents"
"""The same writes to a database that checks and indexes documents as ours does: the difference is what Python costs."""


def measure(options: Options, report: Report, folder: Path) -> None:
    """Measure storing: large and small instances, one and several a request, over one and several connections."""
    with (
        orthanc.compared(options, report, folder) as (couch, peer),
        both_places(couch, folder / "bytes") as (attached, in_folder),
    ):
        bare, checked = create(couch, "bare"), create(couch, "checked")
        push(couch.url, "checked")
        servers = [server for server in (attached, in_folder, peer) if server]
        storing = Storing(options, report, couch, servers, {"CouchDB": bare, CHECKED: checked})
        large = Template(options.matrix, options.matrix)
        small = Template(SMALL_MATRIX, SMALL_MATRIX)
        for connections in options.connections:
            for per in (1, 10):
                storing.compare(large, f"{large.size / 1000:.0f} KB, {per} a request", per, connections)
            storing.compare(small, f"{small.size / 1000:.0f} KB, 1 a request", 1, connections)
            for per in (10, 100):
                name = f"{small.size / 1000:.0f} KB, {per} a request, beside _bulk_docs"
                storing.compare(small, name, per, connections, bulk=True)


@dataclass(frozen=True)
class Storing:
    """The measurements, all with the same servers.

    Attributes
    ----------
    servers : sequence of Server
        DICOMweb servers; the first keeps attachments in CouchDB.
    bare : dict of str to str
        URLs of the databases that are written to without a DICOMweb server, by their names in the report.
    """

    options: Options
    report: Report
    couch: Database
    servers: Sequence[Server]
    bare: dict[str, str]

    def compare(self, template: Template, name: str, per: int, connections: int, bulk: bool = False) -> None:
        """Store the same new instances everywhere, `per` a request; bare CouchDB takes them with PUT or in bulk."""
        count = self.options.instances
        chunks = [slice(start, start + per) for start in range(0, count, per)]
        identities = series_of(new_run(), count)
        contents = [template.file(identity) for identity in identities]
        requests = [[store_request(contents[chunk])] for chunk in chunks]
        stamp = store_placeholder(self.servers[0].root, self.servers[0].couch, template)["instance"]
        if bulk:
            writes = [[bulk_docs(stamp, identities[chunk], contents[chunk])] for chunk in chunks]
        else:
            # A bare PUT takes one instance, so one operation is as many of them.
            puts = [put(stamp, *pair) for pair in zip(identities, contents, strict=True)]
            writes = [puts[chunk] for chunk in chunks]
        settle = settled(self.couch.url)
        own = (self.couch.pid,) if self.couch.pid else ()
        sides = {
            one.name: Side(one.root, requests, pids(one, self.couch.pid), settled(self.couch.url, one.couch))
            for one in self.servers
        }
        sides |= {beside: Side(url, writes, own, settle) for beside, url in self.bare.items()}
        least = 0.6 if bulk else 0.75
        self.report.compare(
            "stow",
            name,
            race(sides, connections, self.options.rounds),
            connections=connections,
            per=count / len(chunks),
            size=template.size,
            references=(*self.bare, "Orthanc"),
            goals=[
                *(Goal("dicouch, attachment", beside, least) for beside in self.bare),
                Goal("dicouch, folder", "Orthanc", 1),
            ],
        )


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
