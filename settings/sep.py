"""``sep6.*``, ``sep10.*``, ``sep24.*``: the few keys of these sections that events need."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, SecretStr

from settings.checks import SECRET_SEED_VERSION, is_strkey, refusal
from settings.fields import Alias, Count, Secret, Section, TextList, Url


def _check_seed(seed: SecretStr) -> SecretStr:
    text = seed.get_secret_value().strip()
    if not is_strkey(text, SECRET_SEED_VERSION):
        raise refusal("is not a Stellar secret seed", "S and 55 more of A-Z 2-7, checksum included")
    return SecretStr(text)


class Sep10Settings(Section):
    """``sep10.*``: the key that signs requests to wallets, and where wallets look for its public half."""

    home_domains: Annotated[TextList, Alias("home_domain")]
    signing_seed: Annotated[
        Annotated[SecretStr, AfterValidator(_check_seed)] | None, Secret("SECRET_SEP10_SIGNING_SEED")
    ] = None


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
