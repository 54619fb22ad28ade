"""``shim/couch/known.py``: what is kept of an instance, and what is not."""

import time

from dicouch.couch.known import Register


def test_what_was_chosen_for_other_bytes_is_forgotten():
    for life, read in ((0, None), (100, time.monotonic())):
        register = Register(life)
        register.put("key", "1:1:1", {"sha256": "a", "transferSyntax": "1.2"}, "tag a", "*/*", "native", read)
        register.put("key", "1:1:1", {"sha256": "b", "transferSyntax": "1.5"}, "tag b", "image/jpeg", "rle", read)
        assert register.get("key").forms == {"image/jpeg": "rle"}
