"""A Django site in one module: `asgi` and `wsgi` are its applications."""

from __future__ import annotations

from typing import Any

import django  # type: ignore[import-untyped]
from django.conf import settings  # type: ignore[import-untyped]

settings.configure(
    ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="for tests", MIDDLEWARE=[], DEBUG=False, USE_TZ=True
)
django.setup()

from django.core.handlers.asgi import ASGIHandler  # type: ignore[import-untyped]  # noqa: E402
from django.core.handlers.wsgi import WSGIHandler  # type: ignore[import-untyped]  # noqa: E402
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse  # type: ignore[import-untyped]  # noqa: E402
from django.urls import path, re_path, reverse  # type: ignore[import-untyped]  # noqa: E402


def show(request: Any, rest: str) -> Any:
    response = JsonResponse({
        "rest": rest, "method": request.method, "path": request.path, "query": dict(request.GET.lists()),
        "post": dict(request.POST.lists()), "files": {name: one.read().decode() for name, one in request.FILES.items()},
        "cookies": request.COOKIES, "header": request.headers.get("x-a"), "host": request.get_host(),
        "secure": request.is_secure(), "url": request.build_absolute_uri(reverse("moved")),
    })  # fmt: skip
    response.set_cookie("one", "1")
    response.set_cookie("two", "2")
    return response


def moved(request: Any) -> Any:
    return HttpResponse(bytes(range(256)), content_type="image/png", status=202)


def pieces(request: Any) -> Any:
    return StreamingHttpResponse([b"one ", "zw\u00f6lf ".encode(), b"three"])


urlpatterns = [path("moved/", moved, name="moved"), path("pieces/", pieces), re_path("^show/(?P<rest>.*)$", show)]
asgi = ASGIHandler()
wsgi = WSGIHandler()
