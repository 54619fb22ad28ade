"""Three sites that store, delete and correct on their own and exchange documents now and then come to the same."""

from __future__ import annotations

import hashlib
import random
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from itertools import product

import pytest
import requests

from dicouch.app import create_app
from dicouch.config import Config
from dicouch.errors import DicomWebError
from dicouch.rewrite.selection import Selection
from dicouch.services import Services
from dicouch.write import ingest
from dicouch.write.conflicts import Conflicts, Fix
from dicouch.write.delete import Deleter
from dicouch.write.ingest import Ingest
from dicouch.write.reconcile import Reconciler, mark
from tests.made import instance
from tests.server import push

NAME = "00100010"
STUDIES = ("7.1", "7.2")
EVERYTHING = Selection()
# Seeds of a short run; --all has 40.
SHORT = (0,)


@contextmanager
def unless(*statuses: int) -> Iterator[None]:
    """Let refusals with these statuses pass."""
    try:
        yield
    except DicomWebError as problem:
        if problem.status not in statuses:
            raise


@dataclass
class Site:
    """A database, and a server in this process."""

    url: str
    bytes: str = "attachment"

    @cached_property
    def config(self) -> Config:
        root, _, name = self.url.rpartition("/")
        return Config(root, name, bytes=self.bytes, remember=0)

    @cached_property
    def services(self) -> Services:
        return Services.from_config(self.config)

    @cached_property
    def client(self):
        return create_app(self.config).test_client()

    @cached_property
    def reconciler(self) -> Reconciler:
        return Reconciler(self.services.couch, self.services.store)

    def store(self, data: bytes) -> None:
        own = self.services
        storing = Ingest(own.couch, own.store, own.memory)
        received = storing.read(BytesIO(data), len(data), hashlib.sha256(data).hexdigest(), 0)
        outcome = storing.store(received)
        assert not outcome.failure, outcome.comment
        storing.headers.settle({})

    def delete(self, *place: str) -> None:
        own = self.services
        with unless(404):
            Deleter(own.couch, own.store, own.memory, None).delete(*place)

    def fix(self, study: str, fix: Fix) -> None:
        with unless(404, 409):
            Conflicts(self.services.couch, None).fix(study, fix)

    def answers(self) -> dict[str, object]:
        """Return what it answers: searches, metadata, bytes; and what it keeps."""
        told: dict[str, object] = {}
        for path in ("studies?includefield=all", "series?includefield=all", "instances?includefield=all"):
            answer = self.client.get(f"/dicom-web/{path}")
            told[path] = answer.get_json() if answer.status_code == 200 else []
        for study in STUDIES:
            answer = self.client.get(f"/dicom-web/studies/{study}/metadata")
            told[f"metadata {study}"] = answer.get_json() if answer.status_code == 200 else None
        for row in told["instances?includefield=all"]:
            uids = [row[tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018")]
            path = "/dicom-web/studies/{}/series/{}/instances/{}".format(*uids)
            answer = self.client.get(path, headers={"Accept": "application/dicom; transfer-syntax=*"})
            assert answer.status_code == 200
            told[path] = answer.data
        return told

    def leaves(self) -> dict[str, list[str]]:
        """Return the live revisions of all documents, the one that is read first."""
        params = {"include_docs": "true", "conflicts": "true"}
        rows = requests.get(f"{self.url}/_all_docs", params=params, timeout=60).json()["rows"]
        docs = [row["doc"] for row in rows if not row["id"].startswith("_design/")]
        return {doc["_id"]: [doc["_rev"], *sorted(doc.get("_conflicts", []))] for doc in docs}


def copy(source: Site, target: Site, selection: Selection = EVERYTHING) -> None:
    """Replicate once, by the database."""
    root = target.url.rpartition("/")[0]
    body = {"source": source.url, "target": target.url, "selector": selection.selector()}
    answer = requests.post(f"{root}/_replicate", json=body, timeout=120)
    assert answer.ok, answer.text
    assert answer.json()["ok"]


def settle(sites: list[Site]) -> None:
    """Exchange everything until nothing is written any more; without an end, servers would correct each other."""
    for _round in range(6):
        written = sum(site.reconciler.catch_up().written for site in sites)
        leaves = [site.leaves() for site in sites]
        if not written and all(one == leaves[0] for one in leaves):
            return
        pairs = [pair for pair in product(sites, sites) if pair[0] is not pair[1]]
        with ThreadPoolExecutor(len(pairs)) as pool:
            list(pool.map(lambda pair: copy(*pair), pairs))
    raise AssertionError("the sites do not come to an end")


def check(sites: list[Site]) -> None:
    """Hold the answers of all against each other, and headers against what their instances say."""
    told = [site.answers() for site in sites]
    assert told[1] == told[0]
    assert told[2] == told[0]
    couch = sites[0].services.couch
    for study in STUDIES:
        metadata = sites[0].client.get(f"/dicom-web/studies/{study}/instances?includefield=all").get_json() or []
        documents = [
            couch.get(":".join(row[tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018")))
            for row in metadata
        ]
        if not documents:
            continue
        header = couch.get(f"{study}:study")
        fix = header.get("fixes", {}).get(NAME)
        said = [fix["original"] if fix else header["dataset"][NAME]]
        said += [entry["value"] for entry in header["variants"].get(NAME, [])]
        names = {document["dataset"][NAME]["Value"][0]["Alphabetic"] for document in documents}
        assert {one["Value"][0]["Alphabetic"] for one in said} == names
        assert set(header["series"]) == {document["_id"].split(":")[1] for document in documents}


@pytest.fixture(scope="module")
def sites(database):
    made = [Site(f"{database.url}/site-{letter}-{uuid.uuid4().hex[:8]}") for letter in "abc"]
    for site in made:
        requests.put(site.url, timeout=30).raise_for_status()
        push(*site.url.rsplit("/", 1))
        mark(site.services.couch)
    yield made
    for site in made:
        requests.delete(site.url, timeout=60).raise_for_status()


def a_file(study: str, series: int, number: int, name: str, pixel: int = 0) -> bytes:
    modality = "CT" if series == 1 else "MR"
    return instance(
        study,
        f"{study}.{series}",
        f"{study}.{series}.{number}",
        PatientName=name,
        Modality=modality,
        InstanceNumber=str(number),
        pixels=bytes([pixel]) * 32,
    )


def act(site: Site, rng: random.Random) -> None:
    study, series, number = rng.choice(STUDIES), rng.randint(1, 2), rng.randint(1, 2)
    chosen = rng.random()
    if chosen < 0.55:
        site.store(a_file(study, series, number, rng.choice(["Doe^A", "Doe^B", "Doe^C"]), rng.randint(0, 1)))
    elif chosen < 0.75:
        place = (study, f"{study}.{series}", f"{study}.{series}.{number}")
        site.delete(*place[: rng.choice([1, 2, 3, 3])])
    elif chosen < 0.95:
        change = {"value": rng.choice(["Roe^X", "Roe^Y"])} if rng.random() < 0.7 else {"undo": True}
        site.fix(study, Fix(NAME, change, rng.choice(["Ann", "Bob"]), undo="undo" in change))
    else:
        site.reconciler.catch_up()


def test_random_histories(sites, request):
    long = request.config.getoption("--all")
    for seed in range(40) if long else SHORT:
        rng = random.Random(seed)
        for _step in range(rng.randint(12, 24)):
            act(rng.choice(sites), rng)
            if rng.random() < 0.2:  # the connections between the others are cut
                copy(*rng.sample(sites, 2))
        settle(sites)
        check(sites)


@pytest.mark.parametrize("small", [1 << 20, 0])
def test_other_bytes_that_are_stored_behind_a_deletion(sites, monkeypatch, small):
    """A site that saw neither the deletion nor what came of it has the new bytes, not those that it had."""
    monkeypatch.setattr(ingest, "SMALL", small)
    one, two = sites[:2]
    uids = ("7.4", "7.4.1", f"7.4.1.{small}")
    files = [instance(*uids, pixels=bytes([pixel]) * 32) for pixel in range(2)]
    one.store(files[0])
    copy(one, two)
    one.delete(*uids)
    one.store(files[1])
    copy(one, two)
    for site in (one, two):
        path = f"{site.url}/{':'.join(uids)}/object.dcm"
        assert requests.get(path, timeout=30).content == files[1]


@pytest.mark.one_database("embedded")
def test_parts_of_a_study_do_not_go_to_and_fro(sites):
    """A server cannot know what others have: none takes out of a header for ever what another adds."""
    one, two, three = sites
    ct = Selection(modality="CT")
    one.store(instance("7.3", "7.3.1", "7.3.1.1", Modality="CT"))
    two.store(instance("7.3", "7.3.2", "7.3.2.1", Modality="MR", PatientName="Doe^B"))
    mark(one.services.couch, partial=True)
    for _round in range(4):
        for source, target, selection in (
            (one, two, ct),
            (two, one, ct),
            (one, three, EVERYTHING),
            (three, one, EVERYTHING),
        ):
            copy(source, target, selection)
        written = [site.reconciler.catch_up().written for site in sites]
    assert written == [0, 0, 0]
    leaves = [site.leaves()["7.3:study"] for site in sites]
    assert leaves == [leaves[0]] * 3
    assert set(one.services.couch.get("7.3:study")["series"]) == {"7.3.1", "7.3.2"}
    assert len(two.client.get("/dicom-web/studies/7.3/instances").get_json()) == 2
    assert len(three.client.get("/dicom-web/studies/7.3/instances").get_json()) == 1
