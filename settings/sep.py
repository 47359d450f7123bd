"""``sep6.*``, ``sep10.*``, ``sep24.*``: the few keys of these sections that events need."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, SecretStr

from settings.checks import SECRET_SEED_VERSION, is_strkey, refusal
from settings.fields import Alias, Count, Secret, Section, TextList, Url
from settings.problems import shown


def _check_seed(seed: SecretStr) -> SecretStr:
    text = seed.get_secret_value().strip()
    if not is_strkey(text, SECRET_SEED_VERSION):
        raise refusal("is not a Stellar secret seed", "S and 55 more of A-Z 2-7, checksum included")
    return SecretStr(text)


def _check_moment(given: object) -> datetime:
    text, right = str(given).strip(), "a time with a zone, like 2026-12-01T10:00:00Z"
    try:
        moment = datetime.fromisoformat(text.upper().replace("Z", "+00:00"))
    except ValueError:
        raise refusal(f"{shown(text)} is not a time", right) from None
    if moment.tzinfo is None:
        raise refusal(f"{shown(text)} has no time zone", right)
    return moment


_Seed = Annotated[SecretStr, AfterValidator(_check_seed)]


class Sep10Settings(Section):
    """``sep10.*``: the key that signs requests to wallets, and where wallets look for its public half."""

    home_domains: Annotated[TextList, Alias("home_domain")]
    signing_seed_next_at: Annotated[datetime, BeforeValidator(_check_moment)] | None
    signing_seed: Annotated[_Seed | None, Secret("SECRET_SEP10_SIGNING_SEED")] = None
    signing_seed_next: Annotated[_Seed | None, Secret("SECRET_SEP10_SIGNING_SEED_NEXT")] = None

    def seed_at(self, moment: datetime) -> SecretStr | None:
        """The seed that signs at this moment: the next one from its time on."""
        if self.signing_seed_next_at is None or moment < self.signing_seed_next_at:
            return self.signing_seed
        return self.signing_seed_next


class Sep6MoreInfoUrlSettings(Section):
    """``sep6.more_info_url.*``; ``jwt_expiration`` is in seconds."""

    base_url: Url
    jwt_expiration: Count
    txn_fields: TextList
    jwt_secret: Annotated[SecretStr | None, Secret("SECRET_SEP6_MORE_INFO_URL_JWT_SECRET")] = None


class Sep24MoreInfoUrlSettings(Section):
    """``sep24.more_info_url.*``; ``jwt_expiration`` is in seconds."""

    base_url: Url
    jwt_expiration: Count
    txn_fields: TextList
    jwt_secret: Annotated[SecretStr | None, Secret("SECRET_SEP24_MORE_INFO_URL_JWT_SECRET")] = None


class Sep6Settings(Section):
    """``sep6.*``."""

    more_info_url: Sep6MoreInfoUrlSettings


class Sep24Settings(Section):
    """``sep24.*``."""

    more_info_url: Sep24MoreInfoUrlSettings
