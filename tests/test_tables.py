"""Tables as files: what is written is read back, and what others write is understood."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from axonlab import io
from axonlab.tables import parse_table, read_table

TABLE = pd.DataFrame(
    {
        "image": ["one", "zwei µ", '<b>,;\t"'],
        "fibre_id": [1, 2, 70_000],
        "g_ratio": [0.1 + 0.2, np.nan, 1 / 3],
        "touches_border": [True, False, True],
    }
)


@pytest.mark.parametrize(
    ("suffix", "package"), [(".csv", "pandas"), (".parquet", "pyarrow"), (".xlsx", "openpyxl")]
)
def test_round_trip(suffix: str, package: str, tmp_path: Path) -> None:
    """Every number, text and flag comes back as it was; an old file stays unless told."""
    pytest.importorskip(package)
    path = io.write_table(tmp_path / f"fibres{suffix}", TABLE)
    found = read_table(path)
    pd.testing.assert_frame_equal(found, TABLE, check_dtype=False, rtol=1e-15)
    with pytest.raises(FileExistsError):
        io.write_table(path, TABLE)
    assert io.write_table(path, TABLE[:1], overwrite=True) == path
    assert len(read_table(path)) == 1


@pytest.mark.parametrize(("suffix", "package"), [(".parquet", "pyarrow"), (".xlsx", "openpyxl")])
def test_a_missing_package_is_named(
    suffix: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the package the message says what to install, and no file is left."""
    for module in [m for m in sys.modules if m.startswith(f"{package}.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, "fastparquet", None)  # pandas' second choice
    path = tmp_path / f"fibres{suffix}"
    with pytest.raises(ImportError, match=r"pip install 'axonlab\[tables\]'"):
        io.write_table(path, TABLE)
    assert not path.exists()


TEXTS = {
    "commas": "n,d\n1,2.5\n2,3",
    "spaces after commas": "n, d\n1, 2.5\n2, 3",
    "tabs": "n\td\n1\t2.5\n2\t3",
    "Excel in German": "n;d\n1;2,5\n2;3",
    "tabs and decimal commas": "n\td\n1\t2,5\n2\t3",
    "Windows lines and empty ones": "n,d\r\n1,2.5\r\n\r\n2,3\r\n",
    "a separator too many": "n,d,\n1,2.5,\n2,3,\n",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_dialects(text: str) -> None:
    """Separators, decimals and line ends of any country give the same numbers."""
    table = parse_table(text)
    assert table["n"].tolist() == [1, 2]
    assert table["d"].tolist() == [2.5, 3]


def test_points_and_commas_are_not_mixed_up() -> None:
    """Where some numbers have points, commas are left as they are, for a person to look at."""
    assert parse_table("a\tb\n1.5\t2,5")["b"].tolist() == ["2,5"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_micro_signs(encoding: str, tmp_path: Path) -> None:
    """Headings with µ are read whatever program wrote them."""
    path = tmp_path / "results.tsv"
    path.write_bytes("n\td (µm)\n1\t2".encode(encoding))
    assert list(read_table(path)) == ["n", "d (µm)"]


def damaged(tmp_path: Path) -> Path:
    """Write a file that is none of what its suffix says."""
    path = tmp_path / "damaged.xlsx"
    path.write_bytes(b"PK no")
    return path


ERRORS: dict[str, tuple[Any, type[Exception], str]] = {
    "no file": (lambda p: read_table(p / "none.csv"), FileNotFoundError, "none.csv"),
    "no text": (lambda p: parse_table("\n \n"), ValueError, "pasted text: no table found"),
    "other suffix": (lambda p: io.write_table(p / "t.doc", TABLE), ValueError, "Change the suffix"),
}


@pytest.mark.parametrize(("call", "kind", "message"), ERRORS.values(), ids=ERRORS.keys())
def test_errors(call: Any, kind: type[Exception], message: str, tmp_path: Path) -> None:
    """What cannot be read or written is said."""
    with pytest.raises(kind, match=message):
        call(tmp_path)


def test_a_damaged_workbook(tmp_path: Path) -> None:
    """A file that only is called .xlsx is named."""
    pytest.importorskip("openpyxl")
    with pytest.raises(ValueError, match=r"damaged.xlsx: not a readable table"):
        read_table(damaged(tmp_path))
