"""``client_status_callback.*``: how requests to wallets look."""

from __future__ import annotations

from settings.fields import Section


class ClientStatusCallbackSettings(Section):
    """``client_status_callback.*``."""

    legacy_signature_header: bool
    """Adds ``X-Stellar-Signature`` beside ``Signature``, as the SEPs still allow."""
