"""What can be wrong with a callback, and what to do about each: the words of the diagnosis."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final


class Cause(enum.Enum):
    """Whose side to look at."""

    MISSING_HEADER = "missing_header"
    MALFORMED_HEADER = "malformed_header"
    SIGNATURE_ENCODING = "signature_encoding"
    TOO_OLD = "too_old"
    IN_THE_FUTURE = "in_the_future"
    HOST = "host"
    KEY = "key"
    BODY_EMPTY = "body_empty"
    BODY_CUT = "body_cut"
    BODY_ENCODING = "body_encoding"
    BODY_REWRITTEN = "body_rewritten"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, and the way out."""

    cause: Cause
    what: str
    way_out: str


_WAYS_OUT: Final = {
    Cause.MISSING_HEADER: "look at the headers as they reach you: a proxy may drop Signature; "
    "and is this request the anchor's at all?",
    Cause.MALFORMED_HEADER: "pass the value of Signature as it came: t=<unix seconds>, s=<base64>",
    Cause.SIGNATURE_ENCODING: "look at what rewrites the header on its way: the anchor writes s as plain "
    "base64 with its padding (A-Z a-z 0-9 + / =)",
    Cause.TOO_OLD: "compare this clock with NTP; verify at the door, before any queue; "
    "and take care that this is no replay",
    Cause.IN_THE_FUTURE: "compare this clock with NTP, and have the anchor compare its own",
    Cause.HOST: "verify with the host of the callback URL exactly as the anchor has it, port included if the "
    "URL names one; not with the request's Host header",
    Cause.KEY: "verify with SIGNING_KEY of the anchor's stellar.toml, from the domain and network in use",
    Cause.BODY_EMPTY: "read the body before anything else does: many frameworks let it be read only once",
    Cause.BODY_CUT: "look for a limit on the size of bodies, in a proxy or in your framework",
    Cause.BODY_ENCODING: "handle the body as bytes, and never decode it before it is verified",
    Cause.BODY_REWRITTEN: "verify the bytes as they came (request.body, await request.read(), express.raw), "
    "and parse them afterwards",
    Cause.UNKNOWN: "compare, in this order: the key with the anchor's stellar.toml, the host with the "
    "anchor's callback URL, the body's bytes with what `eventproc listen` shows",
}


def finding(cause: Cause, what: str) -> Finding:
    """A finding with the usual way out."""
    return Finding(cause, what, _WAYS_OUT[cause])
