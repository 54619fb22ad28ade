"""The one command, ``dicouch``: a table of commands, each in a module of its own that is read when it is asked for.

A new command is a line of `COMMANDS` and a module with a function ``main(arguments) -> int``. That function makes its
parser with `parser_of` and reads its arguments with `parse`, so that its docstring is its help and shells complete it.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NamedTuple


class Command(NamedTuple):
    """A command of the table.

    Attributes
    ----------
    module : str
        Below `dicouch.scripts`.
    summary : str
        What it does, for ``dicouch --help``.
    again : str
        What a second run does after Ctrl-C; empty where there is nothing to say.
    """

    module: str
    summary: str
    again: str = ""


COMMANDS = {
    "run": Command("run", "set everything up and serve DICOMweb until it is stopped"),
    "load": Command("load", "upload a folder of DICOM files, or link its files in place", "stores the rest"),
    "import-chronicle": Command(
        "chronicle.main", "bring in the database of a SlicerChronicle or dicomweb-server", "goes on where it was"
    ),
    "demo": Command("demo", "load example studies, show three requests and the studies in a viewer", "stores the rest"),
    "storescp": Command("storescp", "receive, find and send by DIMSE, for what speaks no DICOMweb"),
    "webhooks": Command("webhooks", "send events of what is stored, deleted and corrected to webhooks"),
    "replicate": Command("replicate", "replicate studies to another database, once or for good", "begins anew"),
    "push-views": Command(
        "push_views", "deploy the design documents to the database", "goes on; until then the old indexes serve"
    ),
    "explain": Command("explain", "show how a search is run, and what it reads"),
    "check": Command("check_bytes", "look whether the bytes of all instances are there", "looks at the rest"),
    "move-bytes": Command("move_bytes", "move Part 10 bytes elsewhere while the server serves", "moves the rest"),
    "rebuild-headers": Command(
        "rebuild_headers", "make the headers of studies and series anew from their instances", "goes on with the rest"
    ),
    "bench": Command("bench.main", "measure beside bare CouchDB and Orthanc"),
}
"""What ``dicouch NAME`` runs, in the order in which the help lists it."""

EPILOG = """\
`dicouch NAME --help` says how each is used. Settings are environment variables: README.md lists them.

examples:
    dicouch run
    dicouch load ~/images
    dicouch explain 'studies?PatientName=DOE*'

completion of names and options in bash (register-python-argcomplete --help has other shells):
    eval "$(register-python-argcomplete dicouch)"
"""
STOPPED = 130  # as a shell says of what SIGINT ended


def parser_of(name: str, told: str | None) -> argparse.ArgumentParser:
    """Return the parser of a command, without arguments yet.

    Parameters
    ----------
    name : str
        Of the command.
    told : str
        The help: the docstring of the command's module.
    """
    return argparse.ArgumentParser(
        prog=f"dicouch {name}", description=told, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the arguments of a command, or tell the shell how they can go on."""
    if "_ARGCOMPLETE" in os.environ:
        importlib.import_module("argcomplete").autocomplete(parser)  # ends the process
    return parser.parse_args(arguments)


def _words_to_complete() -> list[str]:
    """Return the command on the line that a shell wants completed; none while its name is being written."""
    line = os.environ["COMP_LINE"].encode()[: int(os.environ["COMP_POINT"])].decode(errors="ignore")
    words = line.split()
    if len(words) + line[-1:].isspace() < 3 or words[1] not in COMMANDS:
        return []
    os.environ["_ARGCOMPLETE"] = "2"  # the number of words that stand for the program
    return words[1:2]


def _no_command(name: str) -> int:
    difflib = importlib.import_module("difflib")
    named = [one for one, command in COMMANDS.items() if command.module == name.replace("-", "_")]
    near = named or difflib.get_close_matches(name, COMMANDS, 1, 0.5)
    hint = f"did you mean {near[0]}?" if near else "dicouch --help lists them"
    print(f"dicouch: there is no command {name!r}; {hint}", file=sys.stderr)
    return 2


def _read_options(arguments: Sequence[str]) -> int:
    """Answer ``dicouch``, ``dicouch --help`` and ``dicouch --version``."""
    listed = "\n".join(f"  {name:<17}{command.summary}" for name, command in COMMANDS.items())
    parser = parser_of("", f"A DICOMweb server whose query logic lives in CouchDB.\n\ncommands:\n{listed}")
    parser.prog, parser.epilog, parser.usage = "dicouch", EPILOG, "dicouch NAME [ARGUMENT ...]"
    parser.add_argument("--version", action="store_true", help="show the version and end")
    if "_ARGCOMPLETE" in os.environ:
        parser.add_argument("name", choices=COMMANDS)
    if parse(parser, arguments).version:
        print(f"dicouch {importlib.import_module('importlib.metadata').version('dicouch')}")
    else:
        parser.print_help()
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the first argument names.

    Returns
    -------
    int
        What the command returns; 2 for an unknown one, 130 when it was interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if "_ARGCOMPLETE" in os.environ:
        words = _words_to_complete()
    name = words[0] if words else "--help"
    if name.startswith("-"):
        return _read_options(words)
    command = COMMANDS.get(name)
    if command is None:
        return _no_command(name)
    try:
        return importlib.import_module(f"dicouch.scripts.{command.module}").main(words[1:])
    except ModuleNotFoundError as missing:
        if not missing.name or missing.name.startswith("dicouch"):
            raise
        print(f"{name}: the package {missing.name} is missing: pip install 'dicouch[test]'", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{name}: stopped" + (f"; running it again {command.again}" if command.again else ""), file=sys.stderr)
        return STOPPED


if __name__ == "__main__":
    sys.exit(main())
