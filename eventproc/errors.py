"""The errors this project raises.

::

    EventprocError
    ├── ConfigurationError      the operator must change something; carries every problem found
    ├── StrkeyError             a Stellar key or seed that is none
    ├── PayloadError            an event from which this destination's body cannot be built
    ├── TokenError              no token to log in to Kafka with
    └── BrokerUnavailableError  Kafka did not answer within the bound
        └── BrokerRefusedError  it answered, and does not let us in: no waiting helps

What a receiver does (refuses, times out, answers 500) is no error but an outcome: see ``outcomes.py``.
"""

from __future__ import annotations


class EventprocError(Exception):
    """Base of every error raised by this project."""


class ConfigurationError(EventprocError):
    """One or more settings are missing or wrong; ``problems`` has a readable line for each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class StrkeyError(EventprocError):
    """Not a valid Stellar strkey of the expected kind. Never carries the key itself."""


class PayloadError(EventprocError):
    """The event lacks what this destination's body needs; the event is dead-lettered for it."""


class TokenError(EventprocError):
    """No token to log in to Kafka with; says what the endpoint, or AWS, answered. Never carries a secret."""


class BrokerUnavailableError(EventprocError):
    """No Kafka broker answered within the bound."""


class BrokerRefusedError(BrokerUnavailableError):
    """Kafka does not let us in, as passwords, certificates or protocol are wrong; says which."""
