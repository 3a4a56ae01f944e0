"""Corrections survive a crash: whatever was done is there again, in order, by whom it was done."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from axonlab.correct import Correction
from axonlab.phantom import Phantom, nerve
from axonlab.recover import open_correction


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    """Return a nerve of some fibres."""
    return nerve((150, 200), seed=3)


def opened(phantom: Phantom, folder: Path, who: str = "Ada") -> Correction:
    """Open the correction of the phantom, as a kernel does that knows nothing of another one."""
    return open_correction(phantom.labels, folder, pixel_size=0.1, who=who)


def check_same(one: Correction, other: Correction) -> None:
    """Compare all that a correction is."""
    np.testing.assert_array_equal(one.labels, other.labels)
    np.testing.assert_array_equal(one.axons, other.axons)
    np.testing.assert_array_equal(one.fibres, other.fibres)
    pd.testing.assert_frame_equal(one.table, other.table)
    mine, theirs = (
        [(e["who"], e["what"], e["fibre_ids"]) for e in correction.trail]
        for correction in (one, other)
    )
    assert mine == theirs


def edit(correction: Correction) -> None:
    """Make an edit of every kind, and take one back."""
    ids = correction.table["fibre_id"].tolist()
    correction.delete(ids[:2])
    correction.merge(ids[2:4])
    correction.change_class(ids[4], "unmyelinated axon")
    window = correction.around(ids[5])
    correction.redraw(*window, np.zeros(correction.labels[window].shape, np.uint8))
    largest = correction.table.nlargest(1, "axon_area_um2").iloc[0]
    row, column = largest["centroid_y_um"] / 0.1, largest["centroid_x_um"] / 0.1
    correction.split(int(largest["fibre_id"]), (row, column - 60), (row, column + 60))
    correction.undo()
    correction.undo()
    correction.redo()


def test_what_was_never_saved_is_there_again(phantom: Phantom, tmp_path: Path) -> None:
    """Every kind of edit; once found, it is saved."""
    before = opened(phantom, tmp_path / "kept")
    edit(before)
    assert not (tmp_path / "kept").exists()
    after = opened(phantom, tmp_path / "kept", who="Bob")
    check_same(before, after)
    assert after.who == "Bob"
    check_same(after, Correction.open(tmp_path / "kept"))


def test_edits_after_a_save(phantom: Phantom, tmp_path: Path) -> None:
    """Those before it are not done twice."""
    before = opened(phantom, tmp_path / "kept")
    edit(before)
    before.save()
    before.delete(before.table["fibre_id"].iloc[0])
    check_same(before, opened(phantom, tmp_path / "kept"))


def test_taking_back_what_was_saved(phantom: Phantom, tmp_path: Path) -> None:
    """Nobody who opens it can, so that it is saved at once."""
    before = opened(phantom, tmp_path / "kept")
    before.delete(1)
    before.save()
    before.undo()
    before.delete(2)
    before.undo()
    check_same(before, opened(phantom, tmp_path / "kept"))


def test_a_torn_line_is_no_edit(phantom: Phantom, tmp_path: Path) -> None:
    """A crash in mid-writing costs the edit that it was."""
    before = opened(phantom, tmp_path / "kept")
    before.delete(1)
    path = tmp_path / ".kept.edits.jsonl"
    path.write_bytes(path.read_bytes() + b'{"index": 1, "what": "del')
    check_same(before, opened(phantom, tmp_path / "kept"))


@pytest.mark.parametrize("change", [(b'"index": 0', b'"index": 5'), (b'"delete"', b'"explode"')])
def test_a_journal_that_does_not_follow(
    phantom: Phantom, tmp_path: Path, change: tuple[bytes, bytes]
) -> None:
    """It is told, and left as it is."""
    opened(phantom, tmp_path / "kept").delete(1)
    path = tmp_path / ".kept.edits.jsonl"
    content = path.read_bytes().replace(*change)
    path.write_bytes(content)
    with pytest.raises(ValueError, match="does not follow"):
        opened(phantom, tmp_path / "kept")
    assert path.read_bytes() == content


def test_another_segmentation(phantom: Phantom, tmp_path: Path) -> None:
    """Edits of one are not made to another; what was saved is shown, with a warning."""
    before = opened(phantom, tmp_path / "kept")
    before.delete(1)
    other = nerve((150, 200), seed=4)
    with pytest.raises(ValueError, match="another segmentation"):
        opened(other, tmp_path / "kept")
    before.save()
    with pytest.warns(UserWarning, match="another segmentation"):
        check_same(before, opened(other, tmp_path / "kept"))


def test_a_second_page_takes_over(phantom: Phantom, tmp_path: Path) -> None:
    """What the first one then does is not kept, and it is told so; its views follow nonetheless."""
    first = opened(phantom, tmp_path / "kept")
    seen: list[int] = []
    first.listeners.append(lambda: seen.append(len(first.table)))
    second = opened(phantom, tmp_path / "kept")
    n = len(first.table)
    with pytest.raises(OSError, match="is not kept on disk"):
        first.delete(1)
    assert seen == [n - 1]
    second.delete(2)
    check_same(second, opened(phantom, tmp_path / "kept"))


def test_a_save_that_a_crash_has_cut_short(phantom: Phantom, tmp_path: Path) -> None:
    """All was written but nothing was in its place yet: it is what one finds."""
    before = opened(phantom, tmp_path / "kept")
    edit(before)
    before.save()
    files = list((tmp_path / "kept").iterdir())
    (tmp_path / "kept/.saved").mkdir()
    for path in files:
        path.rename(tmp_path / "kept/.saved" / path.name)
    check_same(before, opened(phantom, tmp_path / "kept"))
