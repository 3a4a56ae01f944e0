"""The doctor's widget: every finding can be read and looked at, and allowed in a plain list."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

import ipywidgets
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from axonlab import dataset, io
from axonlab.micrograph import CLASS_COLOURS, UNLABELLED
from axonlab.pairs import Pair, find_pairs
from axonlab.widgets import DoctorWidget
from axonlab.widgets import doctor as module

SIZE = 0.2


@pytest.fixture
def pairs(bids: Path) -> list[Pair]:
    """Return the pairs of a good data set."""
    return find_pairs(bids)


def spoil(pairs: list[Pair]) -> None:
    """Empty two masks, cut an image short, and leave half a mask unlabelled."""
    for pair in pairs[:2]:
        Image.fromarray(np.zeros((60, 72), np.uint8)).save(pair.masks[0])
    pairs[2].image.write_bytes(pairs[2].image.read_bytes()[:60])
    labels = io.read_labels(*pairs[3].masks)
    labels[:30] = UNLABELLED
    io.write_labels(pairs[3].masks[0], labels, overwrite=True)


def findings_of(pairs: list[Pair]) -> pd.DataFrame:
    """Return what the doctor finds."""
    return dataset.check_dataset(pairs, pixel_size=SIZE, valid_animals=["sub-c"])


@pytest.fixture
def allow() -> list[str]:
    """Return the list that the notebook hands to `dataset.refuse`."""
    return []


@pytest.fixture
def widget(pairs: list[Pair], allow: list[str]) -> DoctorWidget:
    """Return the widget of a data set with findings of all kinds."""
    spoil(pairs)
    return DoctorWidget(pairs, findings_of(pairs), allow)


def text(widget: ipywidgets.Widget) -> str:
    """Return all that a widget and those in it show as HTML."""
    inner = "".join(text(child) for child in getattr(widget, "children", ()))
    return inner + (widget.value if isinstance(widget, ipywidgets.HTML) else "")


def look(widget: DoctorWidget, name: str) -> str:
    """Choose the first finding of a name, and return what is shown of it."""
    next(button for button in widget.looks if button.description == name).click()
    return str(widget.picture.value)


def test_the_table(widget: DoctorWidget, pairs: list[Pair]) -> None:
    """Every finding is a row with its severity in words and sign, file, finding and advice."""
    findings = findings_of(pairs)
    assert len(widget.rows.children) == len(findings) > 3
    for row, shown in zip(findings.itertuples(index=False), widget.rows.children, strict=True):
        severity, button, cells = shown.children
        assert severity.value.endswith(f"{module.SIGNS[row.severity]}</span> {row.severity}")
        assert button.description == row.name
        for told in (row.file or "all", row.finding, row.suggestion):
            assert f"<span>{escape(told)}</span>" in cells.value
    assert "3 severe findings" in text(widget)


def test_the_filter(widget: DoctorWidget) -> None:
    """A severity can be chosen; each tells how many findings it has."""
    labels = dict(widget.severity.options)
    for label, severity in labels.items():
        widget.severity.value = severity
        shown = [row.children[0].value for row in widget.rows.children]
        assert label.endswith(f"({len(shown)})")
        assert all(value.endswith(severity) for value in shown)
    assert [*labels.values()] == ["", "severe", "warning", "note"]


def test_a_finding_is_looked_at(widget: DoctorWidget) -> None:
    """The first at once, others when they are chosen; the one that is shown is marked."""
    assert widget.looks[0].button_style == "info"
    assert "unreadable" in widget.picture.value
    shown = look(widget, "empty")
    assert [button.description for button in widget.looks if button.button_style] == ["empty"]
    assert shown.count("<img") == 1
    assert 'alt="sub-a/micr/sub-a_sample-1_SEM.png with its mask in colour"' in shown
    assert 'aria-live="polite"' in shown


def test_files_that_cannot_be_read(widget: DoctorWidget) -> None:
    """The reason takes the place of the picture."""
    shown = look(widget, "unreadable")
    assert "<img" not in shown
    assert "could not be read" in shown


def test_masks_that_do_not_fit(pairs: list[Pair], allow: list[str]) -> None:
    """The image is shown alone, and what is wrong with its mask is told."""
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(pairs[1].masks[0])
    shown = look(DoctorWidget(pairs, findings_of(pairs), allow), "shape")
    assert shown.count("<img") == 1
    assert "without a mask" in shown
    assert "labels of shape (3, 3) for an image of shape (60, 72)" in shown


def test_both_sides_of_a_leak(pairs: list[Pair], allow: list[str]) -> None:
    """The image that a finding names beside its file is shown, too."""
    for old, new in ((pairs[0].image, pairs[4].image), (pairs[0].masks[0], pairs[4].masks[0])):
        new.write_bytes(old.read_bytes())
    shown = look(DoctorWidget(pairs, findings_of(pairs), allow), "leak")
    assert re.findall(r"sub-._sample-._SEM\.png</figcaption>", shown) == [
        f"sub-{animal}_sample-1_SEM.png</figcaption>" for animal in "ac"
    ]


def test_findings_about_all_images(pairs: list[Pair], allow: list[str]) -> None:
    """They have no picture, and are told all the same."""
    widget = DoctorWidget(pairs[:1], findings_of(pairs[:1]), allow)
    assert "there is one image only" in look(widget, "one image")
    assert "<img" not in widget.picture.value


def test_pictures_are_small(
    pairs: list[Pair], allow: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However large an image is, a picture of bounded size is sent."""
    seen: list[tuple[int, ...]] = []

    def png(pixels: np.ndarray, description: str) -> str:
        seen.append(pixels.shape)
        return description

    monkeypatch.setattr(module, "png", png)
    monkeypatch.setattr(module, "SIDE", 36)
    Image.fromarray(np.zeros((60, 72), np.uint8)).save(pairs[0].masks[0])
    DoctorWidget(pairs, findings_of(pairs), allow)
    assert seen == [(30, 36), (30, 36, 3)]


def test_allowing(widget: DoctorWidget, pairs: list[Pair], allow: list[str]) -> None:
    """A box per severe name writes it into the list itself, and takes it out again."""
    unreadable, empty = widget.allowed
    assert "“empty” (2 findings)" in empty.description
    findings = findings_of(pairs)
    with pytest.raises(ValueError, match="severe findings"):
        dataset.refuse(findings, allow)
    empty.value = unreadable.value = True
    assert allow == ["empty", "unreadable"]
    dataset.refuse(findings, allow)
    empty.value = False
    assert allow == ["unreadable"]


def test_what_was_allowed_before(pairs: list[Pair]) -> None:
    """It is checked from the start, and names of other data sets stay in the list."""
    spoil(pairs)
    allow = ["leak", "empty"]
    widget = DoctorWidget(pairs, findings_of(pairs), allow)
    assert [box.value for box in widget.allowed] == [False, True]
    widget.allowed[0].value = True
    widget.allowed[1].value = False
    assert allow == ["leak", "unreadable"]


def test_the_classes(widget: DoctorWidget) -> None:
    """A bar per image that can be read, in the colours of the classes, with words."""
    balance = widget.children[-1].value
    bars = re.findall(r'role="img" title="([^"]*)"', balance)
    assert len(bars) == 5
    assert bars[0] == "background 100.0%"
    assert re.fullmatch(r"background [\d.]+%, myelin [\d.]+%, axon [\d.]+%", bars[2])
    assert "50% labelled" in balance
    for colour in [*CLASS_COLOURS.values()][:4]:
        assert f"background: {colour}" in balance


def test_nothing_found(pairs: list[Pair], allow: list[str]) -> None:
    """It is said, and the classes are shown."""
    widget = DoctorWidget(pairs, findings_of(pairs)[:0], allow)
    assert "6 images checked, and nothing found" in text(widget)
    assert not widget.rows.children
    assert text(widget).count('role="img"') == 6


def test_names_are_data(pairs: list[Pair], allow: list[str]) -> None:
    """What a file is called is never taken for HTML."""
    name = "<img src=x onerror=alert(1)>&\"'"
    for path in (pairs[0].image, pairs[0].image.with_suffix(".json")):
        path.rename(path.with_name(name + path.suffix))
    pair = Pair(pairs[0].image.with_name(f"{name}.png"), pairs[0].masks, "sub-a")
    Image.fromarray(np.zeros((60, 72), np.uint8)).save(pair.masks[0])
    widget = DoctorWidget([pair], findings_of([pair]), allow)
    shown = text(widget) + look(widget, "empty")
    assert "<img src=x" not in shown
    assert "&lt;img src=x onerror=alert(1)&gt;" in shown
    assert shown.count("<img") == 2


def test_a_picture_of_no_readable_file(pairs: list[Pair], allow: list[str]) -> None:
    """Where nothing can be read there are findings, and no bars."""
    for pair in pairs:
        pair.image.write_bytes(b"")
    widget = DoctorWidget(pairs, findings_of(pairs), allow)
    assert len(widget.rows.children) == 6
    assert 'role="img"' not in text(widget)
