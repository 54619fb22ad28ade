"""gunicorn with the shim, ready before the database is: it reads its modules, then waits for its settings on stdin.

    echo '{"COUCHDB_URL": "http://..."}' | python -m scripts.serve

`make run` starts it so; where the database is there already, ``gunicorn --config shim/gunicorn_conf.py`` does the same.
"""

import importlib
import json
import os
import sys
from pathlib import Path

SETTINGS = Path(__file__).resolve().parent.parent / "shim" / "gunicorn_conf.py"


def main():
    """Run the command.

    Returns
    -------
    int
        0 when stdin ends without settings: whoever started it needs it no more.
    """
    wsgiapp = importlib.import_module("gunicorn.app.wsgiapp")
    importlib.import_module("shim.app")
    told = sys.stdin.read()
    if not told:
        return 0
    os.environ.update(json.loads(told))
    sys.argv = ["gunicorn", "--config", str(SETTINGS)]
    return wsgiapp.run()


if __name__ == "__main__":
    sys.exit(main())
