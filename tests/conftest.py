"""The databases that tests run on: the embedded one always, Apache CouchDB when there is one."""

from __future__ import annotations

import os
import re
import sys
import uuid
import zlib
from collections.abc import Iterator

import pytest
import requests
from hypothesis import HealthCheck, settings

from dicouch.scripts.databases import Database, DatabaseError, embedded, find_couchdb, private_couchdb

# Each process of tests reads two hundred modules: what one of them compiled, the others need not.
sys.dont_write_bytecode = False

# The same examples at every run, so that a run says something of the change that it tests. Others are looked for with
# make test ARGS=--hypothesis-profile=search
# How fast examples are made tells of the machine and what else it does, not of them.
settings.register_profile("steady", derandomize=True, suppress_health_check=[HealthCheck.too_slow], deadline=None)
settings.register_profile("search", derandomize=False)
settings.load_profile("steady")

# Servers are started hundreds of times; compiling the package each time takes a third of a second of a processor.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

EXTENT = {"all": False}
USED = pytest.StashKey[list]()
# What could not be tested, and why: lines of the summary.
MISSING = pytest.StashKey[list]()
KINDS = ("embedded", "couchdb")
# Modules that share a server with files that take long to store.
TOGETHER = ("tests/clients/", "tests/integration/test_(store_and_retrieve|stow_listing)")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--all", action="store_true", help="run on both databases what one is enough for, and every part of the bench"
    )


def pytest_configure(config: pytest.Config) -> None:
    EXTENT["all"] = config.getoption("--all")
    config.stash[USED] = []
    config.stash[MISSING] = []
    config.pluginmanager.register(Summary())
    config.addinivalue_line(
        "markers", "one_database(name): what is tested does not depend on the database, this one is enough"
    )
    config.addinivalue_line("markers", "either_database: of many cases of one kind each is tried on one of the two")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log):
    """Keep the tests of one module and one database in one process, and those that share what is dear to make."""
    from xdist.scheduler import LoadScopeScheduling  # not there when somebody runs the tests in one process

    class ByDatabase(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file, _, rest = nodeid.partition("::")
            kind = next((kind for kind in KINDS if rest.partition("[")[2].startswith(kind)), "")
            # The tests of a database come one after the other, so that a process starts each database once.
            return f"{kind} {next((shared for shared in TOGETHER if re.match(shared, file)), file)}"

    return ByDatabase(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where both databases are, leave one out for the tests that name the other as enough."""
    if config.getoption("--all") or not (os.environ.get("COUCHDB_TEST_URL") or find_couchdb()):
        return
    second = [item for item in items if _is_second(item)]
    config.hook.pytest_deselected(items=second)
    items[:] = [item for item in items if item not in set(second)]


def _is_second(item: pytest.Item) -> bool:
    params = item.callspec.params if hasattr(item, "callspec") else {}
    # Tests that start a database of their own have its kind.
    kind = next((params[name] for name in ("database", "kind") if params.get(name) in KINDS), None)
    if kind is None:
        return False
    if marker := item.get_closest_marker("one_database"):
        return kind != marker.args[0]
    if item.get_closest_marker("either_database"):
        return kind != KINDS[zlib.crc32(item.nodeid.replace(kind, "", 1).encode()) % 2]
    return False


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell the process that prints the summary, where this is another one, what was used here."""
    if (told := getattr(session.config, "workeroutput", None)) is not None:
        told["databases"] = session.config.stash[USED], session.config.stash[MISSING]


class Summary:
    """What the processes tell, when there are several."""

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node) -> None:
        used, missing = getattr(node, "workeroutput", {}).get("databases", ([], []))
        node.config.stash[USED] += used
        node.config.stash[MISSING] += missing


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    used = list(dict.fromkeys(config.stash[USED]))
    if used or config.stash[MISSING]:
        terminalreporter.write_line(f"Databases: {', '.join(used) or 'none'}", bold=True)
    for line in dict.fromkeys(config.stash[MISSING]):
        terminalreporter.write_line(f"NOT TESTED {line}", red=True, bold=True)


def share(most: int, part: int = 3) -> int:
    """Return how many of so many cases of one kind are tried: all with `--all`, else one in three."""
    return most if EXTENT["all"] else max(1, most // part)


def skip(config: pytest.Config, where: str, reason: str) -> None:
    """Skip the test that runs, and have the summary say what was not tested, whichever process prints it."""
    config.stash[MISSING].append(f"{where}: {reason}")
    pytest.skip(reason)


def _given(url: str) -> Database:
    """Describe a running CouchDB that the environment names."""
    welcome = requests.get(url, timeout=10)
    welcome.raise_for_status()
    return Database(
        url.rstrip("/"), f"Apache CouchDB {welcome.json()['version']}", f"{url.rstrip('/')}/_utils/", "", ""
    )


@pytest.fixture(scope="session", params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """One running database after the other; ``COUCHDB_TEST_URL`` may name a running CouchDB."""
    config = request.config
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "embedded":
        with embedded(folder) as running:
            config.stash[USED].append(running.name)
            yield running
        return
    if given := os.environ.get("COUCHDB_TEST_URL"):
        running = _given(given)
        config.stash[USED].append(running.name)
        yield running
        return
    if not find_couchdb():
        reason = "no `couchdb` on PATH or in /opt/couchdb/bin, and COUCHDB_TEST_URL is not set"
        skip(config, "on Apache CouchDB", reason)
    try:
        with private_couchdb(folder) as running:
            config.stash[USED].append(running.name)
            yield running
    except DatabaseError as error:
        pytest.fail(str(error))


@pytest.fixture(scope="module")
def fresh_database(database: Database) -> Iterator[str]:
    """Give the URL, with credentials, of a new database that this test module has to itself."""
    url = f"{database.url}/test-{uuid.uuid4().hex}"
    requests.put(url, timeout=30).raise_for_status()
    yield url
    requests.delete(url, timeout=60).raise_for_status()
