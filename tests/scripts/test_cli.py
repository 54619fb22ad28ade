"""The one command: its table, its help, what it says of mistakes, and completion by the shell."""

import importlib
import os
import re
import runpy
import shlex
import subprocess
import sys
from importlib.metadata import version

import pytest

from dicouch.scripts import cli

COMMAND = [sys.executable, "-m", "dicouch.scripts.cli"]


class Parsed(Exception):
    pass


def helped(name, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([name, "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_the_help_of_a_command_has_examples_that_its_parser_accepts(name, capsys, monkeypatch):
    text = helped(name, capsys)
    assert text.startswith(f"usage: dicouch {name} ")
    examples = re.findall(r"^    (?:\w+=\S+ )*(dicouch .*)$", text, re.MULTILINE)
    assert examples
    parsed = []

    def parse(parser, arguments):
        parsed.append(parser.parse_args(arguments))
        raise Parsed

    monkeypatch.setattr(cli, "parse", parse)
    for example in examples:
        program, *words = shlex.split(example)
        assert (program, words[0]) == ("dicouch", name)
        with pytest.raises(Parsed):
            cli.main(words)
    assert len(parsed) == len(examples)


@pytest.mark.parametrize("name", [name for name in cli.COMMANDS if name != "bench"])  # which has no module that runs
def test_the_module_of_a_command_is_not_silent(name, capsys, monkeypatch):
    """`python -m dicouch.scripts.check_bytes` was the way before there was one command; scripts of sites have it."""
    monkeypatch.setattr(sys, "argv", ["", "--help"])
    monkeypatch.delitem(sys.modules, module := f"dicouch.scripts.{cli.COMMANDS[name].module}", raising=False)
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(module, run_name="__main__")
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: dicouch {name} ")


def test_the_help_lists_every_command(capsys):
    assert cli.main([]) == 0
    text = capsys.readouterr().out
    listed = re.findall(r"^  ([a-z-]+) +(.+)$", text.partition("options:")[0], re.MULTILINE)
    assert listed == [(name, command.summary) for name, command in cli.COMMANDS.items()]
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == text


def test_the_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"dicouch {version('dicouch')}\n"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("laod", "did you mean load?"),
        ("push_views", "did you mean push-views?"),
        ("check-bytes", "did you mean check?"),
        ("zzz", "dicouch --help lists them"),
        ("", "dicouch --help lists them"),
    ],
)
def test_an_unknown_command(name, hint, capsys):
    assert cli.main([name]) == 2
    assert capsys.readouterr().err == f"dicouch: there is no command {name!r}; {hint}\n"


def test_an_unknown_option(capsys):
    for arguments, program in ((["--nothing"], "dicouch"), (["run", "--nothing"], "dicouch run")):
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        assert ended.value.code == 2
        assert f"{program}: error: unrecognized arguments: --nothing" in capsys.readouterr().err


def test_the_help_reads_no_module_of_a_command():
    """What a command needs takes half a second and more to import."""
    code = "import sys; from dicouch.scripts import cli; cli.main([]); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    read = set(done.stderr.split())
    ours = {name for name in read if name.startswith("dicouch")}
    assert ours == {"dicouch", "dicouch.scripts", "dicouch.scripts.cli"}
    assert (
        read & {"requests", "flask", "pydicom", "numpy", "tqdm", "couchdb", "argcomplete", "importlib.metadata"}
        == set()
    )


def test_what_a_command_raises_ends_it_with_one_line(monkeypatch, capsys):
    module = importlib.import_module("dicouch.scripts.load")

    def interrupted(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "main", interrupted)
    assert cli.main(["load", "x"]) == 130
    assert capsys.readouterr().err == "load: stopped; running it again stores the rest\n"

    def missing(arguments):
        raise ModuleNotFoundError("No module named 'psutil'", name="psutil")

    monkeypatch.setattr(module, "main", missing)
    assert cli.main(["load", "x"]) == 2
    assert capsys.readouterr().err == "load: the package psutil is missing: pip install 'dicouch[test]'\n"


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("dicouch lo", {"load"}),
        ("dicouch ", {*cli.COMMANDS, "--help", "--version", "-h"}),
        ("dicouch check --d", {"--digests"}),
        ("dicouch  bench st", {"stow"}),
    ],
)
def test_a_shell_completes(line, completed, tmp_path):
    """The protocol of argcomplete's shell functions: the line in the environment, the words in a file."""
    told = tmp_path / "told"
    asked = {"COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE": "1"}
    environment = os.environ | asked | {"_ARGCOMPLETE_STDOUT_FILENAME": str(told)}
    subprocess.run(COMMAND, env=environment, stdin=subprocess.DEVNULL, timeout=60, check=True)
    assert {word.strip() for word in told.read_text().split("\v")} == completed
