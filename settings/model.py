"""Settings: the sections together, frozen, with where each value came from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from settings.callback_api import CallbackApiSettings
from settings.client_status_callback import ClientStatusCallbackSettings
from settings.clients import Client
from settings.consumer import ConsumerSettings
from settings.delivery import DeliverySettings
from settings.event_processor import EventProcessorSettings
from settings.events import EventsSettings
from settings.fields import Section
from settings.logs import LoggingSettings
from settings.problems import Problem
from settings.reload import ReloadSettings
from settings.sep import Sep6Settings, Sep10Settings, Sep24Settings
from settings.timeline import TimelineSettings
from settings.topics import TopicsSettings
from settings.tracing import TracingSettings
from settings.web import WebSettings


class Settings(Section):
    """Everything an operator can set. Read once, at the composition root; code gets the section it needs."""

    events: EventsSettings
    event_processor: EventProcessorSettings
    callback_api: CallbackApiSettings
    sep6: Sep6Settings
    sep10: Sep10Settings
    sep24: Sep24Settings
    clients: tuple[Client, ...]
    client_status_callback: ClientStatusCallbackSettings
    delivery: DeliverySettings
    topics: TopicsSettings
    timeline: TimelineSettings
    tracing: TracingSettings
    consumer: ConsumerSettings
    web: WebSettings
    reload: ReloadSettings
    logging: LoggingSettings

    origins: Mapping[str, str] = Field(default_factory=dict, exclude=True, repr=False)
    """Dotted key to ``default``, ``file /x.yaml``, ``.env NAME``, ``environment NAME`` or ``not set``."""
    warnings: tuple[Problem, ...] = Field(default=(), exclude=True, repr=False)
    """What is worth a look and stops nothing."""
    files: tuple[Path, ...] = Field(default=(), exclude=True, repr=False)
    """Every file that was looked into, and ``.env`` where there is none: what a reload watches."""

    @property
    def web_port(self) -> int:
        """The port that is listened on: ``web.port``, else ``event_processor.port``."""
        return self.event_processor.port if self.web.port is None else self.web.port
