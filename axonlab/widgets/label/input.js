// Hands on mouse, pen, screen and keyboard, and what they move.

const ERASER_END = 5; // `button` of a pen turned around
const WHEEL_PX = 240; // of wheel that double the size; a notch is 100 to 120
const WHEEL_LINES = 6;
const ZOOM_STEP = 1.25;
const CORNER_PX = 18; // where the browser lets one drag the height of the stage
const KEY_PAN_PX = 8;

class Input {
  constructor(view) {
    Object.assign(this, { view, hand: view.hand, picture: view.picture, stage: view.stage });
    this.touches = new Map(); // fingers on the stage: where, by pointer
    this.drawing = null; // the pointer that draws
    this.dragging = null; // where the pointer that pans was last
    const { stage } = this;
    stage.addEventListener("pointerdown", (event) => this.down(event));
    stage.addEventListener("pointermove", (event) => this.move(event));
    stage.addEventListener("pointerup", (event) => this.lift(event));
    stage.addEventListener("pointercancel", (event) => this.lift(event));
    stage.addEventListener("pointerleave", () => this.away());
    stage.addEventListener("dblclick", () => this.doubleClick());
    stage.addEventListener("contextmenu", (event) => event.preventDefault());
    stage.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    stage.addEventListener("blur", () => this.drawing === null && this.hand.release());
    view.root.addEventListener("keydown", (event) => this.key(event));
    stage.addEventListener("keyup", (event) => event.key === " " && this.hand.release());
  }

  down(event) {
    const at = this.picture.position(event);
    const { clientWidth, clientHeight } = this.stage;
    if (clientWidth - at.px < CORNER_PX && clientHeight - at.py < CORNER_PX) return;
    event.preventDefault();
    this.stage.focus({ preventScroll: true });
    const isTouch = event.pointerType === "touch";
    if (isTouch && this.drawing && !this.drawing.isTouch) return; // the palm beside a pen
    if (!isTouch && this.touches.size) {
      this.forget(); // the palm that was there before the pen
      this.touches.clear();
    }
    this.stage.setPointerCapture(event.pointerId);
    if (isTouch) this.touches.set(event.pointerId, at);
    if (this.touches.size > 1) this.forget(); // the second finger zooms
    else if (event.button === 1 || this.hand.tool === "pan") this.dragging = at;
    else if (event.button === ERASER_END) this.draw(event, at, "eraser");
    else if (event.button === 0 && (event.altKey || this.hand.tool === "pick")) {
      this.view.pick(at.x, at.y);
    } else if (event.button === 0) this.draw(event, at, this.hand.tool);
  }

  draw(event, at, tool) {
    this.drawing = { id: event.pointerId, isTouch: event.pointerType === "touch" };
    this.hand.press(at.x, at.y, tool);
  }

  // Take back what the pointer that draws has begun.
  forget() {
    if (this.drawing) this.hand.takeBack();
    this.drawing = this.dragging = null;
  }

  move(event) {
    const at = this.picture.position(event);
    if (this.touches.size === 2) this.pinch(event.pointerId, at);
    else if (this.dragging) {
      this.picture.pan(at.px - this.dragging.px, at.py - this.dragging.py);
      this.dragging = this.picture.position(event);
    } else if (event.pointerId === this.drawing?.id) {
      const events = event.getCoalescedEvents?.() ?? [];
      for (const each of events.length ? events : [event]) {
        const { x, y } = this.picture.position(each);
        this.hand.move(x, y);
      }
    } else if (this.drawing === null) this.hand.hover(at.x, at.y);
    if (this.touches.has(event.pointerId)) this.touches.set(event.pointerId, at);
  }

  lift(event) {
    this.touches.delete(event.pointerId);
    this.dragging = null;
    if (event.pointerId !== this.drawing?.id) return;
    if (event.type === "pointercancel") return this.forget();
    this.drawing = null;
    this.hand.release();
  }

  away() {
    if (this.drawing !== null) return;
    this.hand.hover();
  }

  // Its two clicks have set two corners, the second at the place of the first.
  doubleClick() {
    if (this.hand.tool !== "polygon" || !this.hand.points.length) return;
    this.hand.takeBack();
    this.hand.close();
  }

  pinch(moved, at) {
    const before = this.touches.get(moved);
    if (!before) return;
    const other = [...this.touches.entries()].find(([id]) => id !== moved)[1];
    const spread = (p) => Math.max(Math.hypot(p.px - other.px, p.py - other.py), 1);
    this.picture.pan((at.px - before.px) / 2, (at.py - before.py) / 2);
    const middle = [(at.px + other.px) / 2, (at.py + other.py) / 2];
    this.picture.zoom(spread(at) / spread(before), ...middle);
  }

  // Only while the widget is in use: else scrolling the notebook would stop here.
  wheel(event) {
    if (!this.view.root.contains(document.activeElement)) return;
    const { px, py } = this.picture.position(event);
    const notch = event.deltaMode ? WHEEL_LINES : WHEEL_PX;
    this.picture.zoom(2 ** (-event.deltaY / notch), px, py);
    event.preventDefault();
  }

  key(event) {
    if (event.ctrlKey || event.metaKey) return this.command(event);
    event.stopPropagation(); // JupyterLab would take plain keys for its own
    const isBracket = "[]".includes(event.key); // which many keyboards have behind Alt
    if ((event.altKey && !isBracket) || event.target.tagName === "SELECT") return;
    const isOnStage = event.target === this.stage;
    if (this.shortcut(event.key) || (isOnStage && this.stageKey(event))) event.preventDefault();
  }

  command(event) {
    const key = event.key.toLowerCase();
    const isRedo = key === "y" || (key === "z" && event.shiftKey);
    if (!isRedo && key !== "z") return;
    event.preventDefault();
    event.stopPropagation();
    const isDrawing = this.hand.stroke || this.hand.points.length;
    if (isDrawing && !isRedo) this.hand.takeBack();
    else if (!isDrawing) this.view.store.send({ kind: isRedo ? "redo" : "undo" });
  }

  shortcut(key) {
    const { view, picture } = this;
    const { size } = this.hand;
    const tool = TOOLS.find((each) => each.key === key.toLowerCase());
    if (tool) view.chooseTool(tool.id);
    else if (/^\d$/.test(key)) view.chooseClass(Number(key));
    else if (key === "[") view.resizeBrush(Math.min(size - 2, odd(size / ZOOM_STEP)));
    else if (key === "]") view.resizeBrush(Math.max(size + 2, odd(size * ZOOM_STEP)));
    else if (key === "+" || key === "=") picture.zoom(ZOOM_STEP);
    else if (key === "-") picture.zoom(1 / ZOOM_STEP);
    else if (key.toLowerCase() === "f") picture.fit();
    else if (key.toLowerCase() === "v") view.all.input.click();
    else return false;
    return true;
  }

  stageKey(event) {
    const { hand } = this;
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key in ways) this.step(...ways[event.key], event.shiftKey ? 10 : 1);
    else if (event.key === "Escape") return hand.cancel();
    else if (event.key === "Backspace") hand.takeBack();
    else if (event.key === "Enter") hand.close();
    else if (event.key === " " && !event.repeat) this.pressByKey();
    else return event.key === " ";
    return true;
  }

  // Move the tool by keys. It begins in the middle of what is shown and stays in the image.
  step(dx, dy, pixels) {
    const { hand, picture, stage } = this;
    if (hand.tool === "pan") {
      return picture.pan(-dx * pixels * KEY_PAN_PX, -dy * pixels * KEY_PAN_PX);
    }
    const middle = {
      x: picture.left + stage.clientWidth / 2 / picture.scale,
      y: picture.top + stage.clientHeight / 2 / picture.scale,
    };
    const [fromX, fromY] = centre((hand.cursor ?? middle).x, (hand.cursor ?? middle).y);
    const { width, height } = this.view.store;
    const x = Math.min(Math.max(fromX + dx * pixels, 0.5), width - 0.5);
    const y = Math.min(Math.max(fromY + dy * pixels, 0.5), height - 0.5);
    hand.move(x, y);
    picture.reveal(x, y);
    this.view.announce(x, y);
  }

  pressByKey() {
    this.step(0, 0, 0);
    const { hand } = this;
    if (hand.tool === "pan") return;
    if (hand.tool === "pick") this.view.pick(hand.cursor.x, hand.cursor.y);
    else hand.press(hand.cursor.x, hand.cursor.y);
  }
}

const odd = (number) => 2 * Math.round((number - 1) / 2) + 1;
