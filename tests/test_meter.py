"""The meter of memory: what it shows, when it warns, and that it ends."""

import time

import pytest

from axonlab import machine
from axonlab.widgets import Meter, meter


@pytest.fixture
def memory(monkeypatch):
    """Return what is free of 2 GB, to be changed."""
    state = {"free": 800_000_000}
    monkeypatch.setattr(machine, "memory_limit", lambda: 2_000_000_000)
    monkeypatch.setattr(machine, "memory_free", lambda: state["free"])
    monkeypatch.setattr(meter, "SECONDS", 0.02)
    return state


@pytest.fixture
def widget(memory):
    """Return a meter, and close it."""
    made = Meter()
    yield made
    made.close()


def wait_until(condition, seconds=20):
    """Look again and again, until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_text_says_what_the_bar_shows(widget):
    """Colours and lengths are not needed to read it."""
    assert widget.text.value == "1.2 of 2.0 GB"
    assert widget.bar.value == 0.6 and widget.bar.description == "memory"
    assert (widget.used, widget.limit) == (1_200_000_000, 2_000_000_000)
    assert widget.warning.value == ""


def test_it_follows(widget, memory):
    """Without a cell being run."""
    memory["free"] = 1_500_000_000
    wait_until(lambda: widget.text.value == "0.5 of 2.0 GB")


def test_it_warns_and_takes_it_back(widget, memory):
    """In words, which a screen reader says once."""
    memory["free"] = 200_000_000
    wait_until(lambda: 'role="alert"' in widget.warning.value)
    assert "shut down other kernels" in widget.warning.value
    assert widget.bar.bar_style == "danger"
    memory["free"] = 300_000_000
    wait_until(lambda: widget.warning.value == "")
    assert widget.bar.bar_style == ""


def test_nothing_is_sent_when_nothing_changes(widget):
    """A browser need not be told that all is as it was."""
    seen = []
    for part in (widget.bar, widget.text, widget.warning):
        part.observe(seen.append)
    for _ in range(3):
        widget.look()
    assert seen == []


def test_it_ends_when_it_is_closed(memory):
    """And does not keep a kernel from ending."""
    widget = Meter()
    assert widget._thread.daemon and widget._thread.is_alive()
    widget.close()
    widget._thread.join(timeout=20)
    assert not widget._thread.is_alive()


def test_this_machine():
    """Whatever it has, it is shown."""
    widget = Meter()
    assert 0 < widget.used < widget.limit
    widget.close()
