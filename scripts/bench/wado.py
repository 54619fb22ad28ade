"""WADO-RS: instances, series, frames and pictures beside bare attachments of the same CouchDB, and beside Orthanc."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dicouch.scripts.bench import orthanc
from dicouch.scripts.bench.client import Operation, Request, Side, race, run
from dicouch.scripts.bench.files import Identity, Template, new_run, series_of, store_request
from dicouch.scripts.bench.memory import store_file
from dicouch.scripts.bench.options import Options
from dicouch.scripts.bench.report import Goal, Report
from dicouch.scripts.bench.servers import Server, both_places, pids

INSTANCE = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
FRAME = {"Accept": 'multipart/related; type="application/octet-stream"; transfer-syntax=*'}
JPEG = {"Accept": "image/jpeg"}
SERIES_LENGTH = 8
GOALS = (Goal("dicouch, attachment", "CouchDB", 0.8), Goal("dicouch, folder", "Orthanc", 1))


def measure(options: Options, report: Report, folder: Path) -> None:
    """Measure retrieving."""
    with (
        orthanc.compared(options, report, folder) as (couch, peer),
        both_places(couch, folder / "bytes") as (attached, in_folder),
    ):
        servers = [server for server in (attached, in_folder, peer) if server]
        Retrieval(options, report, servers, attached.couch, couch.pid).measure()


def resource(identity: Identity, *below: str) -> str:
    """Return the path of an instance, or of something below it."""
    parts = ("", "studies", identity.study, "series", identity.series, "instances", identity.instance, *below)
    return "/".join(parts)


def attachment(identity: Identity) -> str:
    """Return the path of an instance's file in the database."""
    return f"/{identity.study}:{identity.series}:{identity.instance}/object.dcm"


class Retrieval:
    """The measurements, all with the same servers.

    Parameters
    ----------
    servers : sequence of Server
    bare : str
        URL of the database with the attachments.
    couch : int or None
        Process of the database server.
    """

    def __init__(
        self, options: Options, report: Report, servers: Sequence[Server], bare: str, couch: int | None
    ) -> None:
        self.options = options
        self.report = report
        self.servers = servers
        self.bare = bare
        self.couch = couch

    def measure(self) -> None:
        """Store what is needed, and retrieve it in every way."""
        template = Template(self.options.matrix, self.options.matrix)
        run_number = new_run()
        count = max(1, self.options.instances // SERIES_LENGTH)
        series = [series_of(run_number, SERIES_LENGTH, series=number) for number in range(1, count + 1)]
        identities = [identity for one in series for identity in one]
        self.store([template.file(identity) for identity in identities])
        for connections in self.options.readers:
            self.instances(template, identities, connections)
            self.series(template, series, connections)
            self.single_frames(template, identities, connections)
            self.rendered(identities, connections)
        self.multi_frame()
        if self.options.frame_file:
            self.distant_frame()

    def store(self, files: Sequence[bytes]) -> None:
        """Store files on every server."""
        for server in self.servers:
            run(server.root, [[store_request(files[start : start + 8])] for start in range(0, len(files), 8)], 2)

    def compare(
        self,
        measure: str,
        operations: Sequence[Operation],
        bare: Sequence[Operation] | None,
        connections: int,
        goals: Sequence[Goal] = GOALS,
        per: float = 1,
    ) -> None:
        """Run the same operations on every server, and `bare` on CouchDB."""
        sides = {server.name: Side(server.root, operations, pids(server, self.couch)) for server in self.servers}
        if bare:
            sides["CouchDB"] = Side(self.bare, bare, (self.couch,) if self.couch else ())
        taken = race(sides, connections, self.options.rounds)
        self.report.compare("wado", measure, taken, connections=connections, per=per, goals=goals)

    def instances(self, template: Template, identities: Sequence[Identity], connections: int) -> None:
        """Retrieve single instances."""
        self.compare(
            f"instance of {template.size / 1000:.0f} KB",
            [[Request("GET", resource(one), INSTANCE, least=template.size)] for one in identities],
            [[Request("GET", attachment(one), least=template.size)] for one in identities],
            connections,
        )

    def series(self, template: Template, series: Sequence[Sequence[Identity]], connections: int) -> None:
        """Retrieve series; CouchDB gives as many attachments one after the other."""
        least = template.size * SERIES_LENGTH
        self.compare(
            f"series of {SERIES_LENGTH}",
            [[Request("GET", resource(one[0]).partition("/instances")[0], INSTANCE, least=least)] for one in series],
            [[Request("GET", attachment(each), least=template.size) for each in one] for one in series],
            connections,
        )

    def single_frames(self, template: Template, identities: Sequence[Identity], connections: int) -> None:
        """Retrieve the frame of single-frame instances."""
        self.compare(
            "frame of a single-frame instance",
            [[Request("GET", resource(one, "frames", "1"), FRAME, least=template.pixels)] for one in identities],
            [[Request("GET", attachment(one), ranged(template, 1), least=template.pixels)] for one in identities],
            connections,
        )

    def rendered(self, identities: Sequence[Identity], connections: int) -> None:
        """Retrieve pictures."""
        operations = [[Request("GET", resource(one, "rendered"), JPEG, least=100)] for one in identities]
        self.compare("rendered JPEG", operations, None, connections, [Goal("dicouch", "Orthanc", 1)])

    def multi_frame(self) -> None:
        """Retrieve frames of one multi-frame instance."""
        template = Template(self.options.matrix, self.options.matrix, self.options.frames)
        identity = series_of(new_run(), 1)[0]
        self.store([template.file(identity)])
        numbers = [number % self.options.frames + 1 for number in range(0, 7 * self.options.instances, 7)]
        for connections in self.options.readers:
            self.compare(
                f"frame of a multi-frame instance ({self.options.frames} frames)",
                [[self.frame(template, identity, number)] for number in numbers],
                [
                    [Request("GET", attachment(identity), ranged(template, number), least=template.frame_length)]
                    for number in numbers
                ],
                connections,
            )

    @staticmethod
    def frame(template: Template, identity: Identity, number: int) -> Request:
        return Request("GET", resource(identity, "frames", str(number)), FRAME, least=template.frame_length)

    def distant_frame(self) -> None:
        """Retrieve the first frame of a large file and one near its end, in turns."""
        frame_bytes = self.options.matrix**2 * 2
        count = max(2, (self.options.frame_file << 20) // frame_bytes)
        template = Template(self.options.matrix, self.options.matrix, count)
        identity = series_of(new_run(), 1)[0]
        far = max(2, count * 9 // 10)
        for server in self.servers:
            store_file(server, template, identity)
            repeated = max(self.options.rounds, self.options.samples // 5)
            sides = {
                f"{server.name}, frame {number}": Side(
                    server.root, [[self.frame(template, identity, number)]] * repeated, pids(server, self.couch)
                )
                for number in (1, far)
            }
            taken = race(sides, 1, self.options.rounds)
            first = f"{server.name}, frame 1"
            goals = [Goal("dicouch", first, 1 / 1.2)]
            name = f"frame of a file of {self.options.frame_file} MB"
            self.report.compare("wado", name, taken, by="p50", references=(first,), goals=goals)


def ranged(template: Template, number: int) -> dict[str, str]:
    """Return the header that asks for the bytes of one frame."""
    start = template.size - template.pixels + (number - 1) * template.frame_length
    return {"Range": f"bytes={start}-{start + template.frame_length - 1}"}
