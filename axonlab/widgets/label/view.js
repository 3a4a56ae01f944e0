// One view: controls around a picture, and what they say.

const SILENCE_MS = 3000; // after which a kernel that does not answer is worth a word

class View {
  constructor(store, root) {
    this.store = store;
    this.root = root;
    root.classList.add("axonlab-label");
    this.alerts = {}; // messages on the page, one of a kind
    this.messages = element("div", { class: "axonlab-messages", role: "alert" });
    this.note = element("div", { class: "axonlab-note" });
    this.speech = element("div", { class: "axonlab-speech", role: "status" });
    this.waiting = element("p", {}, "Waiting for the kernel …");
    root.append(this.waiting, this.messages);
    this.listener = (event) => this.on(event);
    store.join(this.listener);
    if (store.ready) this.build();
  }

  remove() {
    this.hand?.release();
    this.store.leave(this.listener);
    this.observer?.disconnect();
    clearTimeout(this.silence);
  }

  build() {
    const { store, root } = this;
    this.waiting.remove();
    root.setAttribute("role", "group");
    root.setAttribute("aria-label", `Labels of ${store.about.name}`);
    this.stage = element("div", {
      class: "axonlab-stage",
      tabindex: "0",
      role: "application",
      "aria-label": "Picture: arrow keys move the tool, Space presses it",
    });
    this.picture = new Picture(store, this.stage);
    this.hand = new Hand(store, this.picture);
    this.input = new Input(this);
    // in a finished mask the background only covers what there is to see
    if (!store.state.counts.unlabelled) this.picture.look.hidden.add(BACKGROUND);
    root.append(
      bar("Tools", this.tools(), this.history()),
      bar("Classes", ...this.classes()),
      bar("View", ...this.sliders()),
      // messages lie above the picture: it must not move under a hand that draws
      element("div", { class: "axonlab-frame" }, this.stage, this.messages),
      bar("Suggestions", ...this.suggestions()),
      this.note,
      keys(),
      this.speech,
    );
    this.picture.mix();
    this.observer = new ResizeObserver(() => this.picture.resize());
    this.observer.observe(this.stage);
    this.picture.resize();
    this.showState();
    this.showStatus();
    this.showBusy(store.about.busy);
  }

  tools() {
    const options = TOOLS.map((tool) => ({ ...tool, label: tool.name, content: [tool.name] }));
    const { inputs, node } = radios("Tool", options, this.hand.tool, (id) => this.chooseTool(id));
    this.toolInputs = inputs;
    return node;
  }

  history() {
    const ask = (name, hint, kind) => button(name, hint, () => this.store.send({ kind }));
    this.undo = ask("Undo", "Take the last edit back (Ctrl+Z)", "undo");
    this.redo = ask("Redo", "Do it again (Ctrl+Shift+Z)", "redo");
    const save = ask("Save", "Write the mask now; it is also written after every pause", "save");
    const buttons = this.store.status ? [this.undo, this.redo, save] : [this.undo, this.redo];
    return group("History", ...buttons);
  }

  classes() {
    const { classes } = this.store.about;
    this.shares = { [UNLABELLED]: element("span", { class: "axonlab-share" }) };
    const options = classes.map(({ id, name, colour }) => {
      this.shares[id] = element("span", { class: "axonlab-share" });
      const swatch = element("span", { class: "axonlab-swatch", style: `background:${colour}` });
      const content = [swatch, `${id} ${name} `, this.shares[id]];
      return { id, label: name, key: String(id), hint: `Paint ${name}`, content };
    });
    const choose = (id) => this.chooseClass(id);
    const { inputs, node } = radios("Class", options, this.hand.classId, choose);
    this.classInputs = inputs;
    const rest = element("span", { class: "axonlab-check" }, "unlabelled", this.shares[UNLABELLED]);
    const { hidden } = this.picture.look;
    this.shown = {};
    for (const { id, name } of classes) {
      const hint = `Show ${name} in colour`;
      this.shown[id] = checkbox(name, hint, !hidden.has(id), (isShown) => {
        hidden[isShown ? "delete" : "add"](id);
        this.picture.mix();
      });
    }
    const boxes = Object.values(this.shown).map((box) => box.node);
    const hint = "Paint only over background and what is unlabelled";
    const protect = checkbox("keep other classes", hint, false, (isOn) => {
      this.hand.protect = isOn;
    });
    return [node, rest, group("Show", "show", ...boxes), protect.node];
  }

  sliders() {
    const { picture, hand } = this;
    const { look } = picture;
    const set = (name) => (value) => {
      look[name] = value;
      picture.mix();
    };
    const diameters = { min: 1, max: MAX_SIZE, step: 2, value: hand.size };
    const hint = "Diameter of brush and eraser in pixels ([ and ])";
    this.size = slider("size", hint, diameters, (value) => {
      hand.size = value;
      picture.draw();
    });
    const part = { min: 0, max: 1, step: 0.05, value: look.opacity };
    const contrasts = { min: 0.5, max: 4, step: 0.1, value: look.contrast };
    const gammas = { min: 0.3, max: 3, step: 0.1, value: look.gamma };
    const note = "Of the picture; the data stay as they are";
    this.all = checkbox("labels", "Show or hide all labels (V)", true, set("all"));
    return [
      this.size.node,
      slider("opacity", "Of the labels", part, set("opacity")).node,
      slider("contrast", note, contrasts, set("contrast")).node,
      slider("gamma", "Above 1 brightens what is dark", gammas, set("gamma")).node,
      this.all.node,
      button("−", "Zoom out (-)", () => picture.zoom(1 / ZOOM_STEP)),
      button("+", "Zoom in (+)", () => picture.zoom(ZOOM_STEP)),
      button("Fit", "Show the whole picture (F)", () => picture.fit()),
    ];
  }

  suggestions() {
    const { store, picture } = this;
    const { sources, classes } = store.about;
    const names = sources.map((name) => element("option", {}, name));
    const source = element("select", { "aria-label": "Suggest from" }, ...names);
    const ask = (name, hint, kind) =>
      button(name, hint, () => this.busy || store.send({ kind, source: source.value }));
    const accept = (name, ids) =>
      button(name, `Take ${name} of the suggestion over`, () => {
        store.send({ kind: "accept", classes: ids, only_unlabelled: picture.onlyUnlabelled });
        this.stage.focus();
      });
    const keep = checkbox("only where unlabelled", "Whatever is labelled stays", true, (isOn) => {
      picture.onlyUnlabelled = isOn;
      picture.draw();
    });
    const dismiss = button("Dismiss", "Drop the suggestion", () => {
      store.send({ kind: "dismiss" });
      this.stage.focus();
    });
    this.offer = group(
      "Accept",
      "hatched: accept",
      accept("all", classes.map(({ id }) => id)),
      ...classes.map(({ id, name }) => accept(name, [id])),
      dismiss,
      keep.node,
    );
    const hint = "Label the whole picture, for you to accept and correct";
    this.askers = [
      ask("Suggest", hint, "suggest"),
      ask("Where next?", "Go where the suggestion is least sure", "where"),
    ];
    return [this.askers[0], source, this.askers[1], this.offer];
  }

  // ---- what Python and the store tell

  on(event) {
    if (event.kind === "closed") return this.disconnect();
    if (event.kind === "failed" || event.kind === "refused") this.say("failed", event.text);
    if (event.kind === "start" && !this.picture) this.build();
    if (!this.picture) return;
    if (event.kind === "look") this.lookAt(event);
    if (event.kind === "status") this.showStatus();
    if (event.kind === "busy") this.showBusy(event.text);
    this.watchSilence();
    this.showState();
    this.picture.draw();
  }

  lookAt(crop) {
    const { row, column, height, width } = crop;
    this.hand.pointed = crop;
    // with a quarter of its surroundings on every side
    const left = column - width / 4, top = row - height / 4;
    this.picture.showRegion({ left, top, width: 1.5 * width, height: 1.5 * height });
  }

  showState() {
    const { counts, can_undo, can_redo } = this.store.state;
    enable(this.undo, can_undo);
    enable(this.redo, can_redo);
    this.offer.hidden = this.store.suggestion === null;
    const pixels = this.store.width * this.store.height;
    const classes = [...this.store.about.classes, { id: UNLABELLED, name: "unlabelled" }];
    for (const { id, name } of classes) {
      const percent = (100 * counts[name]) / pixels;
      this.shares[id].textContent = `${rounded(percent)} %`;
      this.shares[id].style.setProperty("--share", `${percent}%`);
    }
  }

  showStatus() {
    const { status } = this.store;
    if (!status) return;
    const isTrouble = status.status === "failed" || status.status === "conflict";
    if (!isTrouble) this.note.textContent = status.text;
    const mine = () => this.store.send({ kind: "save", overwrite: true });
    const theirs = () => this.store.send({ kind: "theirs" });
    const answers = [
      button("Keep mine", "Write the mask; theirs stays beside it", mine),
      button("Take theirs", "Replace what is here; Undo brings it back", theirs),
    ];
    const isConflict = status.status === "conflict";
    this.say("status", isTrouble ? status.text : "", isConflict ? answers : []);
  }

  showBusy(text) {
    this.busy = text !== "";
    for (const node of this.askers) enable(node, !this.busy);
    this.root.classList.toggle("axonlab-busy", this.busy);
    this.note.textContent = text || (this.store.status?.text ?? "");
    this.speech.textContent = text;
    if (this.busy) this.say("failed", ""); // a new try
  }

  // Show a message of a kind, or take it away.
  say(kind, text, answers = []) {
    const { text: shown, node } = this.alerts[kind] ?? { text: "" };
    if (text === shown) return;
    if (node?.contains(document.activeElement)) this.stage?.focus();
    node?.remove();
    delete this.alerts[kind];
    if (!text) return;
    const close = button("×", "Close this message", () => this.say(kind, ""));
    const message = element("div", { class: "axonlab-message" }, text, ...answers, close);
    this.alerts[kind] = { text, node: message };
    this.messages.append(message);
  }

  // Strokes that Python has not confirmed are only here: say so before someone closes the page.
  watchSilence() {
    if (this.isClosed) return;
    const { pending } = this.store;
    if (!pending.length) {
      clearTimeout(this.silence);
      this.silence = null;
      this.say("silence", "");
    } else if (!this.silence) {
      this.silence = setTimeout(() => this.tellSilence(), SILENCE_MS);
    } else if (this.alerts.silence) this.tellSilence();
  }

  tellSilence() {
    const n = this.store.pending.length;
    const text = `The kernel is busy or does not answer: edits wait here and are not saved (${n}).`;
    this.say("silence", `${text} Keep this page open.`);
  }

  disconnect() {
    this.isClosed = true;
    this.hand?.release(); // a stroke in progress is one that did not arrive
    clearTimeout(this.silence);
    this.say("silence", "");
    if (this.stage) {
      this.stage.classList.add("axonlab-closed");
      this.stage.inert = true;
    }
    const n = this.store.pending.length;
    const fate = n ? `Edits that did not reach it: ${n}.` : "All edits reached it.";
    this.say("closed", `The kernel has stopped. ${fate} Run the cell again to go on.`);
  }

  // ---- what hands and keys ask for

  chooseTool(id) {
    this.hand.choose(id);
    this.toolInputs[id].checked = true;
    this.stage.classList.toggle("axonlab-pan", id === "pan");
  }

  chooseClass(id) {
    if (!(id in this.classInputs)) return;
    this.hand.classId = id;
    this.classInputs[id].checked = true;
    this.shown[id].set(true); // nobody paints what cannot be seen
    this.all.set(true);
  }

  resizeBrush(diameter) {
    this.size.show(Math.min(Math.max(diameter, 1), MAX_SIZE));
  }

  pick(x, y) {
    const label = this.hand.labelAt(x, y);
    if (label !== null && label !== UNLABELLED) this.chooseClass(label);
  }

  announce(x, y) {
    const label = this.hand.labelAt(x, y);
    const found = this.store.about.classes.find(({ id }) => id === label);
    const place = `row ${Math.floor(y)}, column ${Math.floor(x)}`;
    this.speech.textContent = `${place}: ${found?.name ?? "unlabelled"}`;
  }
}

// All but all is not all: 99.96 % is not 100 %.
function rounded(percent) {
  if (percent > 99 && percent < 100) return "> 99";
  return percent >= 10 || percent === 0 ? percent.toFixed(0) : percent.toPrecision(2);
}

function keys() {
  const rows = [
    ["0 – 3", "class"],
    ...TOOLS.map(({ key, name }) => [key.toUpperCase(), name.toLowerCase()]),
    ["[ ]", "size of the brush"],
    ["+ − F", "zoom, whole picture"],
    ["V", "show or hide labels"],
    ["Ctrl+Z, Ctrl+Shift+Z", "undo, redo"],
    ["Esc", "forget the stroke in progress"],
    ["Enter, Backspace", "close a polygon, take a corner back"],
    ["arrows, Space", "move the tool (Shift: ten pixels), press it"],
  ];
  const items = rows.flatMap(([key, what]) => [element("dt", {}, key), element("dd", {}, what)]);
  const list = element("dl", {}, ...items);
  return element("details", { class: "axonlab-keys" }, element("summary", {}, "Keys"), list);
}

export default () => {
  let store;
  return {
    initialize({ model }) {
      store = new Store(model);
      // JupyterLab's widgets tell so when their kernel goes
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
