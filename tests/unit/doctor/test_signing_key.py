from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

from stellar_sdk import Keypair

from eventproc.doctor.findings import Check, State
from eventproc.doctor.signing_key import home_domains, judge_signing_key
from settings import Settings, load_settings
from tests.servers.anchor_env import TEST_PUBLIC_KEY, TEST_SEED
from tests.servers.certificates import Authority
from tests.servers.static_site import static_site

PATH = "/.well-known/stellar.toml"


def settings(**env: str) -> Settings:
    return load_settings(env={"SECRET_SEP10_SIGNING_SEED": TEST_SEED, **env})


async def judged(tmp_path: Path, content: bytes | None) -> Check:
    authority = Authority.make(tmp_path)
    with static_site({} if content is None else {PATH: content}, authority.server()) as port:
        (check,) = await judge_signing_key(settings(), [f"localhost:{port}"], 30.0, authority.path)
    assert TEST_SEED not in repr(check)
    return check


async def test_the_key_of_the_file_is_ours(tmp_path: Path) -> None:
    check = await judged(tmp_path, f'SIGNING_KEY="{TEST_PUBLIC_KEY}"'.encode())
    assert check.state is State.OK


async def test_another_key_is_a_problem_that_names_both(tmp_path: Path) -> None:
    other: str = Keypair.random().public_key
    check = await judged(tmp_path, f'SIGNING_KEY="{other}"'.encode())
    assert check.state is State.PROBLEM
    assert other in check.what
    assert TEST_PUBLIC_KEY in check.what


async def test_a_file_without_a_key_is_a_problem_with_the_line_to_add(tmp_path: Path) -> None:
    check = await judged(tmp_path, b'VERSION="2.0.0"')
    assert check.state is State.PROBLEM
    assert f'SIGNING_KEY = "{TEST_PUBLIC_KEY}"' in check.way_out


async def test_a_file_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    check = await judged(tmp_path, None)
    assert check.state is State.PROBLEM
    assert "404" in check.what


async def test_without_a_domain_or_a_seed_there_is_nothing_to_look_at() -> None:
    (no_domain,) = await judge_signing_key(settings(), [], 1.0, None)
    assert no_domain.state is State.SKIPPED
    assert "--home-domain" in no_domain.way_out
    (no_seed,) = await judge_signing_key(load_settings(env={}), ["localhost:1"], 1.0, None)
    assert no_seed.state is State.SKIPPED


def test_domains_come_from_the_command_or_the_platforms_own_setting() -> None:
    found = settings(SEP10_HOME_DOMAINS="anchor.example.com,*.example.org,localhost:8080")
    assert home_domains(found, ()) == ["anchor.example.com", "localhost:8080"]
    assert home_domains(found, ["other.example.com"]) == ["other.example.com"]
    assert home_domains(settings(SEP10_HOME_DOMAIN="anchor.example.com"), ()) == ["anchor.example.com"]
    assert home_domains(settings(), ()) == []


async def test_a_planned_change_is_judged_by_the_key_of_the_time_asked_for(tmp_path: Path) -> None:
    following = Keypair.random()
    plan = {
        "SECRET_SEP10_SIGNING_SEED_NEXT": following.secret,
        "SEP10_SIGNING_SEED_NEXT_AT": "9999-01-01T00:00:00Z",
    }
    authority = Authority.make(tmp_path)
    content = f'SIGNING_KEY="{TEST_PUBLIC_KEY}"'.encode()
    with static_site({PATH: content}, authority.server()) as port:
        where = [f"localhost:{port}"]
        (now,) = await judge_signing_key(settings(**plan), where, 30.0, authority.path)
        then = datetime(9999, 1, 1, tzinfo=timezone.utc)
        (later,) = await judge_signing_key(settings(**plan), where, 30.0, authority.path, then)
    assert now.state is State.OK
    assert later.state is State.PROBLEM
    assert f"from 9999-01-01T00:00:00+00:00 on we sign with {following.public_key}" in later.what
