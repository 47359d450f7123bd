"""A receiver on Flask, for gunicorn."""

from __future__ import annotations

from flask import Flask, Response, request

from tests.receivers.apps.taking import LIMIT, take

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = LIMIT


@app.post("/<path:path>")
def callback(path: str) -> Response:
    """One callback."""
    status = take(f"/{path}", request.headers, request.headers["X-Event-Id"], request.get_data())
    return Response(status=status, headers={"Connection": "close"} if path == "close" else {})
