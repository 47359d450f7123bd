"""A wallet that receives callbacks, with aiohttp. Start from it.

::

    ANCHOR_SIGNING_KEY=G… CALLBACK_HOST=wallet.example.com python examples/wallet_aiohttp.py

It needs the packages aiohttp and cryptography, and ``eventproc.receiver``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable

from aiohttp import web

from eventproc.receiver import CallbackError, CallbackVerifier, SeenEvents

MAX_BODY_BYTES = 16 * 1024 * 1024

Store = Callable[[str | None, object], None]
"""Event id and parsed body: keep it, in a database in earnest, before you return."""


def make_app(verifier: CallbackVerifier, store: Store) -> web.Application:
    """One route for the callbacks of all SEPs."""
    seen = SeenEvents()

    async def receive(request: web.Request) -> web.Response:
        raw_body = await request.read()  # not request.json(): what it gives is not what was signed
        try:
            callback = verifier.verify(request.headers, raw_body)
        except CallbackError as error:
            return web.Response(status=error.http_status, text=str(error))
        if callback.duplicate_key not in seen:
            store(callback.event_id, json.loads(callback.payload_bytes))
            seen.add(callback.duplicate_key)
        return web.Response(status=204)

    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.router.add_post("/callbacks/{sep}", receive)
    return app


def main() -> None:
    """Serve until Ctrl-C."""
    verifier = CallbackVerifier(os.environ["ANCHOR_SIGNING_KEY"], os.environ["CALLBACK_HOST"])
    web.run_app(make_app(verifier, print), host="127.0.0.1", port=int(os.environ.get("PORT", "8080")))


if __name__ == "__main__":
    main()
