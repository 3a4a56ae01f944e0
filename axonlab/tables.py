"""Tables as files: CSV as programs of any country write it, Parquet and Excel."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO, StringIO
from pathlib import Path

import pandas as pd

from axonlab.formats import existing

SEPARATORS = ("\t", ";", ",")
"""Of columns. The first one that the headings hold is it: decimals may be commas, too."""

_COMMA = re.compile(r"(?<![\d.,])-?\d+,\d+(?![\d.,])")
_POINT = re.compile(r"(?<![\d.,])-?\d+\.\d+(?![\d.,])")


def encode_table(table: pd.DataFrame, name: str) -> bytes:
    """Return what a file of a table holds, without the index of the table.

    Parameters
    ----------
    table : DataFrame
    name : str
        Of the file; ``.csv``, ``.parquet`` or ``.xlsx`` at its end says how to write it.

    Raises
    ------
    ValueError
        If the suffix is another one.
    ImportError
        If the package for it is not installed.
    """
    content = BytesIO()
    writers = {".csv": table.to_csv, ".parquet": table.to_parquet, ".xlsx": table.to_excel}
    suffix = _suffix(name)
    if suffix not in writers:
        raise ValueError(f"{name}: tables are written as {', '.join(writers)}. Change the suffix.")
    with _needing_a_package(name):
        writers[suffix](content, index=False)  # type: ignore[operator]
    return content.getvalue()


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a table from CSV (or TSV, or text with either inside), Parquet or the first Excel sheet.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        If there is no such file.
    ValueError
        If the file is damaged or holds no table.
    ImportError
        If the package for it is not installed.
    """
    path = existing(path)
    readers: dict[str, Callable[[Path], pd.DataFrame]] = {
        ".parquet": pd.read_parquet,
        ".xlsx": pd.read_excel,
    }
    read = readers.get(_suffix(str(path)))
    if read is None:
        return parse_table(_decode(path.read_bytes()), str(path))
    with _needing_a_package(str(path)):
        try:
            return read(path)
        except (ValueError, OSError, KeyError) as error:
            raise ValueError(f"{path}: not a readable table ({error}). Save it again.") from error


def parse_table(text: str, name: str = "pasted text") -> pd.DataFrame:
    r"""Return the table in a text with headings in its first line.

    Columns are separated by tabs, semicolons or commas. Where it is not by commas, and no number
    has a decimal point, decimals may have commas.

    Parameters
    ----------
    text : str
    name : str
        What to call it in messages.

    Raises
    ------
    ValueError
        If there is no table in it.

    Examples
    --------
    >>> parse_table("n;d (µm)\n1;2,5\n2;3")
       n  d (µm)
    0  1     2.5
    1  2     3.0
    """
    lines = [line for line in text.splitlines() if line.strip()]
    head = lines[0] if lines else ""
    separator = next((s for s in SEPARATORS if s in head), ",")
    body = "\n".join(lines[1:])
    has_commas = separator != "," and _COMMA.search(body) and not _POINT.search(body)
    width = len(head.split(separator))
    try:
        table = pd.read_csv(
            StringIO("\n".join(lines)),
            sep=separator,
            decimal="," if has_commas else ".",
            skipinitialspace=True,
            index_col=False,
            engine="python",
            # longer lines, such as totals in a block of their own, are cut
            on_bad_lines=lambda cells: cells[:width],
        )
    except ValueError as error:  # pandas' errors of parsing are of this kind
        raise ValueError(
            f"{name}: no table found ({error}). Expected headings in the first line and columns "
            "separated by tabs, semicolons or commas."
        ) from error
    return table.rename(columns=lambda heading: str(heading).strip())


def _decode(content: bytes) -> str:
    """Return text in UTF-8 or, as Windows programs write µ, in its Western code page."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def _suffix(name: str) -> str:
    return Path(name).suffix.lower()


@contextmanager
def _needing_a_package(name: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise ImportError(
            f"{name}: {_suffix(name)} needs a package that is not installed ({error}). "
            "Run: pip install 'axonlab[tables]' – or use .csv."
        ) from error
