"""Two kinds of plot as SVG text: bars side by side, and lines over the number of slots. No dependency is worth them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

_COLOURS = ("#0b6e4f", "#3a86c8", "#d1495b", "#b07d2b", "#6b4fa0", "#7a7a7a")
_OURS, _OTHERS, _FLOOR = "#0b6e4f", "#9aa5b1", "#d5dae0"
_WIDTH = 760


def bars(title: str, rows: Sequence[tuple[str, float]], unit: str) -> str:
    """Horizontal bars, in the order given; lmi_fast's stand out."""
    left, row, top = 250, 24, 44
    height = top + row * len(rows) + 12
    scale = (_WIDTH - left - 90) / max(value for _, value in rows)
    parts = [_text(16, 26, title, size=15, weight="bold")]
    for number, (label, value) in enumerate(rows):
        y = top + number * row
        colour = _OURS if label.startswith("lmi_fast") else _FLOOR if label.startswith("C floor") else _OTHERS
        parts.append(_text(left - 8, y + 14, label, anchor="end"))
        parts.append(f'<rect x="{left}" y="{y + 2}" width="{max(1, value * scale):.1f}" height="16" fill="{colour}"/>')
        parts.append(_text(left + max(1, value * scale) + 6, y + 14, f"{_short(value)} {unit}"))
    return _frame(height, parts)


def lines(
    title: str,
    curves: Mapping[str, Sequence[tuple[float, float]]],
    x_name: str,
    y_name: str,
    named: Mapping[float, str] | None = None,
) -> str:
    """Curves over logarithmic scales, each named at its end; with `named` x is linear and these are its marks."""
    left, right, top, bottom, height = 70, 210, 50, 46, 380
    xs = sorted({x for curve in curves.values() for x, _ in curve})
    ys = [y for curve in curves.values() for _, y in curve if y > 0]
    low, high = math.floor(math.log10(min(ys))), math.ceil(math.log10(max(ys)))
    high = max(high, low + 1)
    fx = float if named else math.log2
    span = (fx(xs[-1]) - fx(xs[0])) or 1.0

    def at(x: float, y: float) -> tuple[float, float]:
        across = left + (fx(x) - fx(xs[0])) / span * (_WIDTH - left - right)
        up = (math.log10(max(y, 10.0**low)) - low) / (high - low)
        return across, height - bottom - up * (height - top - bottom)

    parts = [_text(16, 26, title, size=15, weight="bold")]
    for power in range(low, high + 1):
        _, y = at(xs[0], 10.0**power)
        parts.append(f'<path d="M{left} {y:.1f}H{_WIDTH - right}" stroke="#e3e6ea"/>')
        parts.append(_text(left - 8, y + 4, _short(10.0**power), anchor="end"))
    for x in xs:
        parts.append(_text(at(x, 1)[0], height - bottom + 18, (named or {}).get(x, f"{x:g}"), anchor="middle"))
    parts.append(_text((left + _WIDTH - right) / 2, height - 8, x_name, anchor="middle"))
    parts.append(_text(left, 42, y_name, size=11))
    labels: list[tuple[float, str, str]] = []
    for number, (name, curve) in enumerate(curves.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        points = [at(x, y) for x, y in curve]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in points]
        labels.append((points[-1][1], name, colour))
    taken = 0.0
    for y, name, colour in sorted(labels):  # from the top, each below the one before
        taken = max(y, taken + 14)
        parts.append(_text(_WIDTH - right + 12, taken + 4, name, colour=colour))
    return _frame(height, parts)


def _short(value: float) -> str:
    if value >= 100 or value == round(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.3g}"


def _text(
    x: float,
    y: float,
    text: str,
    *,
    size: int = 12,
    anchor: str = "start",
    weight: str = "normal",
    colour: str = "#222",
) -> str:
    style = f'font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" fill="{colour}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'


def _frame(height: float, parts: list[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" font-family="sans-serif">'
    return "\n".join([head, f'<rect width="{_WIDTH}" height="{height}" fill="white"/>', *parts, "</svg>", ""])
