"""The label widget without a browser: what it answers to messages, and the picture it leaves."""

import base64
import io
import time

import numpy as np
import pytest
from PIL import Image

from axonlab.labelling import KEEP, Labelling, Patch
from axonlab.micrograph import CLASSES, UNLABELLED, Micrograph
from axonlab.phantom import nerve
from axonlab.widgets import LabelWidget, label

SHAPE = (60, 80)


@pytest.fixture
def labelling():
    """Return a labelling of a phantom."""
    return Labelling(nerve(SHAPE, seed=1).micrograph)


@pytest.fixture
def widget(labelling, monkeypatch):
    """Return a widget that one page looks at; what it sends is in ``sent``."""
    widget = LabelWidget(labelling)
    widget.sent = []
    monkeypatch.setattr(widget, "send", lambda content, buffers=None: widget.sent.append(content))
    tell(widget, kind="hello")
    return widget


def tell(widget, *buffers, **message):
    """Send a message as the page does, and return the answers."""
    widget.sent.clear()
    widget._receive(widget, {"page": "p"} | message, list(buffers))
    return list(widget.sent)


def edit(patch, number=1):
    """Return an edit as message and buffer."""
    place, packed = patch.pack()
    return {"kind": "edit", "edit": number} | place, memoryview(packed)


def wait(condition):
    """Wait for a thread."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def test_edits_are_applied_and_receipted(labelling, widget):
    """The labels hold the patch; the page gets it back, and its receipt after that."""
    message, buffer = edit(Patch(2, 3, np.array([[2, KEEP, 1]], np.uint8)), number=7)
    answers = tell(widget, buffer, **message)
    assert labelling.labels[2, 3:6].tolist() == [2, UNLABELLED, 1]
    assert [answer["kind"] for answer in answers] == ["patch", "state", "state"]
    assert answers[-1]["page"] == "p" and answers[-1]["edit"] == 7
    assert answers[-1]["counts"]["axon"] == 1 and answers[-1]["can_undo"]


@pytest.mark.parametrize(
    ("change", "buffer"),
    [
        ({}, b"no zlib"),
        ({"row": 59, "height": 2}, None),
        ({"row": None}, None),
        ({"height": 10**9, "width": 10**9}, None),
    ],
)
def test_wrong_edits_are_refused(labelling, widget, change, buffer):
    """The page is told, with its number; nothing changes."""
    message, good = edit(Patch(2, 3, np.array([[2, 1]], np.uint8)), number=3)
    (answer,) = tell(widget, buffer or good, **message | change)
    assert answer["kind"] == "refused" and answer["edit"] == 3 and answer["text"]
    assert (labelling.labels == UNLABELLED).all() and not labelling.can_undo


def test_unknown_messages_do_no_harm(widget):
    """Whatever comes, the answer is a message."""
    (answer,) = tell(widget, kind="from a newer version")
    assert answer["kind"] == "failed"


def test_nothing_is_sent_when_nobody_looks(labelling, widget):
    """A widget whose cell ran again does not compress every stroke for nobody."""
    assert tell(widget, kind="sleep") == []
    labelling.apply(Patch(0, 0, np.array([[2]], np.uint8)))
    assert widget.sent == []
    (start,) = tell(widget, kind="hello")
    assert start["kind"] == "start" and start["state"]["counts"]["axon"] == 1


def test_closing_leaves_the_labelling_alone(labelling, widget):
    """A closed widget hears of no change, and closing twice is harmless."""
    widget.close()
    widget.close()
    assert labelling.listeners == []
    assert labelling.apply(Patch(0, 0, np.array([[2]], np.uint8)))


def test_suggestion_and_where_next(labelling, widget):
    """Scribbles give a suggestion and a crop to look at; accepting fills what is unlabelled."""
    truth = nerve(SHAPE, seed=1).labels
    scribbles = np.full(SHAPE, UNLABELLED, np.uint8)
    scribbles[::4, ::4] = truth[::4, ::4]
    labelling.replace(scribbles)
    tell(widget, kind="where", source=label.SCRIBBLES)
    wait(lambda: widget.sent and widget.sent[-1] == {"kind": "busy", "text": ""})
    kinds = [answer["kind"] for answer in widget.sent]
    assert kinds == ["busy", "suggestion", "look", "busy"]
    axon = CLASSES["axon"]
    tell(widget, kind="accept", classes=[axon], only_unlabelled=True)
    changed = labelling.labels != scribbles
    assert changed.any() and (labelling.labels[changed] == axon).all()
    assert (scribbles[changed] == UNLABELLED).all()
    answers = tell(widget, kind="accept", classes=list(CLASSES.values()), only_unlabelled=True)
    assert answers[-1]["kind"] == "suggestion"  # none is left
    assert labelling.counts["unlabelled"] == 0


def test_a_suggestion_that_fails_is_told(labelling, widget):
    """Without scribbles there is nothing to learn from."""
    tell(widget, kind="suggest", source=label.SCRIBBLES)
    wait(lambda: widget.sent and widget.sent[-1] == {"kind": "busy", "text": ""})
    (failed,) = [answer for answer in widget.sent if answer["kind"] == "failed"]
    assert "at least two classes" in failed["text"]


@pytest.mark.parametrize("shape", [(60, 80), (1500, 3000)])
def test_picture_where_no_javascript_runs(shape):
    """Beside the widget stands a PNG of the labels, of bounded size."""
    labelling = Labelling(Micrograph(np.zeros(shape), pixel_size=0.1))
    labelling.apply(Patch(0, 0, np.full((30, 40), CLASSES["axon"], np.uint8)))
    data, _ = LabelWidget(labelling)._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(data["image/png"]))))
    assert max(picture.shape) <= label.STATIC_PIXELS
    assert picture.shape[1] / picture.shape[0] == pytest.approx(shape[1] / shape[0], rel=0.02)
    red, green, blue = picture[1, 1].astype(int)
    assert blue > green > red  # the colour of axons over black
    assert picture[-1, -1].tolist() == [0, 0, 0]
