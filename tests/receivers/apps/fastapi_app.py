"""A receiver on FastAPI, for uvicorn."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI, Request, Response

from tests.receivers.apps.taking import SLOW_SECONDS, status_of, store

app = FastAPI()


@app.post("/{path:path}")
async def callback(path: str, request: Request) -> Response:
    """One callback."""
    status = status_of(request.headers, await request.body())
    if status == 200:
        if path == "slow":
            await asyncio.sleep(SLOW_SECONDS)
        store(request.headers["X-Event-Id"])
    return Response(status_code=status, headers={"Connection": "close"} if path == "close" else {})
