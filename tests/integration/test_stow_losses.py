"""Where other servers lose data or refuse whole requests at STOW: nothing is lost here (PS3.18 10.5, RFC 2046 5.1)."""

import json
import secrets
import socket
from urllib.parse import urlsplit

import pytest
import requests

from tests.awkward_files import ROOT, proper
from tests.unit.made_part10 import element, image

# What depends on the database are the writes, and those are the same in all.
pytestmark = pytest.mark.either_database

REFERENCED, FAILED, OTHER = "00081199", "00081198", "0008119A"
BOUNDARY = "a-boundary"


def unique(pixels: bytes = bytes(8), **uids: str) -> bytes:
    """Return an image that breaks no rule, whose UIDs nobody else has."""
    columns = 100 if len(pixels) > 10_000 else 1
    return proper(*image(len(pixels) // 2 // columns, columns), element(0x7FE00010, "OW", pixels), **uids)


def post(server, data, content_type=f'multipart/related; type="application/dicom"; boundary={BOUNDARY}', **headers):
    return requests.post(
        f"{server.url}/studies",
        data=data,
        headers={"Content-Type": content_type, "Accept": "application/dicom+json", **headers},
        timeout=60,
    )


def part(content: bytes, head: str = "Content-Type: application/dicom\r\n", after: str = "") -> bytes:
    return f"--{BOUNDARY}{after}\r\n{head}\r\n".encode() + content + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()


def items(answer, tag=REFERENCED):
    return answer.json().get(tag, {}).get("Value", [])


def assert_stored(answer, *contents):
    """Every content is answered as stored, and comes back bit for bit."""
    assert answer.status_code in (200, 202), answer.text
    stored = items(answer)
    assert len(stored) == len(contents)
    retrieved = []
    for item in stored:
        accept = "application/dicom; transfer-syntax=*"
        got = requests.get(item["00081190"]["Value"][0], headers={"Accept": accept}, timeout=60)
        assert got.status_code == 200, got.text
        retrieved.append(got.content)
    assert sorted(retrieved) == sorted(contents)


@pytest.mark.parametrize(
    "head",
    [
        "Content-Type: application/dicom; transfer-syntax=1.2.840.10008.1.2.1\r\n",
        'Content-Type: application/dicom;transfer-syntax="1.2.840.10008.1.2.1"\r\n',
        "content-type:application/dicom\r\n",
        "Content-Type: application/octet-stream\r\n",
        "",
        "Content-Length: 1\r\nMIME-Version: 1.0\r\nContent-Type: application/dicom\r\nContent-Location: a/b\r\n",
        "X-Folded: a\r\n b\r\nContent-Type: application/dicom\r\n",
    ],
)
def test_headers_of_a_part(server, head):
    one, two = unique(), unique()
    assert_stored(post(server, part(one, head) + part(two, head) + END), one, two)


def test_blanks_after_a_boundary(server):
    one, two = unique(), unique()
    assert_stored(post(server, part(one, after="  ") + part(two, after="\t ") + END[:-2] + b"  \r\n"), one, two)


def test_preamble_and_epilogue(server):
    one = unique()
    assert_stored(post(server, b"This is a message.\r\n\r\n" + part(one) + END + b"\r\nThe end.\r\n"), one)


@pytest.mark.parametrize(
    "inside",
    ["--{0}", "\r\n--{0}x", "--{0}--", "\r\n--{0}-", "x\r\n-{0}\r\n", "\n--{0}\n", "{0}\r\n\r\n"],
)
def test_the_boundary_inside_pixel_data(server, inside):
    one = unique(b"pixels" + inside.format(BOUNDARY).encode() + b"end of them"), unique()
    assert_stored(post(server, part(one[0]) + part(one[1]) + END), *one)


def test_a_line_that_begins_with_the_boundary_is_told(server):
    """Such a line must not be in a part (RFC 2046 5.1.1); whatever was lost by it, the sender learns of it."""
    one, two = unique(), unique(b"pixels\r\n--" + BOUNDARY.encode() + b" and more\r\n")
    answer = post(server, part(one) + part(two) + END)
    assert answer.status_code == 202
    assert_stored(answer, one)
    assert "part 2" in answer.headers["Warning"]
    assert post(server, part(two) + END).status_code == 400


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/related; type=application/dicom; boundary={0}",
        'multipart/related; boundary="{0}"; type="application/dicom"',
        "multipart/related; boundary={0}",
        'MULTIPART/Related;TYPE="Application/DICOM";BOUNDARY={0}',
        'multipart/related; type="application/dicom"; start="<a>"; boundary={0}; charset=utf-8',
    ],
)
def test_how_the_content_type_is_written(server, content_type):
    one = unique()
    assert_stored(post(server, part(one) + END, content_type.format(BOUNDARY)), one)


@pytest.mark.parametrize("boundary", ["==_a/b:c?d=e", "x" * 70, "(a),b+c", "0"])
def test_odd_boundaries(server, boundary):
    one = unique()
    data = (part(one) + END).replace(BOUNDARY.encode(), boundary.encode())
    assert_stored(post(server, data, f'multipart/related; type="application/dicom"; boundary="{boundary}"'), one)


def test_chunked_transfer(server):
    one, two = unique(bytes(300_000)), unique()
    data = part(one) + part(two) + END
    assert_stored(post(server, (data[at : at + 7001] for at in range(0, len(data), 7001))), one, two)


def test_a_single_part(server):
    one = unique()
    assert_stored(post(server, one, "application/dicom"), one)
    assert_stored(post(server, one, "application/dicom; transfer-syntax=1.2.840.10008.1.2.1"), one)


@pytest.mark.parametrize("pixels", [bytes(8), bytes(100_000)], ids=["small", "large"])
def test_the_same_instance_twice_in_a_request(server, pixels):
    one = unique(pixels)
    answer = server.store(one, one, one)
    assert answer.status_code == 200, answer.text
    assert_stored(answer, one, one, one)


@pytest.mark.parametrize("size", [8, 100_000], ids=["small", "large"])
def test_two_contents_of_one_uid_in_a_request(server, size):
    """The last one stays, as when they come one after the other."""
    one = unique(b"a" * size)
    two = one[:-size] + b"b" * size
    answer = server.store(one, two)
    assert answer.status_code == 202
    assert_stored(answer, two, two)
    assert sum("00081196" in item for item in items(answer)) == 1


def test_one_bad_part_does_not_fail_the_others(server):
    one, two = unique(), unique()
    answer = post(server, part(one) + part(b"GIF89a") + part(b"") + part(two) + END)
    assert answer.status_code == 202
    assert_stored(answer, one, two)
    assert [item["00081197"]["Value"] for item in items(answer, OTHER)] == [[0xC000], [0xC000]]


def test_a_body_that_ends_early_keeps_the_whole_parts(server):
    one, two = unique(), unique()
    answer = post(server, part(one) + part(two)[:-100])
    assert answer.status_code == 202
    assert_stored(answer, one)
    assert "ends" in answer.headers["Warning"]


def raw(server, head, data, path="/studies"):
    """Send a request as it is and no more; return status, headers and body of the answer."""
    root = urlsplit(server.url)
    with socket.create_connection((root.hostname, root.port), timeout=30) as connection:
        connection.sendall(f"POST {root.path}{path} HTTP/1.1\r\nHost: {root.netloc}\r\n{head}\r\n".encode() + data)
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    headers, _, body = answer.partition(b"\r\n\r\n")
    return int(headers.split()[1]), headers, body


MULTIPART = f'Content-Type: multipart/related; type="application/dicom"; boundary={BOUNDARY}\r\n'
CHUNKED = "Transfer-Encoding: chunked\r\n"


@pytest.mark.parametrize(
    "rest",
    [b"zz\r\n", b"5\r\nab", b"5\r\nabcdefgh\r\n", b"-1\r\n", b"0\r\nContent-Length: 5\r\n\r\n", b"0\r\n", b""],
)
def test_chunks_that_are_none_keep_the_whole_parts(server, rest):
    one = unique(bytes(1_000_000))
    data = part(one) + part(unique(bytes(1_000_000)))[:-100]
    status, headers, body = raw(server, MULTIPART + CHUNKED, b"%x\r\n%b\r\n" % (len(data), data) + rest)
    assert status == 202, body
    assert b"ended early" in headers
    assert len(json.loads(body)[REFERENCED]["Value"]) == 1
    status, _headers, body = raw(server, MULTIPART + CHUNKED, rest)
    assert status == 400, body
    assert json.loads(body)["reason"]
    status, _headers, body = raw(server, f"Content-Type: application/json\r\n{CHUNKED}", rest, "/studies/1.2/conflicts")
    assert status == 400, body


def test_a_single_part_that_ends_early_is_not_stored(server):
    one = unique(bytes(range(256)) * 8)
    assert_stored(post(server, one, "application/dicom"), one)
    cut = one[:-1000] + b"other"
    for head in (f"Content-Length: {len(cut) + 995}\r\n", CHUNKED):
        data = cut if head is not CHUNKED else b"%x\r\n%b" % (len(cut) + 995, cut)
        status, _headers, body = raw(server, f"Content-Type: application/dicom\r\n{head}", data)
        assert status == 400, body
    assert_stored(post(server, one, "application/dicom"), one)
    answer = post(server, one, "application/dicom")
    assert "already stored" in items(answer)[0]["00000902"]["Value"][0]


def test_a_multipart_body_shorter_than_it_says_keeps_the_whole_parts(server):
    one = unique()
    for data, early in ((part(one) + part(unique())[:-100], True), (part(one) + END, False)):
        status, headers, body = raw(server, f"{MULTIPART}Content-Length: {len(data) + 1000}\r\n", data)
        assert status in (200, 202), body
        assert (b"ended early" in headers) is early
        assert len(json.loads(body)[REFERENCED]["Value"]) == 1


def test_a_uid_used_in_two_series_hides_nothing(server):
    one = unique()
    other = unique(instance=items(server.store(one))[0]["00081155"]["Value"][0])
    server.get("/studies?limit=1")  # what brings the indexes up to date
    answer = server.store(other)
    assert_stored(answer, other)
    assert "that other series have too" in answer.headers["Warning"]
    assert_stored(server.store(one), one)


def test_a_uid_used_in_two_series_of_a_request(server):
    study = f"{ROOT}.{secrets.randbelow(10**12)}"
    contents = [unique(study=study, series=f"{study}.{n}", instance=f"{study}.9") for n in (1, 2)]
    answer = server.store(*contents)
    assert_stored(answer, *contents)
    assert f"{study}.9 in studies/{study}/series/{study}." in answer.headers["Warning"]
