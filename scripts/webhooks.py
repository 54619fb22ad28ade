"""Send events of what is stored, deleted and corrected to the webhooks of a file.

    dicouch webhooks --file webhooks.toml
    WEBHOOKS=webhooks.toml dicouch webhooks

It works with the database that `dicouch run` uses, or COUCHDB_URL names; `dicouch run` starts it where WEBHOOKS names
the file. Of several such processes one sends. docs/changes.md says how to write the file.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

from dicouch.config import Config
from dicouch.hooks import deliver, rules
from dicouch.scripts import choose, cli, run
from dicouch.scripts.connection import CommandError, database_name
from dicouch.services import Services


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns
    -------
    int
        0 when a signal stopped it, 1 when something failed.
    """
    parser = cli.parser_of("webhooks", __doc__)
    parser.add_argument("--file", default=os.environ.get("WEBHOOKS") or None, help="the webhooks file (WEBHOOKS)")
    options = cli.parse(parser, arguments)
    with run.until_signal() as asked:
        try:
            if not options.file:
                raise CommandError("name the webhooks file with --file or WEBHOOKS (docs/changes.md)")
            hooks = rules.read(options.file)
            with choose.database(choose.data_dir(), running=True) as database:
                name = database_name()
                config = replace(Config.from_environment(), couchdb_url=database.url, couchdb_database=name)
                config = replace(config, event_streams=max(config.event_streams, len(hooks)))
                serve(deliver.Senders(Services.from_config(config), hooks), asked)
        except KeyboardInterrupt:
            run.tell("stopped")
            return 0
        except (CommandError, ValueError, OSError) as error:
            print(f"webhooks: {error}", file=sys.stderr)
    return 1


def serve(senders: deliver.Senders, asked: run.Asked) -> None:
    """Send until a signal comes."""
    told = None
    try:
        while True:
            asked.check()
            sends = senders.look()
            if sends != told:
                run.tell("webhooks    are sent" if sends else "webhooks    another process sends them; this one waits")
                told = sends
            time.sleep(0.5)
    finally:
        asked.stopping = True
        senders.stop()


if __name__ == "__main__":
    sys.exit(main())
