"""``event_processor.*``: who is served, and the port."""

from __future__ import annotations

from typing import Annotated

from settings.fields import Alias, NoEffect, Port, Section


class Switch(Section):
    """On or off."""

    enabled: bool


class EventProcessorSettings(Section):
    """``event_processor.*``, the Anchor Platform's own section."""

    client_status_callback: Switch
    callback_api_request: Switch
    port: Port
    management_server_port: Annotated[
        Port, Alias("management"), NoEffect("health and metrics are served on the one web port")
    ]
