"""Markdown of values that anybody may have written: everything in them is shown, nothing acts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MAX_LENGTH, MAX_DEPTH, MAX_ROWS, MAX_COLUMNS = 2000, 4, 200, 20
"""What is longer, deeper or larger is cut, and three dots stand in its place."""

# as character references they are shown, and neither Markdown, HTML nor MathJax acts on them
_MARKUP = str.maketrans({c: f"&#{ord(c)};" for c in "\\`*_{}[]<>&#$|~@"})


def plain(value: Any) -> str:
    """Return a value as one line of Markdown that shows it as it is.

    Examples
    --------
    >>> plain(["a  b", 1 / 3, {"k": "<script>"}])
    'a b; 0.3333; k: &#60;script&#62;'
    """
    words = " ".join(_text(value, MAX_DEPTH).split())
    shown = "".join(c for c in words if c.isprintable())  # drops what changes reading direction
    cut = shown if len(shown) <= MAX_LENGTH else shown[:MAX_LENGTH] + "…"
    return cut.translate(_MARKUP)


def bullets(facts: Mapping[str, Any]) -> str:
    """Return a list with a line for every fact that tells something.

    Examples
    --------
    >>> bullets({"Pixel size": "0.1 µm", "Licence": ""})
    '- **Pixel size**: 0.1 µm'
    """
    told = [(key, text) for key, value in facts.items() if (text := plain(value))]
    lines = [f"- **{plain(key.replace('_', ' '))}**: {text}" for key, text in told[:MAX_ROWS]]
    return "\n".join(lines + ["- …"] * (len(told) > MAX_ROWS))


def table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a table with a line for every row, and the columns that any row has.

    Examples
    --------
    >>> print(table({"a": {"dice": 0.91234}, "b": {"iou": 1}}))
    |  | dice | iou |
    |---|---|---|
    | a | 0.9123 |  |
    | b |  | 1 |
    """
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))[:MAX_COLUMNS]
    head = ["", *map(plain, columns)]
    lines = [_row(head), "|" + "---|" * len(head)]
    for name, row in list(rows.items())[:MAX_ROWS]:
        lines.append(_row([plain(name), *(plain(row.get(column, "")) for column in columns)]))
    return "\n".join(lines + [_row(["…"])] * (len(rows) > MAX_ROWS))


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _text(value: Any, depth: int) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if not isinstance(value, dict | list | tuple):
        return "" if value is None else str(value)
    if not depth:
        return "…"
    few = list(value.items() if isinstance(value, dict) else enumerate(value))[:MAX_ROWS]
    texts = [_text(item, depth - 1) for _, item in few]
    if isinstance(value, dict):
        texts = [f"{key}: {text}" for (key, _), text in zip(few, texts, strict=True)]
    nested = any(isinstance(item, dict | list | tuple) for _, item in few)
    return ("; " if nested else ", ").join(texts + ["…"] * (len(value) > MAX_ROWS))
