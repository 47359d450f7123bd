"""``web.*``: where status pages, health and metrics are served."""

from __future__ import annotations

from typing import Annotated

from pydantic import SecretStr

from settings.fields import Port, Secret, Section, Text, WebHosts


class WebSettings(Section):
    """``web.*``."""

    host: Text
    port: Port | None
    """None: ``event_processor.port``; ``Settings.web_port`` has the one that counts."""
    hosts: WebHosts
    """By which the pages are asked for, besides the bound address and loopback."""
    require_token_for_reading: bool
    admin_token: Annotated[SecretStr | None, Secret("SECRET_WEB_ADMIN_TOKEN")] = None
