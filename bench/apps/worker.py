"""The service as it is, with pages that start and stop the sampling profiler."""

from __future__ import annotations

from bench.apps.sampler import add_profile_pages
from eventproc.app import app

__all__ = ["app"]

add_profile_pages(app)
