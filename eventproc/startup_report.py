"""What a worker reports before it runs: text for people, events with ``logging.format: json``."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import structlog

from eventproc.logs import Style, configure_worker_logging
from settings import Problem, SettingsError

log = structlog.stdlib.get_logger("eventproc.startup")


def report_warnings(style: Style, warnings: Iterable[Problem]) -> None:
    """Report what is worth a look in the configuration."""
    for warning in warnings:
        if style == "json":
            log.warning("configuration.warned", key=warning.key, problem=str(warning))
        else:
            sys.stderr.write(f"warning: {warning}\n")


def report_refused(error: SettingsError, exit_code: int) -> None:
    """Report a configuration that cannot be used, in the form that it asks for itself."""
    if error.log_format == "json":
        configure_worker_logging("json", "info", sys.stderr)
        report_warnings("json", error.warnings)
        problems = [str(problem) for problem in error.problems]
        log.critical("configuration.refused", problems=problems, exit_code=exit_code)
    else:
        sys.stderr.write(f"{error}\n")


def report_not_started(style: Style, problem: str, exit_code: int) -> None:
    """Report why the worker ends before it has begun."""
    if style == "json":
        log.critical("worker.not_started", problem=problem, exit_code=exit_code)
    else:
        sys.stderr.write(f"eventproc: {problem}\n")


def report_waiting(style: Style, servers: str, seconds: float, problem: str) -> None:
    """Report that Kafka does not answer yet."""
    if style == "json":
        log.warning("kafka.awaited", servers=servers, seconds=seconds, problem=problem)
    else:
        sys.stderr.write(f"eventproc: waiting up to {seconds:g} s for Kafka at {servers}: {problem}\n")
