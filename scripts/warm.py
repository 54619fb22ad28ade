"""Building the indexes of a design document's views, waiting for them within bounds, and showing how far they are."""

import time

import couchdb

from dicouch.scripts.connection import CommandError
from dicouch.scripts.progress import Bar

# One request waits this long before it is asked again; the database goes on building in the meantime.
PATIENCE = 5.0
# What CouchDB answers for a moment after a design document was written, while it closes the index of the one before.
CHANGING = ("updated or deleted", "ddoc_updated")
# Seconds to wait after such an answer, and how often.
PAUSE, MOST = 0.05, 100


def warm(store: couchdb.Database, document: dict, *, wait: float = 900.0) -> None:
    """Query every view of a stored design document until its index is complete.

    Parameters
    ----------
    store : couchdb.Database
        The database.
    document : dict
        The stored design document.
    wait : float
        Seconds for all views together.

    Raises
    ------
    CommandError
        When the indexes are not complete in time. The database keeps what it has built.
    """
    deadline = time.monotonic() + wait
    name = document["_id"].removeprefix("_design/")
    views = sorted(view for view in document.get("views", {}) if view != "lib")
    impatient = _impatient(store)
    with Bar(total=len(views), desc=f"indexes of {name}", unit=" views") as bar:
        known: dict[str, tuple[int, int]] = {}
        for view in views:
            while not _ready(impatient, name, view):
                if time.monotonic() > deadline:
                    raise CommandError(
                        f"the index of {document['_id']} was not ready within {wait:.0f} s; the old document still"
                        " serves, and pushing again goes on from here"
                    )
                # An index that is complete has no task any more.
                known |= {one: (total, total) for one, (_done, total) in known.items()} | _changes(
                    store, document["_id"]
                )
                if known:
                    done, total = (sum(numbers) for numbers in zip(*known.values(), strict=True))
                    bar.unit, bar.total = " documents", total
                    bar.update(done - bar.n)
            if not known:
                bar.update()
        bar.update(bar.total - bar.n)


def _impatient(store: couchdb.Database) -> couchdb.Database:
    """The same database through a session whose requests give up soon."""
    session = couchdb.http.Session(timeout=PATIENCE)
    database = couchdb.Database(store.resource.url, store.name, session=session)
    database.resource.credentials = store.resource.credentials
    return database


def _ready(store: couchdb.Database, name: str, view: str) -> bool:
    """Ask for one row, which waits for the index: False when it is still being built."""
    for attempt in range(1, MOST + 1):
        try:
            store.resource("_design", name, "_view", view).get_json(limit=1)
            return True
        except TimeoutError:
            return False
        except (couchdb.http.ServerError, couchdb.http.ResourceNotFound) as error:
            # A cluster gives up on its own after a while, with a timeout as the reason.
            if isinstance(error, couchdb.http.ServerError) and "timeout" in str(error).lower():
                return False
            if attempt == MOST or not any(sign in str(error) for sign in CHANGING):
                raise
            time.sleep(PAUSE)
    raise AssertionError("unreachable: the last attempt returns or raises")


def _changes(store: couchdb.Database, document_id: str) -> dict[str, tuple[int, int]]:
    """Return, of each shard that CouchDB's indexer works on, the changes done and all; empty where it does not tell."""
    server = couchdb.http.Resource(store.resource.url.rpartition("/")[0], store.resource.session)
    server.credentials = store.resource.credentials
    try:
        tasks = server.get_json("_active_tasks")[2]
    except (couchdb.http.HTTPError, OSError):
        return {}
    # Other databases may have a design document of this name; a shard is shards/RANGE/NAME.TIME.
    mine = [
        task
        for task in tasks
        if (task.get("type"), task.get("design_document")) == ("indexer", document_id)
        and task["database"].split("/", 2)[-1].rpartition(".")[0] == store.name
    ]
    return {task["database"]: (task["changes_done"], task["total_changes"]) for task in mine}
