"""Files that belong together: whenever the machine dies, all are old or all are new."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from axonlab.bundle import read_bundle, write_bundle
from axonlab.io import write_bytes

NAMES = ("labels.png", "fibres.tif", "fibres.csv")


class Crash(BaseException):
    """The machine dies here."""


def save(folder: Path, state: str, known: dict[str, str] | None = None, **kwargs: Any) -> Any:
    """Write a bundle whose files all say which state they are of."""

    def write(target: Path) -> None:
        for name in NAMES:
            write_bytes(target / name, f"{name} {state}".encode())

    return write_bundle(folder, "all.json", {"state": state}, write, known=known or {}, **kwargs)


def read(folder: Path) -> str:
    """Return the state that a bundle is of; its files must agree."""
    content, _ = read_bundle(folder, "all.json")
    for name in NAMES:
        assert (folder / name).read_text() == f"{name} {content['state']}"
    return str(content["state"])


def crashing(replace: Callable[..., None], last: int, is_done: bool) -> Callable[..., None]:
    """Return an `os.replace` after (or before) the last of whose moves the machine dies."""
    moves = count()

    def move(*args: Any) -> None:
        is_last = next(moves) == last
        if is_done or not is_last:
            replace(*args)
        if is_last:
            raise Crash

    return move


@pytest.mark.parametrize("is_done", [False, True], ids=["before", "after"])
def test_a_crash_at_any_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_done: bool
) -> None:
    """Whichever file was the last to be moved: what is read is all old, or all new."""
    found = []
    for last in count():
        folder = tmp_path / f"{last}"
        known = save(folder, "old")
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", crashing(os.replace, last, is_done))
            try:
                save(folder, "new", known)
            except Crash:
                pass
            else:
                break
        found.append(read(folder))
        # and life goes on, for the one that crashed as for the next
        save(folder, "newer", read_bundle(folder, "all.json")[1])
        assert read(folder) == "newer"
        assert {path.name for path in folder.iterdir()} == {*NAMES, "all.json"}
    # the files and the manifest are written, the folder takes its name, all are moved
    n_written = len(NAMES) + 1
    n_old = n_written + (not is_done)
    assert found == ["old"] * n_old + ["new"] * (2 * n_written + 1 - n_old)


def test_a_crash_of_the_first_save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing was, nothing is found; then the folder can be used."""

    def replace(*_: object) -> None:
        raise Crash

    with monkeypatch.context() as patch, pytest.raises(Crash):
        patch.setattr(os, "replace", replace)
        save(tmp_path, "new")
    with pytest.raises(FileNotFoundError):
        read(tmp_path)
    save(tmp_path, "newer")
    assert read(tmp_path) == "newer"


def test_a_full_disk_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error while writing leaves what was there."""
    known = save(tmp_path, "old")

    def write(target: Path) -> None:
        write_bytes(target / NAMES[0], b"new")
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_bundle(tmp_path, "all.json", {}, write, known=known)
    assert read(tmp_path) == "old"
    assert {path.name for path in tmp_path.iterdir()} == {*NAMES, "all.json"}


def test_only_known_files_are_replaced(tmp_path: Path) -> None:
    """What is not known, or was changed, stays until overwriting is asked for."""
    known = save(tmp_path, "old")
    with pytest.raises(FileExistsError, match=r"all\.json, .*labels\.png"):
        save(tmp_path, "new")
    (tmp_path / "fibres.csv").write_text("mine")
    with pytest.raises(FileExistsError, match=r"holds fibres\.csv that"):
        save(tmp_path, "new", known)
    assert (tmp_path / "fibres.csv").read_text() == "mine"
    save(tmp_path, "new", overwrite=True)
    assert read(tmp_path) == "new"


def test_the_same_hashes_are_written_and_read(tmp_path: Path) -> None:
    """Who opens a bundle may replace it as who wrote it."""
    assert save(tmp_path, "old") == read_bundle(tmp_path, "all.json")[1]
