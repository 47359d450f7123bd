"""The records of ``samples/`` and what the Anchor Platform sent for them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt

from eventproc.payloads import MoreInfoUrl, PayloadContext

HERE = Path(__file__).parent
NOW = 1_795_515_897.5
TIMESTAMP_MS = 1_795_515_897_123
SECRET = b"a secret for signing jwts"

CONTEXT = PayloadContext(
    more_info_sep6=MoreInfoUrl("http://localhost:8091/sep6/transaction/more_info", SECRET, 600, ()),
    more_info_sep24=MoreInfoUrl("http://localhost:8091/sep24/transaction/more_info", SECRET, 600, ()),
)


@dataclass(frozen=True, slots=True)
class Sample:
    name: str
    value: bytes
    business_server: dict[str, Any] | None
    client: dict[str, Any]
    anchor_platform_failed: bool


def load_samples() -> list[Sample]:
    return [_load(path) for path in sorted((HERE / "samples").glob("*.json"))]


def expected_client_body(name: str) -> Any:
    return json.loads((HERE / "expected" / f"{name}.json").read_text("utf-8"))


def take_apart(body: bytes) -> Any:
    """The parsed body with its ``more_info_url`` in the samples' form; the token must be valid and fresh."""
    parsed = json.loads(body)
    transaction = parsed.get("transaction", {})
    if "more_info_url" in transaction:
        parts = urlsplit(transaction["more_info_url"])
        query = parse_qs(parts.query, strict_parsing=True)
        key = SECRET.ljust(32, b"\0")
        claims = jwt.decode(query["token"][0], key, algorithms=["HS256"], options={"verify_exp": False})
        assert claims.pop("exp") == int(NOW) + 600
        transaction["more_info_url"] = {
            "base": f"{parts.scheme}://{parts.netloc}{parts.path}",
            "transaction_id": query["transaction_id"][0],
            "claims": claims,
        }
    return parsed


def missing_members(wanted: Any, got: Any, path: str = "") -> list[str]:
    """Every member of ``wanted`` that ``got`` lacks or has with another value."""
    if isinstance(wanted, dict) and isinstance(got, dict):
        found = []
        for name, value in wanted.items():
            if name in got:
                found += missing_members(value, got[name], f"{path}.{name}")
            else:
                found.append(f"{path}.{name} is missing")
        return found
    return [] if wanted == got else [f"{path}: {wanted!r} != {got!r}"]


def _load(path: Path) -> Sample:
    data = json.loads(path.read_text("utf-8"))
    return Sample(
        name=path.stem,
        value=data["record"]["value"].encode(),
        business_server=data["business_server"],
        client=data["client"],
        anchor_platform_failed=data.get("anchor_platform_failed", False),
    )
