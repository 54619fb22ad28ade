"""Take part in DIMSE: receive, find and send instances for modalities and archives that speak no DICOMweb.

    dicouch storescp
    dicouch storescp --peers peers.toml
    storescu -R 127.0.0.1 11112 image.dcm

It works with the database that `dicouch run` uses, or COUCHDB_URL names, and starts one where there is none. Without a
peers file only this machine can associate; docs/dimse.md says how to write one.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

from dicouch.config import Config
from dicouch.couch.client import Couch
from dicouch.dimse import commitment, forward, peers
from dicouch.dimse.peers import Settings
from dicouch.dimse.queue import FAILED, queued
from dicouch.dimse.server import Listener, spooled
from dicouch.scripts import choose, cli, run
from dicouch.scripts.commands import print_failed
from dicouch.scripts.connection import CommandError, database_name
from dicouch.server import listening
from dicouch.services import Services

# Seconds that associations have to end when the command stops.
GRACE = 10.0


def settings_of(path: str | None, bind: str | None, title: str | None) -> Settings:
    """Read the peers file, where there is one; arguments count more than it.

    Raises
    ------
    CommandError
        When it makes no sense, or strangers would reach a server that lets everybody in.
    """
    try:
        read = peers.read(path) if path else peers.OPEN
    except ValueError as problem:
        raise CommandError(str(problem)) from problem
    made = replace(read, bind=bind or read.bind, ae_title=title or read.ae_title)
    host, port = run.parse_bind(made.bind)
    beyond = [one for one in listening.addresses_of(host, port) if not listening.is_local(one)]
    if beyond and not path and Config.from_environment().open_to_the_network != "yes":
        raise CommandError(
            f"whoever reaches {made.bind} could store and read every study: list who may in a peers file (--peers), "
            "or set OPEN_TO_THE_NETWORK=yes if this is meant (docs/dimse.md)"
        )
    return made


def serve(settings: Settings, config: Config, asked: run.Asked) -> None:
    """Listen until a signal comes."""
    host, port = run.parse_bind(settings.bind)
    run.check_free(host, port)
    services = Services.from_config(config)
    services.memory.start()
    with spooled(config.spool_dir, port) as folder:
        listener = Listener(services, settings, folder)
        try:
            server = listener.start(host, port)
        except (OSError, ValueError) as problem:
            raise CommandError(f"cannot listen on {settings.bind}: {problem}") from problem
        run.tell(f"DIMSE       {settings.ae_title} on {settings.bind}{' with TLS' if settings.tls else ''}")
        try:
            while True:
                asked.check()
                time.sleep(0.5)
        finally:
            asked.stopping = True
            server.shutdown()
            for worker in (listener.forwarder, listener.committer):
                worker.stop()
            deadline = time.monotonic() + GRACE
            while any(one.is_established for one in listener.ae.active_associations) and time.monotonic() < deadline:
                time.sleep(0.1)
            listener.ae.shutdown()


def show_queue(couch: Couch) -> None:
    """Print what waits to be forwarded or reported, and what was given up."""
    waiting: Counter[str] = Counter()
    failed = []
    for document in chain(queued(couch, forward.KIND), queued(couch, commitment.KIND)):
        what, to = document.get("instance", "a report"), document.get("to") or document["calling"]
        if document["state"] == FAILED:
            failed.append((f"{what} to {to}", str(document.get("reason", ""))))
        else:
            waiting[to] += 1
    for target, count in sorted(waiting.items()):
        print(f"waiting         {count:>8}  {target}")
    print_failed(failed)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns
    -------
    int
        0 when a signal stopped it, 1 when something failed.
    """
    parser = cli.parser_of("storescp", __doc__)
    parser.add_argument("--peers", metavar="FILE", default=os.environ.get("PEERS") or None, help="the peers file")
    parser.add_argument("--bind", metavar="HOST:PORT", help=f"where to listen; {peers.DEFAULT_BIND} if nothing says so")
    parser.add_argument("--ae-title", metavar="TITLE", help="this server's AE title")
    parser.add_argument("--queue", action="store_true", help="show what waits to be forwarded, and end")
    options = cli.parse(parser, arguments)
    with run.until_signal() as asked:
        try:
            settings = settings_of(options.peers, options.bind, options.ae_title)
            with choose.database(choose.data_dir(), running=True) as database:
                name = database_name()
                if options.queue:
                    show_queue(Couch(database.url, name))
                    return 0
                run.push(database, name, asked)
                config = replace(Config.from_environment(), couchdb_url=database.url, couchdb_database=name)
                serve(settings, config, asked)
        except KeyboardInterrupt:
            run.tell("stopped")
            return 0
        except (CommandError, ValueError, OSError) as error:
            told = str(error).replace("SHIM_BIND=host:port", "--bind HOST:PORT").replace("SHIM_BIND", "--bind")
            print(f"storescp: {told}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
