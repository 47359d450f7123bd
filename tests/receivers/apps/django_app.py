"""A receiver on Django, for uvicorn: settings, URLs and view in one file."""

from __future__ import annotations

import asyncio

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import re_path
from django.views.decorators.csrf import csrf_exempt

from tests.receivers.apps.taking import LIMIT, SLOW_SECONDS, status_of, store

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="of a test",
    MIDDLEWARE=["django.middleware.common.CommonMiddleware", "django.middleware.csrf.CsrfViewMiddleware"],
    DATA_UPLOAD_MAX_MEMORY_SIZE=LIMIT,
    LOGGING_CONFIG=None,
)


@csrf_exempt
async def callback(request: HttpRequest) -> HttpResponse:
    """One callback."""
    status = status_of(request.headers, request.body)
    if status == 200:
        if request.path.startswith("/slow"):
            await asyncio.sleep(SLOW_SECONDS)
        store(request.headers["X-Event-Id"])
    return HttpResponse(status=status, headers={"Connection": "close"} if request.path == "/close" else {})


urlpatterns = [re_path(".*", callback)]
django.setup()
app = get_asgi_application()
