"""Which addresses are never dialled."""

from __future__ import annotations

import pytest

from eventproc.delivery.egress import ForbiddenAddressError, GuardedResolver, is_forbidden


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.0.1",
        "fe80::1",
        "fe80::1%eth0",
        "::ffff:169.254.169.254",
        "::ffff:a9fe:a9fe",
        "2002:a9fe:a9fe::",
        "64:ff9b::169.254.169.254",
        "fd00:ec2::254",
        "100.100.100.200",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "[fe80::1]",
    ],
)
def test_credentials_of_clouds_are_out_of_reach(address: str) -> None:
    assert is_forbidden(address, allow_private=True)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.1.2.3", "192.168.1.1", "::1", "fd12::1", "::ffff:10.0.0.1"]
)
def test_private_ones_by_a_switch(address: str) -> None:
    assert not is_forbidden(address, allow_private=True)
    assert is_forbidden(address, allow_private=False)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "wallet.example.com", ""])
def test_the_rest_is_free(address: str) -> None:
    assert not is_forbidden(address, allow_private=False)


async def test_a_name_that_stands_for_a_forbidden_address_is_refused() -> None:
    resolver = GuardedResolver(allow_private=False)
    with pytest.raises(ForbiddenAddressError):
        await resolver.resolve("localhost", 80)
    await resolver.close()
    allowed = GuardedResolver(allow_private=True)
    assert {one["host"] for one in await allowed.resolve("localhost", 80)} <= {"127.0.0.1", "::1"}
    await allowed.close()
