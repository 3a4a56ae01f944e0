"""The label widget's scripts on a bare page: geometry, messages, picture and hands, each alone."""

import base64
import zlib
from collections import deque
from itertools import pairwise

import numpy as np
import pytest
from playwright.sync_api import sync_playwright
from scipy import ndimage
from steps import CHROMIUM, CHROMIUM_FLAGS, wait_until

from axonlab.labelling import KEEP, Labelling, Patch, compress
from axonlab.micrograph import CLASSES, UNLABELLED, Micrograph
from axonlab.widgets import LabelWidget

HEIGHT, WIDTH = 120, 160
MYELIN, AXON = 1, 2
COLOURS = ["#cc79a7", "#e69f00", "#56b4e9", "#009e73"]
PAGE = """
<!doctype html><meta charset="utf-8"><style>body { margin: 0 } %s</style>
<p>before</p><div id="home" style="width: 800px"></div><p style="height: 3000px">after</p>
"""
TOOLS = """
const pack = (bytes) => {
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) {
    text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  }
  return btoa(text);
};
const unpack = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const frames = (n = 2) => new Promise((done) => {
  const count = () => (n-- > 0 ? requestAnimationFrame(count) : done());
  count();
});

// A model that keeps what is sent to the kernel.
function connect() {
  const model = { handlers: {}, sent: [], on: (kind, act) => { model.handlers[kind] = act; } };
  model.send = (content, _, buffers = []) => {
    model.sent.push({ content, buffers: buffers.map(pack) });
  };
  model.receive = (content, buffers) => {
    const views = buffers.map((each) => new DataView(unpack(each).buffer));
    model.handlers["msg:custom"](content, views);
  };
  return model;
}

// A view whose kernel confirms every edit at once, if it does.
async function mount(about, planes, answers) {
  window.view?.remove();
  const model = connect();
  const { send } = model;
  model.send = (content, _, buffers) => {
    send(content, _, buffers);
    if (!answers || content.kind !== "edit") return;
    model.receive({ ...about.state, kind: "state", page: content.page, edit: content.edit }, []);
  };
  const root = element("div", {});
  home.replaceChildren(root);
  window.store = new Store(model);
  window.view = new View(store, root);
  model.receive({ ...about, kind: "start", page: store.page }, planes);
  await store.inbox;
  await frames();
}

// What a shape paints, in an image of zeros or in given labels.
function painted(height, width, draw, labels = new Uint8Array(height * width)) {
  const canvas = Object.create(Store.prototype);
  Object.assign(canvas, { height, width, labels, dirty: null });
  const over = new Uint8Array(256).fill(1);
  draw((row, from, to) => canvas.paint(row, from, to, 1, over), canvas.labels);
  return canvas.labels;
}
function gallery(height, width, cases, draw) {
  const all = new Uint8Array(cases.length * height * width);
  cases.forEach((each, n) => {
    all.set(painted(height, width, (span) => draw(each, span)), n * height * width);
  });
  return pack(all);
}

// Two pages of one labelling, whose messages Python carries.
const deeds = {
  join: ({ store, listener }) => store.join(listener),
  leave: ({ store, listener }) => store.leave(listener),
  paint: ({ store }, row, column, height, width, value) => {
    if (!store.ready) return;
    const over = new Uint8Array(256).fill(1);
    for (let y = row; y < row + height; y++) store.paint(y, column, column + width, value, over);
  },
  commit: ({ store }) => store.ready && store.commit(),
  revert: ({ store }) => store.ready && store.revert(),
  ask: ({ store }, kind) => store.send({ kind }),
  receive: ({ model }, content, buffers) => model.receive(content, buffers),
};
function openSides(n) {
  window.sides = Array.from({ length: n }, () => {
    const model = connect(), heard = [];
    return { model, heard, store: new Store(model), listener: (event) => heard.push(event.kind) };
  });
}
// Whether unconfirmed edits lie on top, and other labels only below the stroke in progress.
function isSound({ ready, labels, base, width, pending, dirty }) {
  if (!ready) return true;
  const top = base.slice();
  const laid = { width, write: Store.prototype.write };
  for (const edit of pending) laid.write(edit, [top]);
  return base.every((value, i) => {
    const row = Math.floor(i / width), column = i % width;
    const isInside = dirty && row >= dirty.top && row < dirty.bottom &&
      column >= dirty.left && column < dirty.right;
    return top[i] === value && (isInside || labels[i] === value);
  });
}
async function act(steps, isPatient) {
  for (const [n, deed, ...details] of steps) deeds[deed](sides[n], ...details);
  for (const { store } of isPatient ? sides : []) {
    await store.inbox;
    await store.outbox;
  }
  if (!sides.every(({ store }) => isSound(store))) throw new Error("labels are not on top");
  return sides.map(({ model }) => model.sent.splice(0));
}
function look(n) {
  const { store, heard } = sides[n];
  const { pending, ready, dirty, page, state } = store;
  const shown = { heard, ready, page, state, isDrawing: dirty !== null, pending: pending.length };
  return { ...shown, labels: ready ? pack(store.labels) : "", base: ready ? pack(store.base) : "" };
}
"""


@pytest.fixture(scope="module")
def browser():
    """Start headless Chromium."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def open_page(browser):
    """Return a page with the scripts, nothing else."""
    page = furnish(browser.new_page(viewport={"width": 1000, "height": 900}))
    yield page
    page.close()


@pytest.fixture
def bare(open_page):
    """Return the page; nothing may go wrong on it unseen."""
    open_page.faults.clear()
    yield open_page
    assert open_page.faults == []


@pytest.fixture
def desk(bare):
    """Return a view of noise, with nothing labelled."""
    return Desk(bare, blank())


def furnish(page):
    """Load the scripts into a page."""
    page.set_default_timeout(5000)  # all is at hand
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.set_content(PAGE % LabelWidget._css)
    page.add_script_tag(content=LabelWidget._esm.replace("export default", "window.widget ="))
    page.add_script_tag(content=TOOLS)
    return page


def pack(values):
    """Return bytes as text."""
    return base64.b64encode(values).decode("ascii")


def unpack(text, shape):
    """Return the pixels that a page has packed."""
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(shape)


def blank(shape=(HEIGHT, WIDTH)):
    """Return labels in which nothing is labelled."""
    return np.full(shape, UNLABELLED, np.uint8)


def centres(shape):
    """Return the positions of pixel centres, y and x."""
    return np.mgrid[: shape[0], : shape[1]] + 0.5


# ---- geometry


def test_capsule_covers_what_is_near_a_segment(bare):
    """Any ends, any radius, in and out of the image."""
    rng = np.random.default_rng(0)
    shape = 40, 50
    ends = rng.uniform(-15, 60, (400, 4))
    ends[:40, 2:] = ends[:40, :2]  # no length
    ends[40:60, 2] = ends[40:60, 0]  # upright
    ends[60:80, 3] = ends[60:80, 1]  # level
    cases = np.column_stack((ends, rng.uniform(0.2, 15, 400)))
    draw = "cases => gallery(40, 50, cases, (each, span) => capsule(...each, span))"
    covered = unpack(bare.evaluate(draw, cases.tolist()), (-1, *shape))
    y, x = centres(shape)
    for got, (x0, y0, x1, y1, radius) in zip(covered, cases, strict=True):
        dx, dy = x1 - x0, y1 - y0
        along = ((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy or 1)
        along = along.clip(0, 1)
        gap = np.hypot(x - x0 - along * dx, y - y0 - along * dy) - radius
        clear = abs(gap) > 1e-6
        assert (got == (gap <= 0))[clear].all(), (x0, y0, x1, y1, radius)


def test_capsule_between_pixel_centres_is_exact(bare):
    """The brush goes from centre to centre: pixels exactly on its rim belong to it."""
    rng = np.random.default_rng(1)
    shape = 40, 50
    ends = 2 * rng.integers(-10, 60, (400, 4)) + 1  # in half pixels: all is whole numbers
    ways = np.array([(3, 4), (-4, 3), (5, -12), (15, 8), (1, 0), (0, 1)])  # of whole length
    ends[:200, 2:] = ends[:200, :2] + 2 * rng.integers(1, 5, (200, 1)) * rng.choice(ways, 200)
    diameters = 2 * rng.integers(0, 15, 400) + 1
    cases = np.column_stack((ends, diameters)) / 2
    draw = "cases => gallery(40, 50, cases, (each, span) => capsule(...each, span))"
    covered = unpack(bare.evaluate(draw, cases.tolist()), (-1, *shape))
    y, x = (2 * centres(shape)).astype(int)
    for got, (x0, y0, x1, y1), diameter in zip(covered, ends, diameters, strict=True):
        dx, dy = x1 - x0, y1 - y0
        along = (x - x0) * dx + (y - y0) * dy
        across = (x - x0) * dy - (y - y0) * dx
        length = dx * dx + dy * dy
        to_ends = np.minimum(
            (x - x0) ** 2 + (y - y0) ** 2,
            (x - x1) ** 2 + (y - y1) ** 2,
        )
        expected = to_ends <= diameter**2
        expected |= (along >= 0) & (along <= length) & (across**2 <= diameter**2 * length)
        assert (got == expected).all(), (x0, y0, x1, y1, diameter)


def test_polygon_is_even_odd(bare):
    """Also where it crosses itself or leaves the image."""
    rng = np.random.default_rng(2)
    shape = 40, 50
    cases = [rng.uniform(-15, 65, (rng.integers(3, 15), 2)) for _ in range(300)]
    draw = "cases => gallery(40, 50, cases, polygon)"
    covered = unpack(bare.evaluate(draw, [case.tolist() for case in cases]), (-1, *shape))
    y, x = centres(shape)
    for got, points in zip(covered, cases, strict=True):
        crossed = np.zeros(shape, int)
        unclear = np.zeros(shape, bool)
        for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, 0), strict=True):
            spans = (y0 <= y) != (y1 <= y)
            edge = x0 + (y - y0) * (x1 - x0) / (y1 - y0)
            crossed += spans & (edge < x)
            unclear |= spans & (abs(edge - x) < 1e-6)
        assert ((got == crossed % 2) | unclear).all(), points.tolist()


def test_polygons_that_share_an_edge_share_no_pixel(bare):
    """Every pixel is in one of the two, also when corners and edges meet centres of pixels."""
    rng = np.random.default_rng(3)
    cases = []
    for _ in range(100):
        inner = rng.integers(0, 2 * 40, (rng.integers(0, 8), 2)) / 2
        shared = [[-1, 20.5], *inner.tolist(), [51, 20.5]]
        cases += [[*shared, [51, -1], [-1, -1]], [*shared, [51, 41], [-1, 41]]]
    covered = unpack(bare.evaluate("cases => gallery(40, 50, cases, polygon)", cases), (-1, 40, 50))
    assert (covered[::2] + covered[1::2] == 1).all()


def test_lasso_of_200_000_points(bare):
    """No function gets its points as arguments: the stack would overflow."""
    draw = """() => {
        const points = Array.from({ length: 200_000 }, (_, n) => {
          const angle = (2 * Math.PI * n) / 200_000;
          return [25 + 17 * Math.cos(angle), 20 + 17 * Math.sin(angle)];
        });
        return gallery(40, 50, [points], polygon);
    }"""
    (covered,) = unpack(bare.evaluate(draw), (1, 40, 50))
    y, x = centres((40, 50))
    assert (covered == (np.hypot(x - 25, y - 20) < 17)).all()


def test_staircase_is_one_pixel_wide_and_joined_over_edges(bare):
    """From the pixel of one end to that of the other, in as few steps as there are."""
    rng = np.random.default_rng(4)
    cases = rng.uniform(-5, 60, (400, 4))
    cases[:100] = rng.integers(-3, 12, (100, 4))  # ties, and no length
    walk = """cases => cases.map((each) => {
        const path = [];
        staircase(...each, (row, from, to) => path.push([row, from, to]));
        return path;
    })"""
    for path, (x0, y0, x1, y1) in zip(bare.evaluate(walk, cases.tolist()), cases, strict=True):
        path = np.array(path)
        assert (path[:, 2] - path[:, 1] == 1).all()
        steps = abs(np.diff(path[:, :2], axis=0))
        assert (steps.sum(1) == 1).all()
        start, end = np.floor((y0, x0)), np.floor((y1, x1))
        assert (path[0, :2] == start).all() and (path[-1, :2] == end).all()
        assert len(path) == abs(end - start).sum() + 1
        dy, dx = end - start
        across = (path[:, 1] - start[1]) * dy - (path[:, 0] - start[0]) * dx
        assert (abs(across) <= np.hypot(dx, dy)).all()  # nowhere farther than a pixel


def test_flood_fills_one_component(bare):
    """What hangs together over edges, and nothing else."""
    rng = np.random.default_rng(5)
    cases, expected = [], []
    for n in range(60):
        height, width = rng.integers(1, 40, 2) if n > 9 else [(1, 1), (1, 30), (30, 1)][n % 3]
        share = rng.choice([0.1, 0.4, 0.6, 0.9])
        labels = np.where(rng.random((height, width)) < share, 5, 6).astype(np.uint8)
        row, column = int(rng.integers(height)), int(rng.integers(width))
        cases.append([int(height), int(width), pack(labels), column, row])
        parts = ndimage.label(labels == labels[row, column])[0]
        expected.append(np.where(parts == parts[row, column], 1, labels))
    fill = """cases => cases.map(([height, width, labels, column, row]) => pack(painted(
        height,
        width,
        (span, values) => flood(values, width, height, column, row, span),
        unpack(labels),
    )))"""
    for text, labels in zip(bare.evaluate(fill, cases), expected, strict=True):
        assert (unpack(text, labels.shape) == labels).all()


# ---- messages


class Kernel:
    """The Python half of the widget; what it tells is kept until somebody carries it."""

    def __init__(self, shape, seed=0):
        pixels = np.random.default_rng(seed).random(shape)
        self.labelling = Labelling(Micrograph(pixels, pixel_size=0.1))
        self.told = []
        self.widget = LabelWidget(self.labelling)
        self.widget.send = self.tell

    def tell(self, content, buffers=()):
        """Keep a message for the pages."""
        self.told.append((content, [pack(each) for each in buffers or ()]))

    def hear(self, message):
        """Take a message of a page."""
        buffers = [memoryview(base64.b64decode(each)) for each in message["buffers"]]
        self.widget._receive(None, message["content"], buffers)


class Wire:
    """Carries messages between the kernel and its pages, when and as far as one wants."""

    def __init__(self, page, shape=(12, 16), sides=1):
        self.page, self.shape = page, shape
        self.kernel = Kernel(shape)
        self.truth = self.kernel.labelling.labels  # a view: always the present
        self.up = [deque() for _ in range(sides)]
        self.down = [deque() for _ in range(sides)]
        page.evaluate("n => openSides(n)", sides)
        self.act(*[(side, "join") for side in range(sides)])
        self.settle()

    def act(self, *steps, is_patient=True):
        """Do something on the pages, and fetch what they send."""
        sent = self.page.evaluate("([steps, patient]) => act(steps, patient)", [steps, is_patient])
        for queue, messages in zip(self.up, sent, strict=True):
            queue.extend(messages)
        return sum(map(len, sent))

    def carry_up(self, side=0):
        """Hand the oldest message of a page to the kernel, and what it tells to all pages."""
        self.kernel.hear(self.up[side].popleft())
        self.publish()

    def publish(self):
        """Send what the kernel has told on its way to every page."""
        for queue in self.down:
            queue.extend(self.kernel.told)
        self.kernel.told.clear()

    def arriving(self, side=0, most=10_000):
        """Return the oldest messages to a page as steps."""
        queue = self.down[side]
        return [(side, "receive", *queue.popleft()) for _ in range(min(most, len(queue)))]

    def settle(self):
        """Carry everything until nobody has anything to say."""
        self.publish()
        quiet = 0
        while quiet < 2:
            for side, queue in enumerate(self.up):
                while queue:
                    self.carry_up(side)
            steps = [step for side in range(len(self.down)) for step in self.arriving(side)]
            quiet = 0 if self.act(*steps) or steps else quiet + 1

    def look(self, side=0):
        """Return how it stands on a page."""
        seen = self.page.evaluate("n => look(n)", side)
        for name in ("labels", "base"):
            seen[name] = unpack(seen[name], self.shape) if seen[name] else None
        return seen

    def paint_python(self, row, column, height, width, value):
        """Change the labels from Python."""
        values = np.full((height, width), value, np.uint8)
        self.kernel.labelling.apply(Patch(row, column, values))
        self.publish()


@pytest.fixture
def wire(bare):
    """Return one page and its kernel, at rest."""
    return Wire(bare)


def rectangle(labels, row, column, height, width, value):
    """Return labels with a rectangle painted over them, clipped at the image."""
    labels = labels.copy()
    labels[max(row, 0) : row + height, max(column, 0) : column + width] = value
    return labels


def test_start_brings_the_labels(wire):
    """A page that joins has the labels of Python."""
    seen = wire.look()
    assert seen["ready"] and (seen["labels"] == wire.truth).all()


def test_commit_sends_what_changed(wire):
    """The box around the stroke, and in it what stays is marked so."""
    wire.paint_python(4, 4, 2, 2, AXON)
    wire.settle()
    wire.act((0, "paint", 3, 2, 2, 4, AXON), (0, "paint", 6, 9, 1, 3, MYELIN), (0, "commit"))
    ((edit,),) = wire.up
    place = {key: edit["content"][key] for key in ("row", "column", "height", "width")}
    assert place == {"row": 3, "column": 2, "height": 4, "width": 10}
    values = np.frombuffer(zlib.decompress(base64.b64decode(edit["buffers"][0])), np.uint8)
    expected = np.full(wire.shape, KEEP)
    expected[3:5, 2:6] = AXON
    expected[4, 4:6] = KEEP  # was axon before
    expected[6, 9:12] = MYELIN
    assert (values.reshape(4, 10) == expected[3:7, 2:12]).all()
    wire.settle()
    assert (wire.look()["labels"] == wire.truth).all() and wire.look()["pending"] == 0


def test_a_stroke_that_changes_nothing_is_not_sent(wire):
    """Neither outside the image nor over what is so already."""
    wire.act((0, "paint", -5, 0, 3, 9, AXON), (0, "paint", 2, 20, 3, 9, AXON), (0, "commit"))
    wire.act((0, "paint", 2, 2, 3, 3, UNLABELLED), (0, "commit"), (0, "commit"))
    assert not wire.up[0] and not wire.look()["isDrawing"]


def test_strokes_are_clipped_at_the_borders(wire):
    """What lies outside does not come in on the other side."""
    expected = wire.truth
    for row, column in ((-2, -3), (-2, 12), (10, -3), (10, 12), (5, 13)):
        wire.act((0, "paint", row, column, 4, 6, AXON), (0, "commit"))
        expected = rectangle(expected, row, column, 4, 6, AXON)
    wire.settle()
    assert (wire.truth == expected).all() and (wire.look()["labels"] == expected).all()


def test_pending_edits_lie_on_top_until_the_receipt(wire):
    """Then what Python does is the last word."""
    wire.act((0, "paint", 2, 2, 4, 4, AXON), (0, "commit"))
    wire.paint_python(4, 4, 4, 4, MYELIN)
    wire.act(*wire.arriving())
    both = rectangle(rectangle(blank(wire.shape), 4, 4, 4, 4, MYELIN), 2, 2, 4, 4, AXON)
    seen = wire.look()
    assert (seen["labels"] == both).all() and seen["pending"] == 1
    wire.carry_up()  # Python applies it last, too
    wire.paint_python(3, 3, 2, 2, 0)
    wire.act(*wire.arriving())
    seen = wire.look()
    assert (seen["labels"] == rectangle(both, 3, 3, 2, 2, 0)).all() and seen["pending"] == 0
    assert (seen["labels"] == wire.truth).all()


def test_a_stroke_in_progress_survives_patches_and_starts(wire):
    """It stays on top, and is sent as it was painted."""
    wire.act((0, "paint", 2, 2, 4, 4, AXON))
    wire.paint_python(4, 4, 4, 4, MYELIN)
    below = wire.truth.copy()
    wire.act(*wire.arriving())
    for _ in range(2):
        seen = wire.look()
        assert seen["isDrawing"] and (seen["base"] == below).all()
        assert (seen["labels"] == rectangle(below, 2, 2, 4, 4, AXON)).all()
        wire.act((0, "ask", "hello"))  # begin anew
        wire.settle()
    wire.act((0, "paint", 6, 2, 1, 4, AXON), (0, "commit"))
    wire.settle()
    assert (wire.truth == rectangle(below, 2, 2, 5, 4, AXON)).all()
    assert (wire.look()["labels"] == wire.truth).all()
    wire.act((0, "ask", "undo"))
    wire.settle()
    assert (wire.truth == below).all() and (wire.look()["labels"] == below).all()


def test_a_refused_edit_leaves_the_screen(wire):
    """And nothing else does."""
    wire.act((0, "paint", 0, 0, 2, 9, 77), (0, "commit"))  # no class has this number
    wire.act((0, "paint", 1, 4, 4, 2, AXON), (0, "commit"))
    wire.carry_up()
    wire.act(*wire.arriving())
    assert wire.up[0][-1]["content"]["kind"] == "hello" and wire.look()["pending"] == 1
    wire.settle()
    expected = rectangle(blank(wire.shape), 1, 4, 4, 2, AXON)
    seen = wire.look()
    assert (wire.truth == expected).all() and (seen["labels"] == expected).all()
    assert seen["pending"] == 0 and "refused" in seen["heard"]


def test_revert_takes_the_stroke_in_progress_back(wire):
    """Down to what was there, pending edits included."""
    wire.act((0, "paint", 2, 2, 4, 4, AXON), (0, "commit"), (0, "paint", 0, 0, 9, 9, 0))
    wire.paint_python(3, 3, 6, 6, MYELIN)
    wire.act(*wire.arriving())
    wire.act((0, "revert"), (0, "commit"))
    wire.settle()
    below = rectangle(rectangle(blank(wire.shape), 3, 3, 6, 6, MYELIN), 2, 2, 4, 4, AXON)
    assert (wire.truth == below).all() and (wire.look()["labels"] == below).all()


def test_a_damaged_message_is_told_and_mended(wire):
    """The page begins anew; what it has not sent yet is kept."""
    wire.act((0, "paint", 0, 0, 2, 2, AXON))
    wire.paint_python(5, 5, 3, 3, MYELIN)
    patch, _ = wire.down[0][0]
    wire.down[0][0] = (patch, [pack(b"damaged")])
    wire.act(*wire.arriving())
    assert [message["content"]["kind"] for message in wire.up[0]] == ["hello"]
    assert "failed" in wire.look()["heard"]
    wire.settle()
    assert (wire.look()["labels"] == rectangle(wire.truth, 0, 0, 2, 2, AXON)).all()


def test_nothing_is_kept_where_nobody_looks(wire):
    """A page left says so, and has the labels again when somebody comes back."""
    wire.act((0, "leave"))
    assert [message["content"]["kind"] for message in wire.up[0]] == ["sleep"]
    wire.settle()
    wire.paint_python(5, 5, 3, 3, MYELIN)
    assert not wire.down[0]
    assert wire.look()["labels"] is None
    wire.act((0, "join"))
    assert [message["content"]["kind"] for message in wire.up[0]] == ["hello"]
    wire.settle()
    assert (wire.look()["labels"] == wire.truth).all()


def test_a_receipt_counts_also_where_nobody_looks(wire):
    """What Python has confirmed is not laid over what it does later."""
    wire.act((0, "paint", 2, 2, 4, 4, AXON), (0, "commit"), (0, "leave"))
    wire.settle()
    wire.act((0, "join"))
    wire.settle()
    wire.kernel.labelling.undo()
    wire.settle()
    seen = wire.look()
    assert seen["pending"] == 0
    assert (seen["labels"] == wire.truth).all()


def test_a_refusal_counts_also_where_nobody_looks(wire):
    """What Python has refused does not come back with the next view."""
    wire.act((0, "paint", 2, 2, 4, 4, 77), (0, "commit"), (0, "leave"))
    wire.settle()
    wire.act((0, "join"))
    wire.settle()
    seen = wire.look()
    assert seen["pending"] == 0
    assert (seen["labels"] == wire.truth).all()


def simulate(page, seed, leaving, rounds=90):
    """Let two pages and Python edit at once, with messages late by chance; compare in the end."""
    rng = np.random.default_rng(seed)
    wire = Wire(page, sides=2)
    height, width = wire.shape

    def box():
        row, column = int(rng.integers(-2, height)), int(rng.integers(-2, width))
        return row, column, int(rng.integers(1, 7)), int(rng.integers(1, 7))

    def deed(side):
        names = ["paint", "commit", "revert", "undo", "redo", "wrong", "again"]
        shares = [0.45, 0.25, 0.05, 0.08, 0.08, 0.04, 0.05]
        name = rng.choice(names, p=shares)
        if name == "paint":
            return [(side, "paint", *box(), int(rng.choice([0, 1, 2, UNLABELLED])))]
        if name == "wrong":
            return [(side, "commit"), (side, "paint", *box(), 77), (side, "commit")]
        if name == "again" and leaving:
            return [(side, "leave"), (side, "join")]
        return [(side, name) if name in ("commit", "revert") else (side, "ask", name)]

    def damage(step):
        if step[2]["kind"] != "patch" or rng.random() > 0.03:
            return step
        return (*step[:3], [pack(b"damaged")])

    for _ in range(rounds):
        for side in rng.permutation(2):
            for _ in range(min(rng.integers(0, 4), len(wire.up[side]))):
                wire.carry_up(side)
        if rng.random() < 0.1:
            row, column, high, wide = box()
            if row >= 0 and column >= 0 and row + high <= height and column + wide <= width:
                wire.paint_python(row, column, high, wide, int(rng.integers(3)))
        steps = []
        for side in rng.permutation(2).tolist():
            mine = [damage(step) for step in wire.arriving(side, rng.integers(0, 6))]
            at = rng.integers(len(mine) + 1)
            mine[at:at] = deed(side)
            steps += mine
        wire.act(*steps, is_patient=bool(rng.random() < 0.5))
    wire.settle()
    wire.act((0, "commit"), (1, "commit"))
    wire.settle()
    for side in range(2):
        seen = wire.look(side)
        assert seen["pending"] == 0 and not seen["isDrawing"], (seed, side)
        assert (seen["labels"] == wire.truth).all(), (seed, side)
        assert (seen["base"] == wire.truth).all(), (seed, side)
        assert seen["state"]["counts"] == wire.kernel.labelling.counts, (seed, side)
    return len(np.unique(wire.truth))


def test_two_pages_and_python_come_to_the_same_labels(bare):
    """Whatever is painted, undone, refused, damaged or late."""
    assert max(simulate(bare, seed, leaving=False) for seed in range(12)) > 2


def test_pages_that_come_and_go_have_the_same_labels(bare):
    """Views may be closed and opened while messages are on their way."""
    for seed in range(100, 106):
        simulate(bare, seed, leaving=True)


# ---- picture


class Desk:
    """A view whose kernel confirms every edit at once, moved in pixels of the image."""

    def __init__(self, page, labels, grey=None, suggestion=None, *, answers=True):
        self.page, self.shape = page, labels.shape
        if grey is None:
            grey = np.random.default_rng(0).integers(0, 256, labels.shape, dtype=np.uint8)
        planes = [
            pack(compress(plane)) for plane in (grey, labels, suggestion) if plane is not None
        ]
        page.mouse.move(0, 0)
        page.evaluate(
            "([about, planes, answers]) => mount(about, planes, answers)",
            [about(labels), planes, answers],
        )
        self.root = page.locator(".axonlab-label")
        self.stage = page.locator(".axonlab-stage")

    def ask(self, expression, argument=None):
        """Evaluate something on the page."""
        return self.page.evaluate(expression, argument)

    def labels(self):
        """Return the labels as the page has them."""
        return unpack(self.ask("pack(store.labels)"), self.shape)

    def edits(self):
        """Return what was sent, by kind."""
        return self.ask(
            "store.outbox.then(() => store.model.sent.map(({ content }) => content.kind))"
        )

    def shown(self):
        """Return what of the image is shown: left, top and scale."""
        return self.ask("[view.picture.left, view.picture.top, view.picture.scale]")

    def canvas(self):
        """Return the picture as drawn, (h, w, 4) uint8."""
        height, width, text = self.ask(
            """frames().then(() => {
                const { canvas } = view.picture;
                const { width, height } = canvas;
                const drawn = canvas.getContext("2d").getImageData(0, 0, width, height);
                return [height, width, pack(drawn.data)];
            })"""
        )
        return unpack(text, (height, width, 4))

    def at(self, x, y):
        """Return where a position of the image is on the page."""
        box = self.stage.bounding_box()
        left, top, scale = self.shown()
        return box["x"] + (x - left) * scale, box["y"] + (y - top) * scale

    def move(self, *points):
        """Move the mouse."""
        for point in points:
            self.page.mouse.move(*self.at(*point))

    def drag(self, *points):
        """Draw with the mouse from point to point."""
        self.move(points[0])
        self.page.mouse.down()
        self.move(*points[1:])
        self.page.mouse.up()

    def click(self, x, y, **how):
        """Click on a position of the image."""
        self.page.mouse.click(*self.at(x, y), **how)

    def press(self, *keys):
        """Press keys on the picture."""
        for key in keys:
            self.stage.press(key)


def about(labels):
    """Return what a kernel tells of its labels when a page starts."""
    height, width = labels.shape
    classes = [
        {"id": i, "name": name, "colour": COLOURS[i % len(COLOURS)]} for name, i in CLASSES.items()
    ]
    counts = {name: int((labels == i).sum()) for name, i in CLASSES.items()}
    counts["unlabelled"] = int((labels == UNLABELLED).sum())
    return {
        "name": "noise",
        "pixel_size": 0.1,
        "height": height,
        "width": width,
        "classes": classes,
        "sources": ["my scribbles"],
        "state": {"counts": counts, "can_undo": True, "can_redo": True},
        "status": {"status": "saved", "text": "saved"},
        "busy": "",
    }


def halvings(grey):
    """Return an image at full, half, quarter … size."""
    levels = [grey]
    while min(levels[-1].shape) >= 512:
        height, width = (side // 2 for side in levels[-1].shape)
        blocks = levels[-1][: 2 * height, : 2 * width].reshape(height, 2, width, 2)
        levels.append(((blocks.sum((1, 3), dtype=int) + 2) >> 2).astype(np.uint8))
    return levels


@pytest.mark.parametrize("shape", [(511, 2000), (512, 513), (1027, 1301), (2049, 1024)])
def test_halvings(bare, shape):
    """A row or column left over at an odd size is dropped."""
    grey = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    halve = """([grey, width, height]) => halvings(unpack(grey), width, height).map(
        ({ data, width, height }) => [height, width, pack(data)]
    )"""
    levels = bare.evaluate(halve, [pack(grey), shape[1], shape[0]])
    expected = halvings(grey)
    assert len(levels) == len(expected)
    for (height, width, text), level in zip(levels, expected, strict=True):
        assert (height, width) == level.shape and (unpack(text, level.shape) == level).all()


@pytest.mark.parametrize("shape", [(HEIGHT, WIDTH), (1303, 2051)])
def test_every_pixel_of_the_screen(bare, shape):
    """It has the grey and the colour of the pixel of the image that lies below its centre."""
    rng = np.random.default_rng(6)
    grey = rng.integers(0, 256, shape, dtype=np.uint8)
    labels = rng.choice(np.array([0, MYELIN, AXON, UNLABELLED], np.uint8), shape)
    suggestion = rng.choice(np.array([0, MYELIN, AXON], np.uint8), shape)
    levels = halvings(grey)
    desk = Desk(bare, labels, grey, suggestion)
    desk.root.get_by_label("Show").get_by_text("background").click()
    for factor in (1, 0.6, 2.7, 40):
        desk.ask("view.picture.fit()")
        desk.ask("factor => view.picture.zoom(factor, 333, 222)", factor)
        drawn = desk.canvas()
        left, top, scale = desk.shown()
        (rows, inside_y), (columns, inside_x) = (
            under(origin, scale, length, side)
            for origin, length, side in zip((top, left), drawn.shape[:2], shape, strict=True)
        )
        level = min(max(int(np.floor(np.log2(1 / scale))), 0), len(levels) - 1)
        lines = np.minimum(rows >> level, levels[level].shape[0] - 1)
        g = levels[level][lines][:, np.minimum(columns >> level, levels[level].shape[1] - 1)]
        label, offered = labels[rows][:, columns], suggestion[rows][:, columns]
        j, i = np.indices(label.shape)
        is_hatched = (label == UNLABELLED) & ((i + j) % 8 < 4)
        expected = np.full((*label.shape, 4), 255)
        expected[..., :3] = mixed(g, label, 0.4)
        expected[is_hatched, :3] = mixed(g, offered, 0.75)[is_hatched]
        expected[~(inside_y[:, None] & inside_x)] = 0
        assert (drawn == expected).all(), factor


def under(origin, scale, length, side):
    """Return the rows or columns under those of the screen, and which lie inside the image."""
    places = np.floor(origin + (np.arange(length) + 0.5) * (1 / scale)).astype(int)
    return places.clip(0, side - 1), (places >= 0) & (places < side)


def mixed(grey, labels, share):
    """Return greys with the colours of labels in them; background is hidden."""
    colours = np.zeros((256, 3))
    shares = np.zeros(256)
    for i in (MYELIN, AXON):
        colours[i] = [int(COLOURS[i][k : k + 2], 16) for k in (1, 3, 5)]
        shares[i] = share
    every = np.arange(256.0)[:, None]  # mixed once, as one class with one grey
    table = colours[:, None] * shares[:, None, None] + every * (1 - shares[:, None, None])
    return np.floor(table + 0.5).astype(int)[labels, grey]


def test_partial_drawing_is_as_good_as_full(bare):
    """After strokes at any zoom nothing looks otherwise when all is drawn again."""
    rng = np.random.default_rng(7)
    for shape in ((HEIGHT, WIDTH), (1303, 2051)):
        desk = Desk(bare, blank(shape), suggestion=np.full(shape, MYELIN, np.uint8))
        for factor in (0.7, 1, 1.9, 7):
            points = rng.uniform(-20, 820, (8, 2)).tolist()
            different = desk.ask(
                """async ([factor, size, points]) => {
                    const { picture, hand } = view;
                    picture.fit();
                    picture.zoom(factor, 300.3, 200.7);
                    hand.size = size;
                    const place = ([x, y]) => [
                        picture.left + x / picture.scale, picture.top + y / picture.scale,
                    ];
                    hand.press(...place(points[0]));
                    await frames();
                    for (const point of points) {
                        hand.move(...place(point)); // draws a part
                        if (point[0] > 300) await frames(1); // of one or more moves
                    }
                    await frames();
                    const { width, height } = picture.canvas;
                    const context = picture.canvas.getContext("2d");
                    const drawn = () =>
                        new Uint32Array(context.getImageData(0, 0, width, height).data.buffer);
                    const before = drawn();
                    picture.draw();
                    await frames();
                    const after = drawn();
                    hand.release();
                    return after.filter((value, i) => value !== before[i]).length;
                }""",
                [factor, int(rng.choice([1, 9, 33])), points],
            )
            assert different == 0, (shape, factor)


def test_a_hidden_picture_comes_back_to_its_place(desk):
    """What is asked to be shown while the widget is hidden is shown when it is seen again."""
    show = "style => frames().then(() => { home.style.display = style; return frames(); })"
    before = desk.shown()
    desk.ask(show, "none")
    desk.ask("view.lookAt({ row: 40, column: 30, height: 32, width: 32 })")
    desk.ask("view.picture.zoom(1), view.picture.draw(), frames()")
    assert np.isfinite(desk.shown()).all()
    desk.ask("view.lookAt({ row: 40, column: 30, height: 32, width: 32 })")
    desk.ask(show, "block")
    wait_until(lambda: desk.shown() != before, desk.page)
    left, top, scale = desk.shown()
    box = desk.stage.bounding_box()
    assert left <= 30 and left + box["width"] / scale >= 62
    assert top <= 40 and top + box["height"] / scale >= 72
    assert scale > before[2]
    assert desk.canvas()[..., 3].any()


def test_a_widget_made_while_hidden_shows_the_whole_picture(bare):
    """As in a tab that nobody has opened yet."""
    bare.evaluate("home.style.display = 'none'")
    desk = Desk(bare, blank())
    bare.evaluate("home.style.display = 'block'")
    wait_until(lambda: desk.shown()[2] > 1, bare)
    box = desk.stage.bounding_box()
    assert desk.shown()[2] == min(box["width"] / WIDTH, box["height"] / HEIGHT)


# ---- hands


def stroke(points, diameter, shape=(HEIGHT, WIDTH)):
    """Return the pixels whose centre a brush covers on its way through the centres of pixels."""
    y, x = centres(shape)
    covered = np.zeros(shape, bool)
    for (x0, y0), (x1, y1) in pairwise(np.floor(np.array(points)) + 0.5):
        length = (x1 - x0) ** 2 + (y1 - y0) ** 2
        along = ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / (length or 1)
        along = along.clip(0, 1)
        distance = np.hypot(x - x0 - along * (x1 - x0), y - y0 - along * (y1 - y0))
        covered |= distance <= diameter / 2 + 1e-9
    return covered


def with_stroke(points, value=AXON, diameter=9):
    """Return labels with one stroke on nothing."""
    labels = blank()
    labels[stroke(points, diameter)] = value
    return labels


WAY = [(30.5, 30.5), (90.5, 40.5), (60.5, 90.5)]


def test_double_click_closes_a_polygon(desk):
    """The corner it sets itself counts once."""
    desk.press("p")
    desk.click(20, 20)
    desk.click(80, 20)
    desk.click(80, 60, click_count=2)
    y, x = centres(desk.shape)
    inside = (x < 80) & (y > 20) & ((y - 20) * 60 < (x - 20) * 40)
    assert (desk.labels() == np.where(inside, AXON, UNLABELLED)).all()
    assert desk.ask("view.hand.points.length") == 0
    assert desk.edits().count("edit") == 1


def test_double_click_on_the_first_corner_closes_a_polygon(desk):
    """And begins no other."""
    desk.press("p")
    for corner in ((20, 20), (80, 20), (80, 60)):
        desk.click(*corner)
    desk.click(20, 20, click_count=2)
    assert desk.edits().count("edit") == 1 and desk.ask("view.hand.points.length") == 0


def test_leaving_by_tab_ends_the_stroke_of_space(desk):
    """The mouse that comes later paints nothing."""
    desk.stage.focus()
    desk.page.keyboard.down(" ")
    desk.page.keyboard.press("ArrowRight")
    desk.page.keyboard.press("Tab")
    expected = with_stroke([(80.5, 60.5), (81.5, 60.5)])
    assert (desk.labels() == expected).all() and desk.edits().count("edit") == 1
    desk.page.keyboard.up(" ")
    desk.move(*WAY)
    desk.stage.focus()
    desk.move((20, 20), (140, 100))
    assert (desk.labels() == expected).all() and desk.edits().count("edit") == 1


@pytest.mark.parametrize("key", ["e", "g", "p", "l", "x", "i", "h"])
def test_another_tool_in_mid_stroke_keeps_what_was_painted(desk, key):
    """The rest of the way paints nothing."""
    desk.move(WAY[0])
    desk.page.mouse.down()
    desk.move(WAY[1])
    desk.press(key)
    desk.move(WAY[2])
    desk.page.mouse.up()
    assert (desk.labels() == with_stroke(WAY[:2])).all()
    assert desk.edits().count("edit") == 1
    assert desk.ask("view.hand.points.length") == 0


@pytest.fixture
def fingers(desk):
    """Return what lays fingers and pens on the picture."""
    session = desk.page.context.new_cdp_session(desk.page)
    fingers = Fingers(desk, session)
    yield fingers
    for finger in tuple(fingers.lying):
        fingers.lift(finger)
    session.detach()


class Fingers:
    """Touches and pens on a desk, at positions of the image."""

    def __init__(self, desk, session):
        self.desk, self.session = desk, session
        self.lying = {}

    def lay(self, finger, x, y):
        """Lay a finger, by number, on the picture."""
        self._touch("Start", finger, *self.desk.at(x, y))

    def slide(self, finger, x, y):
        """Move a finger."""
        self._touch("Move", finger, *self.desk.at(x, y))

    def slide_on_screen(self, finger, dx, dy):
        """Move a finger by pixels of the screen."""
        x, y = self.lying[finger]
        self._touch("Move", finger, x + dx, y + dy)

    def lift(self, finger):
        """Take a finger away."""
        self._touch("End", finger, *self.lying[finger])
        del self.lying[finger]

    def lose(self):
        """Let the system take all fingers for itself."""
        self.session.send("Input.dispatchTouchEvent", {"type": "touchCancel", "touchPoints": []})
        self.lying.clear()

    def _touch(self, kind, finger, px, py):
        self.lying[finger] = px, py
        event = {"type": f"touch{kind}", "touchPoints": [{"x": px, "y": py, "id": finger}]}
        self.session.send("Input.dispatchTouchEvent", event)

    def pen(self, kind, x, y):
        """Let the pen be Pressed, Moved or Released."""
        px, py = self.desk.at(x, y)
        event = {"type": f"mouse{kind}", "x": px, "y": py, "pointerType": "pen", "clickCount": 1}
        buttons = {"button": "left", "buttons": 0 if kind == "Released" else 1}
        self.session.send("Input.dispatchMouseEvent", event | buttons)


def test_a_pen_paints(desk, fingers):
    """As the mouse does."""
    fingers.pen("Pressed", *WAY[0])
    for point in WAY[1:]:
        fingers.pen("Moved", *point)
    fingers.pen("Released", *WAY[-1])
    assert (desk.labels() == with_stroke(WAY)).all()
    assert desk.edits().count("edit") == 1


def test_a_finger_paints(desk, fingers):
    """One alone is a brush."""
    fingers.lay(0, *WAY[0])
    for point in WAY[1:]:
        fingers.slide(0, *point)
    fingers.lift(0)
    assert (desk.labels() == with_stroke(WAY)).all()
    assert desk.edits().count("edit") == 1


def test_a_palm_beside_the_pen_changes_nothing(desk, fingers):
    """It comes, moves, and goes, in two places even, while the pen paints."""
    fingers.pen("Pressed", *WAY[0])
    fingers.lay(0, 120, 100)
    fingers.pen("Moved", *WAY[1])
    fingers.slide(0, 125, 105)
    fingers.lay(1, 140, 110)
    fingers.slide(1, 145, 110)
    fingers.pen("Moved", *WAY[2])
    fingers.lift(0)
    fingers.lift(1)
    fingers.pen("Released", *WAY[2])
    assert (desk.labels() == with_stroke(WAY)).all()
    assert desk.edits().count("edit") == 1


def test_a_palm_before_the_pen_paints_nothing(desk, fingers):
    """Most people lay the hand down first."""
    fingers.lay(0, 120, 100)
    fingers.pen("Pressed", *WAY[0])
    fingers.pen("Moved", *WAY[1])
    fingers.slide(0, 122, 101)
    fingers.pen("Moved", *WAY[2])
    fingers.pen("Released", *WAY[2])
    fingers.lift(0)
    assert (desk.labels() == with_stroke(WAY)).all()


def test_a_palm_before_and_beside_the_pen_keeps_its_stroke(desk, fingers):
    """A hand touches the screen in more than one place."""
    fingers.lay(0, 120, 100)
    fingers.pen("Pressed", *WAY[0])
    fingers.pen("Moved", *WAY[1])
    fingers.lay(1, 140, 110)
    fingers.pen("Moved", *WAY[2])
    fingers.pen("Released", *WAY[2])
    assert (desk.labels()[stroke(WAY, 9)] == AXON).all()


def test_two_fingers_zoom_and_paint_nothing(desk, fingers):
    """The point between them stays between them."""
    scale = desk.shown()[2]
    middle = desk.at(80, 60)
    fingers.lay(0, 60, 60)
    fingers.lay(1, 100, 60)
    for _ in range(5):
        fingers.slide_on_screen(0, -2 * scale, 0)
        fingers.slide_on_screen(1, 2 * scale, 0)
    for finger in (0, 1):
        fingers.lift(finger)
    assert desk.shown()[2] == pytest.approx(1.5 * scale)
    assert desk.at(80, 60) == pytest.approx(middle, abs=1)
    assert (desk.labels() == UNLABELLED).all() and "edit" not in desk.edits()


CORNERS = [(20, 20), (140, 20), (140, 100)]


@pytest.fixture
def polygon(desk):
    """Return how many corners there are of a polygon that had three."""
    desk.press("p")
    for corner in CORNERS:
        desk.click(*corner)
    return lambda: desk.ask("view.hand.points.length")


def test_zooming_by_fingers_keeps_the_corners_of_a_polygon(fingers, polygon):
    """The corner that the first finger set goes again."""
    fingers.lay(0, 60, 60)
    fingers.lay(1, 100, 60)
    fingers.slide(1, 120, 60)
    assert polygon() == 3


def test_zooming_again_keeps_the_corners_of_a_polygon(fingers, polygon):
    """When one of two fingers is lifted and laid down anew."""
    fingers.lay(0, 60, 60)
    for _ in range(2):
        fingers.lay(1, 100, 60)
        fingers.lift(1)
    assert polygon() == 3


def test_a_third_finger_keeps_the_corners_of_a_polygon(fingers, polygon):
    """Whatever it does there."""
    for finger in range(3):
        fingers.lay(finger, 60 + 20 * finger, 60)
    assert polygon() == 3


def test_zooming_while_panning_keeps_the_corners_of_a_polygon(desk, fingers, polygon):
    """One may pan between corners, with two fingers, too."""
    desk.press("h")
    fingers.lay(0, 60, 60)
    fingers.lay(1, 100, 60)
    assert polygon() == 3


def test_a_finger_that_the_system_takes_keeps_the_corners_of_a_polygon(fingers, polygon):
    """As it does with a palm, or for a gesture of its own."""
    fingers.lay(0, 60, 60)
    fingers.lose()
    assert polygon() == 3


def test_a_finger_that_the_system_takes_paints_nothing(desk, fingers):
    """Its stroke is forgotten."""
    fingers.lay(0, *WAY[0])
    fingers.slide(0, *WAY[1])
    fingers.lose()
    wait_until(lambda: (desk.labels() == UNLABELLED).all(), desk.page)  # the browser is told late
    assert "edit" not in desk.edits()


def test_the_other_end_of_a_pen_erases(bare):
    """Whatever the tool; afterwards the tool is what it was."""
    desk = Desk(bare, np.full((HEIGHT, WIDTH), AXON, np.uint8))
    # CDP knows no such button: an event of our own, with the number of the mouse, which is there
    send = """([kind, x, y]) => view.stage.dispatchEvent(new PointerEvent(kind, {
        bubbles: true, pointerId: 1, pointerType: "pen", clientX: x, clientY: y,
        button: kind === "pointermove" ? -1 : 5, buttons: kind === "pointerup" ? 0 : 32,
    }))"""
    for tool in ("b", "p", "l"):
        desk.press(tool)
        for kind, point in zip(("down", "move", "move", "up"), [*WAY, WAY[-1]], strict=True):
            desk.ask(send, [f"pointer{kind}", *desk.at(*point)])
        expected = np.where(stroke(WAY, 9), UNLABELLED, AXON)
        assert (desk.labels() == expected).all()
        desk.ask("labels => store.labels.fill(2) && store.base.fill(2)")
    assert desk.ask("view.hand.tool") == "lasso"


def test_a_message_does_not_move_the_picture_under_the_hand(desk):
    """A straight stroke stays straight when the kernel falls silent."""
    (x, y), (end, _) = desk.at(30.5, 60.5), desk.at(120.5, 60.5)
    desk.page.mouse.move(x, y)
    desk.page.mouse.down()
    desk.page.mouse.move((x + end) / 2, y)
    desk.ask("view.say('silence', 'The kernel is busy.')")
    desk.page.mouse.move(end, y)
    desk.page.mouse.up()
    assert (desk.labels() == with_stroke([(30.5, 60.5), (120.5, 60.5)])).all()


@pytest.mark.parametrize("hand", ["mouse", "space"])
def test_a_view_that_goes_in_mid_stroke(desk, hand):
    """As when its cell runs again: nothing fails."""
    desk.stage.focus()
    if hand == "mouse":
        desk.move(WAY[0])
        desk.page.mouse.down()
        desk.move(WAY[1])
    else:
        desk.page.keyboard.down(" ")
    desk.ask("() => { view.remove(); home.replaceChildren(); }")
    desk.page.mouse.move(300, 300)
    desk.page.mouse.up()
    desk.page.keyboard.up(" ")
    desk.ask("frames()")


def test_the_wheel_zooms_while_the_widget_has_the_focus(desk):
    """Also when one of its buttons has; the page scrolls when something else has."""
    before = desk.shown()[2]
    desk.page.locator("p").first.click()
    desk.move((80, 60))
    desk.page.mouse.wheel(0, 100)
    desk.page.wait_for_function("scrollY > 50")
    assert desk.shown()[2] == before
    desk.ask("scrollTo(0, 0)")
    for name in ("Fit", "Lasso", "opacity"):
        desk.root.get_by_role("button", name="Fit").click()
        if name == "Lasso":
            desk.root.get_by_text("Lasso").first.click()
        if name == "opacity":
            desk.root.get_by_label("opacity").focus()
        desk.move((80, 60))
        desk.page.mouse.wheel(0, -240)
        wait_until(lambda: desk.shown()[2] != before, desk.page)
        assert desk.shown()[2] == pytest.approx(2 * before)
        assert desk.ask("scrollY") == 0


def test_the_stage_is_resized_by_its_corner(desk):
    """Nothing is painted there; the whole picture stays in view."""
    box = desk.stage.bounding_box()
    corner = box["x"] + box["width"] - 5, box["y"] + box["height"] - 5
    desk.page.mouse.move(*corner)
    desk.page.mouse.down()
    desk.page.mouse.move(corner[0], corner[1] - 60)
    desk.page.mouse.move(corner[0], corner[1] - 150)
    desk.page.mouse.up()
    assert desk.stage.bounding_box()["height"] == pytest.approx(box["height"] - 150, abs=2)
    height = desk.stage.bounding_box()["height"]
    wait_until(lambda: desk.shown()[2] == min(box["width"] / WIDTH, height / HEIGHT), desk.page)
    assert (desk.labels() == UNLABELLED).all()


def test_brackets_behind_alt_change_the_size(desk):
    """Many keyboards have them there."""
    size = desk.ask("view.hand.size")
    desk.press("Alt+]")
    assert desk.ask("view.hand.size") > size
    desk.press("Alt+[", "Alt+[")
    assert desk.ask("view.hand.size") < size
    desk.press("Alt+p")
    assert desk.ask("view.hand.tool") == "brush"


def test_arrows_stay_in_the_image_and_on_the_stage(desk):
    """At any zoom, wherever the mouse was before."""
    rng = np.random.default_rng(8)
    desk.stage.focus()
    desk.page.keyboard.press("ArrowLeft")
    assert desk.ask("[view.hand.cursor.x, view.hand.cursor.y]") == [79.5, 60.5]
    for zoom in (-3, 5, 9):
        desk.press("f", *["+" if zoom > 0 else "-"] * abs(zoom))
        box = desk.stage.bounding_box()
        desk.page.mouse.move(box["x"] + 1, box["y"] + 1)
        for key in rng.choice(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"], 4):
            for _ in range(20):
                desk.page.keyboard.press(f"Shift+{key}")
                x, y, left, top, scale = desk.ask(
                    "(({ hand: { cursor }, picture: { left, top, scale } }) => "
                    "[cursor.x, cursor.y, left, top, scale])(view)"
                )
                assert 0 < x < WIDTH and 0 < y < HEIGHT
                assert -1e-6 <= (x - left) * scale <= box["width"] + 1e-6
                assert -1e-6 <= (y - top) * scale <= box["height"] + 1e-6
    assert (desk.labels() == UNLABELLED).all()


def test_the_focus_stays_when_nothing_is_left_to_undo(desk):
    """Else JupyterLab would take the next key for its own."""
    desk.root.get_by_role("button", name="Undo").click()
    state = about(blank())["state"] | {"kind": "state", "can_undo": False}
    desk.ask("async state => { store.model.receive(state, []); await store.inbox; }", state)
    undo = desk.root.get_by_role("button", name="Undo")
    assert undo.get_attribute("aria-disabled") == "true"
    assert desk.ask("view.root.contains(document.activeElement)")
    desk.page.keyboard.press("l")
    assert desk.ask("view.hand.tool") == "lasso"


def test_the_focus_stays_when_a_message_is_closed(desk):
    """By its button or by itself."""
    for close in ("click", "say"):
        desk.ask("view.say('failed', 'Something went wrong.')")
        button = desk.root.get_by_role("button", name="Close this message")
        button.focus()
        if close == "click":
            button.click()
        else:
            desk.ask("view.say('failed', '')")
        assert desk.ask("document.activeElement === view.stage")


def test_every_control_has_a_name(bare):
    """Screen readers say more than a sign."""
    desk = Desk(bare, blank(), suggestion=blank())
    session = bare.context.new_cdp_session(bare)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    session.detach()
    named = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node.get("ignored")
    ]
    roles = ["application", "button", "checkbox", "combobox", "radio", "radiogroup", "slider"]
    roles.append("DisclosureTriangle")
    found = [(role, name) for role, name in named if role in roles]
    assert {role for role, _ in found} == set(roles)
    assert len(found) >= desk.root.locator("button, input, select, summary").count()
    nameless = [(role, name) for role, name in found if not any(map(str.isalpha, name))]
    assert nameless == []
    for role in ("radio", "slider"):
        names = [name for each, name in found if each == role]
        assert len(names) == len(set(names))


def test_tab_reaches_every_control(bare):
    """In the order of the page; of radio buttons the chosen one."""
    desk = Desk(bare, blank(), suggestion=blank())
    expected = desk.ask(
        """() => {
            const all = "button, input, select, summary, [tabindex]";
            const nodes = [...view.root.querySelectorAll(all)];
            window.controls = nodes.filter((each) => each.type !== "radio" || each.checked);
            return controls.length;
        }"""
    )
    desk.page.locator("p").first.click()
    order = []
    for _ in range(expected + 1):
        desk.page.keyboard.press("Tab")
        order.append(desk.ask("controls.indexOf(document.activeElement)"))
    assert order == [*range(expected), -1]


def test_silence_is_told_while_one_goes_on_painting(browser):
    """After 3 s of it, however many strokes there are; an answer takes the message away."""
    page = browser.new_page(viewport={"width": 1000, "height": 900})
    page.clock.install()
    desk = Desk(furnish(page), blank(), answers=False)
    alert = desk.root.get_by_role("alert")
    for n in range(3):
        assert not alert.inner_text()
        desk.drag((20, 10 + 20 * n), (120, 10 + 20 * n))
        page.wait_for_function("n => store.pending.length > n", arg=n)
        page.clock.run_for(600 if n < 2 else 1900)
    alert.get_by_text("not saved (3)").wait_for(timeout=500)
    desk.drag((20, 110), (120, 110))
    alert.get_by_text("not saved (4)").wait_for(timeout=1000)
    desk.ask(
        "store.model.receive({ ...store.state, kind: 'state', page: store.page, edit: 4 }, [])"
    )
    wait_until(lambda: not alert.inner_text(), page)
    assert page.faults == []
    page.close()


@pytest.fixture
def stopped(browser):
    """Return how to lose the kernel of a widget that is rendered as in JupyterLab."""
    page = browser.new_page(viewport={"width": 1000, "height": 900})
    page.clock.install()
    furnish(page)
    labels = blank()
    planes = [pack(compress(plane)) for plane in (labels, labels)]
    page.evaluate(
        """async ([about, planes]) => {
            const parts = widget(), model = connect();
            window.model = model;
            parts.initialize({ model });
            parts.render({ el: home });
            while (!model.sent.length) await frames(1);
            const { page } = model.sent[0].content;
            model.receive({ ...about, kind: "start", page }, planes);
            while (!document.querySelector(".axonlab-stage")) await frames(1);
        }""",
        [about(labels), planes],
    )
    yield page
    assert page.faults == []
    page.close()


def test_a_stopped_kernel_is_told_and_stays_told(stopped):
    """No other message takes its place, and nothing is said of waiting for it."""
    alert = stopped.locator(".axonlab-label").get_by_role("alert")
    stopped.evaluate("model.handlers.comm_live_update()")
    alert.get_by_text("The kernel has stopped. All edits reached it.").wait_for()
    for message in (
        {"kind": "failed", "text": "Something went wrong."},
        {"kind": "status", "status": "failed", "text": "Not saved."},
        {"kind": "busy", "text": ""},
    ):
        stopped.evaluate("message => model.receive(message, [])", message)
    stopped.evaluate("frames()")
    stopped.clock.run_for(5000)
    assert "The kernel has stopped." in alert.inner_text()
    assert "does not answer" not in alert.inner_text()


@pytest.mark.parametrize("hand", ["mouse", "space"])
def test_a_stroke_in_progress_when_the_kernel_stops(stopped, hand):
    """It did not reach the kernel: nothing says that it did, or that waiting would help."""
    box = stopped.locator(".axonlab-stage").bounding_box()
    alert = stopped.locator(".axonlab-label").get_by_role("alert")
    if hand == "mouse":
        stopped.mouse.move(box["x"] + 100, box["y"] + 100)
        stopped.mouse.down()
        stopped.mouse.move(box["x"] + 200, box["y"] + 100)
    else:
        stopped.locator(".axonlab-stage").focus()
        stopped.keyboard.down(" ")
    stopped.evaluate("model.handlers.comm_live_update()")
    stopped.mouse.move(box["x"] + 300, box["y"] + 100)
    stopped.mouse.up()
    stopped.keyboard.up(" ")
    alert.get_by_text("The kernel has stopped.").wait_for()
    stopped.evaluate("frames()")
    stopped.clock.run_for(5000)
    told = alert.inner_text()
    assert "All edits reached it" not in told
    assert "does not answer" not in told
