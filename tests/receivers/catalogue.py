"""The servers: how each is started, and what it does that others do not."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.receivers import tools
from tests.receivers.tools import APPS, CHECKOUT, program

Command = Callable[[Path, int], list[str]]
"""The command for a directory of its own and a port; the rest comes by environment variables."""


@dataclass(frozen=True)
class Server:
    """One kind of server.

    ``keeps_alive`` is whether it keeps connections at all, ``closes`` whether an application can ask it to
    close one, ``is_short`` whether it needs nothing from a registry of packages. ``too_large`` are the statuses
    for a body over its limit; None: it ends the connection before the body is read, which loses its answer.
    """

    name: str
    command: Command
    is_short: bool = True
    keeps_alive: bool = True
    closes: bool = True
    too_large: Collection[int | None] = (413,)


def _node(kind: str) -> Command:
    def command(directory: Path, _port: int) -> list[str]:
        shutil.copy(APPS / "node_receiver.js", directory)
        (directory / "verify-callback.js").write_text(tools.snippet("js", "function whyRefused"), "utf-8")
        if kind in {"express", "fastify"} and not (directory / "node_modules").exists():
            (directory / "node_modules").symlink_to(tools.node_modules())
        return [program("node"), "node_receiver.js", kind]

    return command


def _http_server(kind: str) -> Command:
    def command(_directory: Path, _port: int) -> list[str]:
        return [str(CHECKOUT / ".venv" / "bin" / "python"), "-m", "tests.receivers.apps.http_server", kind]

    return command


def _php(directory: Path, port: int) -> list[str]:
    shutil.copy(APPS / "receiver.php", directory)
    (directory / "verify-callback.php").write_text(tools.snippet("php", "is_from_anchor"), "utf-8")
    return [program("php"), "-q", "-S", f"127.0.0.1:{port}", "receiver.php"]


def _go(_directory: Path, _port: int) -> list[str]:
    return [str(tools.go_receiver())]


def _gunicorn(_directory: Path, port: int) -> list[str]:
    bind = ["--bind", f"127.0.0.1:{port}", "--workers", "2", "--threads", "4"]
    return [str(tools.python_environment() / "gunicorn"), *bind, "tests.receivers.apps.flask_app:app"]


def _uvicorn(app: str) -> Command:
    def command(_directory: Path, port: int) -> list[str]:
        options = ["--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
        return [str(tools.python_environment() / "uvicorn"), *options, f"tests.receivers.apps.{app}:app"]

    return command


SERVERS = [
    Server("http.server", _http_server("threading"), too_large=(413, None)),
    Server(
        "http.server-single", _http_server("single"), is_short=False, keeps_alive=False, too_large=(413, None)
    ),
    Server("node-http", _node("bare")),
    Server("node-request", _node("web"), is_short=False),
    Server("go", _go, is_short=False),
    Server("php", _php, keeps_alive=False, closes=False),
    Server("express", _node("express"), is_short=False),
    Server("fastify", _node("fastify"), is_short=False),
    Server("flask-gunicorn", _gunicorn, is_short=False),
    Server("django-uvicorn", _uvicorn("django_app"), is_short=False, too_large=(400,)),
    Server("fastapi-uvicorn", _uvicorn("fastapi_app"), is_short=False),
]

NODE = next(server for server in SERVERS if server.name == "node-http")
"""What stands behind the proxies."""


def _proxy(program_name: str, template: str, *options: str) -> Callable[[Path, int, int], list[str]]:
    def command(directory: Path, port: int, upstream: int) -> list[str]:
        text = (APPS / template).read_text("utf-8")
        text = text.replace("@PORT@", str(port)).replace("@UPSTREAM@", str(upstream))
        (directory / template).write_text(text, "utf-8")
        return [program(program_name), *(option.replace("@DIR@", str(directory)) for option in options)]

    return command


@dataclass(frozen=True)
class Proxy:
    """A proxy in front of an application; the command is for a directory, its port and the port behind."""

    command: Callable[[Path, int, int], list[str]]
    is_short: bool = True
    too_large: Collection[int | None] = (413,)


PROXIES: Mapping[str, Proxy] = {
    "nginx": Proxy(_proxy("nginx", "nginx.conf", "-p", "@DIR@", "-c", "nginx.conf")),
    "caddy": Proxy(
        _proxy("caddy", "Caddyfile", "run", "--adapter", "caddyfile", "--config", "Caddyfile"),
        is_short=False,
        too_large=(502,),  # 2.6 reports the limit as a failure of what is behind it
    ),
}
