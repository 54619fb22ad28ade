"""Building the indexes of a design document's views, waiting for them within bounds, and showing how far they are."""

import sys
import time

import couchdb
from tqdm import tqdm

from dicouch.scripts.connection import CommandError

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
    with tqdm(total=len(views), desc=f"indexes of {name}", unit="view", file=sys.stderr, disable=None) as bar:
        for view in views:
            while not _ready(impatient, name, view):
                if time.monotonic() > deadline:
                    raise CommandError(
                        f"the index of {document['_id']} was not ready within {wait:.0f} s; the old document still"
                        " serves, and pushing again goes on from here"
                    )
                progress = _progress(store, document["_id"])
                if progress is not None:
                    bar.set_postfix_str(f"{view} {progress} %")
            bar.update()


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


def _progress(store: couchdb.Database, document_id: str) -> int | None:
    """Per cent that CouchDB's indexer has done, or None where the database does not tell."""
    server = couchdb.http.Resource(store.resource.url.rpartition("/")[0], store.resource.session)
    server.credentials = store.resource.credentials
    try:
        tasks = server.get_json("_active_tasks")[2]
    except (couchdb.http.HTTPError, OSError):
        return None
    mine = [task for task in tasks if task.get("type") == "indexer" and task.get("design_document") == document_id]
    return min((task.get("progress", 0) for task in mine), default=None)
