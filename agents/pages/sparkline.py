"""An hour as a small picture: a bar for each minute, deliveries upwards and failed attempts downwards."""

from __future__ import annotations

from markupsafe import Markup

from eventproc.delivery.history import MINUTES, Minutes

WIDTH, UP, DOWN = 600, 72, 28
_STEP = WIDTH / MINUTES
_BAR = _STEP - 2


def sparkline(hour: Minutes) -> Markup:
    """The picture. Each half has its own scale: one failure beside a thousand deliveries must be seen."""
    most = max(hour.delivered), max(hour.failed)
    bars = [
        *(_bar(minute, count, most[0], up=True) for minute, count in enumerate(hour.delivered) if count),
        *(_bar(minute, count, most[1], up=False) for minute, count in enumerate(hour.failed) if count),
    ]
    title = Markup("{:,} delivered and {:,} failed attempts in the last hour").format(
        sum(hour.delivered), sum(hour.failed)
    )
    return Markup(
        '<svg class="sparkline" viewBox="0 0 {} {}" role="img" preserveAspectRatio="none">'
        '<title>{}</title><path class="axis" d="M0 {}H{}"/>{}</svg>'
    ).format(WIDTH, UP + DOWN, title, UP, WIDTH, Markup("").join(bars))


def _bar(minute: int, count: int, most: int, *, up: bool) -> Markup:
    height = max(2.0, (UP if up else DOWN) * count / most - 1)
    return Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
        "delivered" if up else "failed",
        minute * _STEP + 1,
        UP - height - 0.5 if up else UP + 0.5,
        _BAR,
        height,
    )
