"""Which UIDs can name a resource: the one rule that storing and URL validation share.

PS3.5 9.1 allows digits and dots only, at most 64 characters. Real files also have letters and other signs, and these
are accepted. Only what cannot be part of a document id or a segment of a URL (RFC 3986 3.3) is refused.
"""

import re

# RFC 3986 pchar, without "%" (escapes) and ":" (the separator inside document ids).
_NOT_SEGMENT = re.compile(r"[^A-Za-z0-9._~!$&'()*+,;=@-]")


def uid_problem(uid: str) -> str | None:
    """Say why a UID, its padding stripped, cannot name a study, series or instance here; None when it can."""
    if not uid:
        return "is empty"
    if len(uid) > 64:
        return f"has {len(uid)} characters, more than 64"
    if found := _NOT_SEGMENT.search(uid):
        return f"contains {_character_name(found[0])}"
    if uid in (".", ".."):
        return "is a relative path"
    if uid[0] == "_":
        return "starts with '_'"
    if uid == "count":  # …/count is the resource with the number of each level
        return "is the reserved word 'count'"
    return None


def series_uid_problem(uid: str) -> str | None:
    """Say why a UID cannot name a series here: `uid_problem`, and the ids of study documents end in ``study``."""
    return "is the reserved word 'study'" if uid == "study" else uid_problem(uid)


def _character_name(character: str) -> str:
    """Return a name for a refused character that is safe in a message, a header and a log."""
    if character.isspace():
        return "white space"
    if not character.isprintable():
        return f"the control character U+{ord(character):04X}"
    if not character.isascii():
        return f"the non-ASCII character U+{ord(character):04X}"
    return repr(character)
