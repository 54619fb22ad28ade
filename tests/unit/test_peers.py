"""The peers file: what it may say, and whom it lets in."""

import pytest

from dicouch.dimse import peers
from dicouch.dimse.peers import Rule


def read(tmp_path, text):
    path = tmp_path / "peers.toml"
    path.write_text(text)
    return peers.read(path)


def test_everything(tmp_path):
    made = read(
        tmp_path,
        """
        ae_title = "ARCHIVE"
        bind = "0.0.0.0:104"
        check_called = false
        unknown_callers = ["store"]
        associations = 5
        idle_timeout = 30
        [[peer]]
        ae_title = "CT1"
        host = "127.0.0.1"
        port = 105
        may = ["query"]
        tls = true
        [[forward]]
        to = "CT1"
        modality = ["CT", "MR"]
        attempts = 2
        """,
    )
    assert (made.ae_title, made.bind, made.check_called, made.associations) == ("ARCHIVE", "0.0.0.0:104", False, 5)
    assert made.peers["CT1"].tls
    assert made.idle_timeout == 30
    assert made.rules == (Rule("CT1", ("CT", "MR"), attempts=2),)
    assert made.rights("CT1", "127.0.0.1") == ("query",)
    assert made.rights("CT1", "10.0.0.1") is None  # its host is another
    assert made.rights("OTHER", "10.0.0.1") == ("store",)


def test_strangers_are_refused_unless_the_file_lets_them_in(tmp_path):
    assert read(tmp_path, '[[peer]]\nae_title = "CT1"').rights("OTHER", "127.0.0.1") is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ae_title = 5", "ae_title must be a text"),
        ('ae_title = "SEVENTEEN LETTERS"', "no AE title"),
        ('colour = "red"', "no setting 'colour'"),
        ('peers = "x"', "no setting 'peers'"),
        ("associations = 0", "from 1 to 65535"),
        ("check_called = 1", "true or false"),
        ('unknown_callers = ["delete"]', "'delete' is not one of store, query, retrieve"),
        ("[peer]\nae_title = 'A'", "write [[peer]]"),
        ("[[peer]]", "missing 1 required"),
        ('[[peer]]\nae_title = "A"\nhost = "h"', "both host and port"),
        ('[[peer]]\nae_title = "A"\n[[peer]]\nae_title = "A"', "there twice"),
        ('[[forward]]\nto = "NOBODY"', "neither a URL nor a peer"),
        ('[[peer]]\nae_title = "A"\nmay = "store"', "a list of texts"),
        ('[[peer]]\nae_title = "A"\nhost = "h"\nport = "104"', "peer 1: port must be a whole number"),
        ('[[peer]]\nae_title = "A"\n[[peer]]\nae_title = "B"\nhost = "h"\nport = 70000', "peer 2: port must be from"),
        ('[[peer]]\nae_title = "A"\n[[forward]]\nto = "A"', "neither a URL nor a peer with host and port"),
        ('[[forward]]\nto = "https://a"\nmodality = "CT"', "forward 1: modality must be a list"),
        ("tls = true", "tls must be a table"),
        ('[tls]\ncertificate = "c.pem"', "tls: missing 1 required"),
        ('[tls]\ncertificate = "c.pem"\nkey = "k.pem"', "tls: certificate c.pem and key k.pem: [Errno 2] No such file"),
        ('[[peer]]\nae_title = "A"\ntls = true\nca = "/dev/null"', "peer A: ca /dev/null: "),
        (
            '[[peer]]\nae_title = "A"\ntls = true\ncertificate = "c.pem"',
            "peer A: certificate c.pem and key : [Errno 2]",
        ),
        ("idle_timeout = 0", "idle_timeout must be from 1"),
        ("[[[", "peers.toml"),
    ],
)
def test_what_makes_no_sense_is_named(tmp_path, text, told):
    with pytest.raises(ValueError, match="peers.toml") as problem:
        read(tmp_path, text)
    assert told in str(problem.value)


@pytest.mark.parametrize(
    ("rule", "matches"),
    [
        (Rule("X"), True),
        (Rule("X", modality=("CT",)), True),
        (Rule("X", modality=("MR",)), False),
        (Rule("X", modality=("CT",), calling=("OTHER",)), False),
        (Rule("X", calling=("CT1",), sop_class=("1.2",)), True),
        (Rule("X", sop_class=("1.3",)), False),
    ],
)
def test_rules(rule, matches):
    assert rule.matches("CT", "CT1", "1.2") is matches


def test_a_file_that_is_not_there_or_no_text_is_named(tmp_path):
    with pytest.raises(ValueError, match="nowhere.toml.*No such file"):
        peers.read(tmp_path / "nowhere.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="binary.toml.*utf-8"):
        peers.read(tmp_path / "binary.toml")
