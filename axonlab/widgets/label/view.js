// One view: controls around a picture, and the hands and keys that move them.

const SILENCE_MS = 3000; // after which a kernel that does not answer is worth a word

class View {
  constructor(store, root) {
    this.store = store;
    this.root = root;
    root.classList.add("axonlab-label");
    this.message = element("div", { class: "axonlab-message", role: "alert" });
    this.note = element("div", { class: "axonlab-note", role: "status" });
    root.append((this.waiting = element("p", {}, "Waiting for the kernel …")), this.message);
    this.listener = (event) => this.on(event);
    store.listeners.add(this.listener);
    if (store.ready) this.build();
  }

  remove() {
    this.store.listeners.delete(this.listener);
    this.observer?.disconnect();
    clearTimeout(this.silence);
  }

  build() {
    const { store, root } = this;
    const { about } = store;
    this.waiting.remove();
    root.setAttribute("role", "group");
    root.setAttribute("aria-label", `Labels of ${about.name}`);
    this.stage = element("div", {
      class: "axonlab-stage",
      tabindex: "0",
      role: "application",
      "aria-label": "Picture: arrow keys move the tool, Space presses it, + and − zoom, F fits",
    });
    this.picture = new Picture(store, this.stage);
    this.hand = new Hand(store, this.picture);
    // in a finished mask the background only darkens what there is to see
    if (!store.state.counts.unlabelled) this.picture.look.hidden.add(BACKGROUND);
    root.append(
      bar("Tools", this.tools(), this.history()),
      bar("Classes", this.classes()),
      bar("View", ...this.sliders()),
      this.stage,
      bar("Suggestions", ...this.suggestions()),
      element("div", { class: "axonlab-foot" }, this.note),
    );
    this.listen();
    this.picture.mix();
    this.observer = new ResizeObserver(() => this.picture.resize());
    this.observer.observe(this.stage);
    this.picture.resize();
    this.showState();
    this.showStatus(store.status);
  }

  tools() {
    const options = TOOLS.map((tool) => ({ ...tool, content: [tool.name] }));
    const { inputs, node } = radios("Tool", options, this.hand.tool, (id) => this.chooseTool(id));
    this.toolInputs = inputs;
    return node;
  }

  history() {
    this.undo = button("Undo", "Take the last edit back (Ctrl+Z)", () => this.store.send({ kind: "undo" }));
    this.redo = button("Redo", "Do it again (Ctrl+Shift+Z)", () => this.store.send({ kind: "redo" }));
    const save = button("Save", "Write the mask now; it is also written after every pause", () => this.store.send({ kind: "save" }));
    return element("div", { class: "axonlab-group" }, this.undo, this.redo, ...(this.store.status ? [save] : []));
  }

  classes() {
    this.shares = {};
    const options = this.store.about.classes.map(({ id, name, colour }) => {
      this.shares[id] = element("span", { class: "axonlab-share" });
      const swatch = element("span", { class: "axonlab-swatch", style: `background:${colour}` });
      return { id, key: String(id), hint: `Paint ${name}`, content: [swatch, `${id} ${name} `, this.shares[id]] };
    });
    const { inputs, node } = radios("Class", options, this.hand.classId, (id) => (this.hand.classId = id));
    this.classInputs = inputs;
    this.shares[UNLABELLED] = element("span", { class: "axonlab-share" });
    const shown = this.store.about.classes.map(({ id, name }) => {
      const { hidden } = this.picture.look;
      return checkbox(name, `Show ${name} in colour`, !hidden.has(id), (isShown) => {
        hidden[isShown ? "delete" : "add"](id);
        this.restyle();
      }).node;
    });
    const protect = checkbox("keep other classes", "Paint only over background and what is unlabelled", false, (on) => (this.hand.protect = on));
    const show = element("div", { class: "axonlab-group", role: "group", "aria-label": "Show" }, "show", ...shown);
    return element("div", { class: "axonlab-group" }, node, element("span", { class: "axonlab-check" }, "unlabelled ", this.shares[UNLABELLED]), show, protect.node);
  }

  sliders() {
    const { look } = this.picture;
    const set = (name) => (value) => {
      look[name] = value;
      this.restyle();
    };
    this.size = slider("size", "Diameter of brush and eraser in pixels ([ and ])", { min: 1, max: 99, step: 2, value: this.hand.size }, (value) => {
      this.hand.size = value;
      this.picture.draw();
    });
    this.all = checkbox("labels", "Show or hide all labels (V)", true, set("all"));
    return [
      this.size.node,
      slider("opacity", "Of the labels", { min: 0, max: 1, step: 0.05, value: look.opacity }, set("opacity")).node,
      slider("contrast", "Of the picture; the data stay as they are", { min: 0.5, max: 4, step: 0.1, value: 1 }, set("contrast")).node,
      slider("gamma", "Above 1 brightens what is dark", { min: 0.3, max: 3, step: 0.1, value: 1 }, set("gamma")).node,
      this.all.node,
      button("−", "Zoom out (−)", () => this.picture.zoom(0.8)),
      button("+", "Zoom in (+)", () => this.picture.zoom(1.25)),
      button("Fit", "Show the whole picture (F)", () => this.picture.fit()),
    ];
  }

  suggestions() {
    const { store } = this;
    const { about } = store;
    const source = element("select", { "aria-label": "Suggest from" }, ...about.sources.map((name) => element("option", {}, name)));
    const accept = (name, ids) => button(name, `Take ${name} of the suggestion over`, () => store.send({ kind: "accept", classes: ids, keep: this.picture.keepMine }));
    const keep = checkbox("only where unlabelled", "Whatever is labelled stays", true, (on) => {
      this.picture.keepMine = on;
      this.picture.draw();
    });
    this.offer = element(
      "div",
      { class: "axonlab-group", role: "group", "aria-label": "Accept" },
      "hatched: accept",
      accept("all", about.classes.map(({ id }) => id)),
      ...about.classes.map(({ id, name }) => accept(name, [id])),
      button("Dismiss", "Drop the suggestion", () => store.send({ kind: "dismiss" })),
      keep.node,
    );
    return [
      button("Suggest", "Label the whole picture, for you to accept and correct", () => store.send({ kind: "suggest", source: source.value })),
      source,
      button("Where next?", "Go where the suggestion is least sure", () => store.send({ kind: "where", source: source.value })),
      this.offer,
    ];
  }

  // -------------------------------------------------------------- events from Python and the store

  on(event) {
    if (event.kind === "start" && !this.picture) return this.build();
    if (!this.picture) return;
    if (event.kind === "look") {
      const { row, column, height, width } = event;
      this.hand.region = event;
      this.picture.showRegion(column - width / 4, row - height / 4, 1.5 * width, 1.5 * height);
    }
    if (event.kind === "status") this.showStatus((this.store.status = event));
    if (event.kind === "refused" || event.kind === "failed") this.say(event.text);
    if (event.kind === "busy") {
      this.root.classList.toggle("axonlab-busy", event.text !== "");
      this.note.textContent = event.text || this.store.status?.text || "";
    }
    if (event.kind === "closed") this.disconnect();
    this.watchSilence();
    this.showState();
    this.picture.draw();
  }

  showState() {
    const { counts, can_undo, can_redo } = this.store.state;
    this.undo.disabled = !can_undo;
    this.redo.disabled = !can_redo;
    this.offer.hidden = this.store.suggestion === null;
    const pixels = this.store.width * this.store.height;
    for (const { id, name } of [...this.store.about.classes, { id: UNLABELLED, name: "unlabelled" }]) {
      const percent = (100 * counts[name]) / pixels;
      this.shares[id].textContent = `${percent >= 10 || percent === 0 ? percent.toFixed(0) : percent.toPrecision(2)} %`;
      this.shares[id].style.setProperty("--share", `${percent}%`);
    }
  }

  showStatus(status) {
    if (!status) return;
    const troubled = status.status === "failed" || status.status === "conflict";
    if (!troubled) {
      this.note.textContent = status.text;
      if (this.trouble) this.say("");
    } else this.say(status.text);
    this.trouble = troubled;
    if (status.status === "conflict") {
      this.message.append(
        button("Keep mine", "Write the mask; theirs stays beside it", () => this.store.send({ kind: "save", overwrite: true })),
        button("Take theirs", "Replace what is here; Undo brings it back", () => this.store.send({ kind: "theirs" })),
      );
    }
  }

  say(text) {
    this.message.replaceChildren(text, ...(text ? [button("×", "Close this message", () => this.message.replaceChildren())] : []));
  }

  // Strokes that Python has not confirmed are only here: say so before someone closes the page.
  watchSilence() {
    clearTimeout(this.silence);
    if (!this.store.pending.length) {
      if (this.silent) this.say("");
      this.silent = false;
      return;
    }
    this.silence = setTimeout(() => {
      this.silent = true;
      this.say(`The kernel is busy or does not answer: ${this.store.pending.length} edits wait here and are not saved yet. Keep this page open.`);
    }, SILENCE_MS);
  }

  disconnect() {
    clearTimeout(this.silence);
    const lost = this.store.pending.length;
    this.stage.classList.add("axonlab-closed");
    this.stage.inert = true;
    this.say(`The kernel has stopped. ${lost ? `${lost} edits did not reach it. ` : "All edits reached it. "}Run the cell again to go on.`);
  }

  // -------------------------------------------------------------- hands and keys

  chooseTool(id) {
    this.hand.choose(id);
    this.toolInputs[id].checked = true;
    this.stage.classList.toggle("axonlab-pan", id === "pan");
  }

  chooseClass(id) {
    if (!(id in this.classInputs)) return;
    this.hand.classId = id;
    this.classInputs[id].checked = true;
  }

  restyle() {
    this.picture.mix();
    this.picture.draw();
  }

  pick(x, y) {
    const id = this.hand.classAt(x, y);
    if (id !== null) this.chooseClass(id);
  }

  listen() {
    const { stage, picture, hand } = this;
    const touches = new Map(); // fingers on the stage, by pointer
    let dragging = false;
    stage.addEventListener("pointerdown", (event) => {
      stage.focus({ preventScroll: true });
      stage.setPointerCapture(event.pointerId);
      const at = picture.position(event);
      touches.set(event.pointerId, at);
      if (touches.size > 1) this.takeBack(); // the second finger zooms
      else if (event.button === 1 || hand.tool === "pan") dragging = true;
      else if (event.button === 0 && (event.altKey || hand.tool === "pick")) this.pick(at.x, at.y);
      else if (event.button === 0) hand.press(at.x, at.y, event.detail === 2);
      event.preventDefault();
    });
    stage.addEventListener("pointermove", (event) => {
      const at = picture.position(event);
      const before = touches.get(event.pointerId);
      if (touches.size === 2 && before) this.pinch(touches, event.pointerId, at);
      else if (dragging && before) picture.pan(at.px - before.px, at.py - before.py);
      else for (const each of event.getCoalescedEvents?.() ?? []) {
        const { x, y } = picture.position(each);
        if (touches.size) hand.move(x, y);
      }
      if (touches.size < 2 && !dragging) hand.move(at.x, at.y);
      if (before) touches.set(event.pointerId, at);
    });
    const lift = (event) => {
      const was = touches.delete(event.pointerId);
      if (was && !dragging && event.type === "pointerup" && touches.size === 0) hand.release();
      if (event.type === "pointercancel") hand.cancel();
      dragging = false;
    };
    stage.addEventListener("pointerup", lift);
    stage.addEventListener("pointercancel", lift);
    stage.addEventListener("pointerleave", () => {
      hand.cursor = null;
      hand.drawMarks();
    });
    stage.addEventListener("contextmenu", (event) => event.preventDefault());
    // only once the picture was clicked: else scrolling the notebook would stop here
    stage.addEventListener("wheel", (event) => {
      if (document.activeElement !== stage) return;
      const { px, py } = picture.position(event);
      picture.zoom(2 ** (-event.deltaY / (event.deltaMode ? 6 : 240)), px, py);
      event.preventDefault();
    }, { passive: false });
    this.root.addEventListener("keydown", (event) => this.key(event));
    this.root.addEventListener("keyup", (event) => {
      if (event.target === stage && event.key === " ") hand.release();
    });
  }

  pinch(touches, moved, at) {
    const other = [...touches.entries()].find(([id]) => id !== moved)[1];
    const before = touches.get(moved);
    const spread = (p) => Math.max(Math.hypot(p.px - other.px, p.py - other.py), 1);
    this.picture.pan((at.px - before.px) / 2, (at.py - before.py) / 2);
    this.picture.zoom(spread(at) / spread(before), (at.px + other.px) / 2, (at.py + other.py) / 2);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey) return this.command(event);
    event.stopPropagation(); // JupyterLab would take plain keys for its own
    if (event.altKey || event.target.tagName === "SELECT") return;
    const onStage = event.target === this.stage;
    if (this.shortcut(event.key) || (onStage && this.stageKey(event))) event.preventDefault();
  }

  command(event) {
    const key = event.key.toLowerCase();
    const kind = key === "y" || (key === "z" && event.shiftKey) ? "redo" : key === "z" ? "undo" : "";
    if (!kind) return;
    event.preventDefault();
    event.stopPropagation();
    if (kind === "undo" && this.hand.points.length) this.takeBack();
    else if (!this.hand.stroke) this.store.send({ kind });
  }

  // Forget the last corner of a polygon, or the stroke in progress.
  takeBack() {
    if (this.hand.tool !== "polygon") this.hand.cancel();
    this.hand.points.pop();
    this.picture.draw();
  }

  shortcut(key) {
    const tool = TOOLS.find((each) => each.key === key.toLowerCase());
    const resize = (next) => this.size.show(Math.min(Math.max(next, 1), 99));
    const { size } = this.hand;
    if (tool) this.chooseTool(tool.id);
    else if (/^\d$/.test(key)) this.chooseClass(Number(key));
    else if (key === "[") resize(Math.min(size - 2, 2 * Math.round(size * 0.4) + 1));
    else if (key === "]") resize(Math.max(size + 2, 2 * Math.floor(size * 0.6) + 1));
    else if (key === "+" || key === "=") this.picture.zoom(1.25);
    else if (key === "-") this.picture.zoom(0.8);
    else if (key.toLowerCase() === "f") this.picture.fit();
    else if (key.toLowerCase() === "v") this.all.input.click();
    else return false;
    return true;
  }

  stageKey(event) {
    const { hand } = this;
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key in arrows) this.step(...arrows[event.key], event.shiftKey ? 10 : 1);
    else if (event.key === "Escape") return hand.cancel();
    else if (event.key === "Backspace") this.takeBack();
    else if (event.key === "Enter") hand.close();
    else if (event.key === " " && !event.repeat) this.keyPress();
    else return event.key === " ";
    return true;
  }

  // The keyboard's pointer begins in the middle of what is shown.
  step(dx, dy, pixels) {
    const { hand, picture, stage } = this;
    const from = hand.cursor ?? { x: picture.left + stage.clientWidth / 2 / picture.scale, y: picture.top + stage.clientHeight / 2 / picture.scale };
    if (hand.tool === "pan") return picture.pan(-dx * pixels * 8, -dy * pixels * 8);
    const [x, y] = centre(from.x, from.y);
    hand.move(x + dx * pixels, y + dy * pixels);
  }

  keyPress() {
    this.step(0, 0, 0);
    const { x, y } = this.hand.cursor ?? {};
    if (this.hand.tool === "pick") this.pick(x, y);
    else if (this.hand.tool !== "pan") this.hand.press(x, y);
  }
}

export default () => {
  let store;
  return {
    initialize({ model }) {
      store = new Store(model);
      model.on("comm_live_update", () => store.tell({ kind: "closed" }));
    },
    render({ el }) {
      const root = element("div", {});
      el.append(root);
      const view = new View(store, root);
      return () => view.remove();
    },
  };
};
