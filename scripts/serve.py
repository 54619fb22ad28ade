"""gunicorn with the shim, ready before the database is: it reads its modules, then waits for its settings on stdin.

    echo '{"COUCHDB_URL": "http://..."}' | python -m dicouch.scripts.serve

`make run` starts it so. Where the database is there already, this does the same:

    gunicorn --config python:dicouch.server.gunicorn_conf
"""

import importlib
import json
import os
import sys

SETTINGS = "python:dicouch.server.gunicorn_conf"


def main() -> int:
    """Run the command.

    Returns
    -------
    int
        0 when stdin ends without settings: the process that started it has given up.
    """
    wsgiapp = importlib.import_module("gunicorn.app.wsgiapp")
    importlib.import_module("dicouch.app")
    told = sys.stdin.read()
    if not told:
        return 0
    os.environ.update(json.loads(told))
    sys.argv = ["gunicorn", "--config", SETTINGS]
    return wsgiapp.run()


if __name__ == "__main__":
    sys.exit(main())
