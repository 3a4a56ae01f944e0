// The labels in the browser, shared by all views of a page. Python holds the truth
// (axonlab.labelling); here is a copy to paint on. What a hand changes is sent as a patch when it
// lifts, and comes back as everybody's patch.

const KEEP = 254; // in a patch: this pixel stays as it is
const UNLABELLED = 255;
const BACKGROUND = 0;
const KNOCK_MS = 5000;

class Store {
  constructor(model) {
    this.model = model;
    this.page = `${Date.now()}-${Math.random()}`; // tells this page's edits from those of others
    this.ready = false;
    this.pending = []; // edits that Python has not confirmed
    this.edits = 0;
    this.suggestion = null;
    this.dirty = null; // rectangle touched by the stroke in progress
    this.listeners = new Set();
    this.inbox = this.outbox = Promise.resolve(); // packing takes time, the order stays
    model.on("msg:custom", (content, buffers) => {
      this.inbox = this.inbox
        .then(() => this.receive(content, buffers))
        .catch((error) => this.recover(error));
    });
    window.addEventListener("beforeunload", (event) => {
      if (this.pending.length) event.preventDefault(); // the browser asks before it leaves
    });
  }

  // A copy is kept only while somebody looks: a cell that ran again leaves its old widget behind.
  join(listener) {
    this.listeners.add(listener);
    if (this.listeners.size === 1) this.knock();
  }

  // Ask for the labels, and again if nobody answers: a page that was just reloaded may be early.
  knock(wait = KNOCK_MS) {
    this.send({ kind: "hello" });
    clearTimeout(this.knocking);
    this.knocking = setTimeout(() => {
      if (!this.ready && this.listeners.size) this.knock(2 * wait);
    }, wait);
  }

  leave(listener) {
    this.listeners.delete(listener);
    if (this.listeners.size) return;
    this.send({ kind: "sleep" });
    this.ready = false;
    this.labels = this.base = this.pyramid = this.suggestion = null;
  }

  send(content, values) {
    const message = { ...content, page: this.page };
    this.outbox = this.outbox
      .then(async () => {
        const buffers = values ? [await deflate(values)] : [];
        this.model.send(message, undefined, buffers);
      })
      .catch((error) => this.tell({ kind: "failed", text: `Not sent to the kernel: ${error}` }));
  }

  tell(event) {
    for (const listener of this.listeners) listener(event);
  }

  // A message that was not understood may have been a change: begin anew from the truth.
  recover(error) {
    this.tell({ kind: "failed", text: `A message of the kernel was not understood: ${error}` });
    if (this.ready) this.send({ kind: "hello" });
  }

  async receive(content, buffers) {
    const isMine = content.page === this.page;
    if (content.kind === "start") {
      if (isMine && this.listeners.size) await this.start(content, buffers);
      return;
    }
    if (isMine && content.edit) {
      // a receipt, or a refusal: counts also while nobody looks
      const isOpen = (edit) => edit.id !== content.edit;
      const isLater = (edit) => edit.id > content.edit;
      this.pending = this.pending.filter(content.kind === "refused" ? isOpen : isLater);
    }
    if (!this.ready && content.kind !== "failed") return;
    if (content.kind === "patch") this.lay({ ...content, values: await inflate(buffers[0]) });
    if (content.kind === "suggestion") {
      this.suggestion = buffers.length ? await inflate(buffers[0]) : null;
    }
    if (content.kind === "status") this.status = content;
    if (content.kind === "state") this.state = content;
    // what Python refused must not stay on the screen
    if (content.kind === "refused" && isMine) this.send({ kind: "hello" });
    this.tell(content);
  }

  // Take the labels of Python, under what was painted since.
  async start(content, buffers) {
    const [grey, labels, suggestion] = await Promise.all(buffers.map(inflate));
    const stroke = this.ready && this.dirty ? this.changes() : null;
    Object.assign(this, { width: content.width, height: content.height, labels });
    this.about = content;
    this.state = content.state;
    this.status = content.status;
    this.base = labels.slice(); // the labels without the stroke in progress
    this.pyramid = halvings(grey, this.width, this.height);
    this.suggestion = suggestion ?? null;
    this.ready = true;
    for (const edit of this.pending) this.write(edit, [this.labels, this.base]);
    if (stroke) this.write(stroke, [this.labels]);
    this.tell(content);
  }

  // Lay somebody's patch under what is not confirmed yet and under the stroke in progress.
  lay(patch) {
    const stroke = this.dirty ? this.changes() : null;
    for (const each of [patch, ...this.pending]) this.write(each, [this.labels, this.base]);
    if (stroke) this.write(stroke, [this.labels]);
  }

  write({ row, column, height, width, values }, planes) {
    for (let y = 0, k = 0; y < height; y++) {
      for (let i = (row + y) * this.width + column, end = i + width; i < end; i++, k++) {
        if (values[k] === KEEP) continue;
        for (const plane of planes) plane[i] = values[k];
      }
    }
  }

  // Paint a span of a row, where `over` (one entry per class id) allows it.
  paint(row, from, to, value, over) {
    if (row < 0 || row >= this.height) return;
    from = Math.max(from, 0);
    to = Math.min(to, this.width);
    if (from >= to) return;
    for (let i = row * this.width + from, end = row * this.width + to; i < end; i++) {
      if (over[this.labels[i]]) this.labels[i] = value;
    }
    const d = this.dirty ?? { top: row, bottom: row + 1, left: from, right: to };
    this.dirty = {
      top: Math.min(d.top, row),
      bottom: Math.max(d.bottom, row + 1),
      left: Math.min(d.left, from),
      right: Math.max(d.right, to),
    };
  }

  // What the stroke in progress has changed, as a patch; null if nothing.
  changes() {
    const { top, bottom, left, right } = this.dirty;
    const width = right - left, height = bottom - top;
    const values = new Uint8Array(width * height).fill(KEEP);
    let changed = false;
    for (let y = 0, k = 0; y < height; y++) {
      for (let i = (top + y) * this.width + left, end = i + width; i < end; i++, k++) {
        if (this.labels[i] === this.base[i]) continue;
        values[k] = this.labels[i];
        changed = true;
      }
    }
    return changed ? { row: top, column: left, height, width, values } : null;
  }

  // End a stroke: keep it here, and send what it changed.
  commit() {
    if (!this.dirty) return;
    const patch = this.changes();
    this.dirty = null;
    if (!patch) return;
    this.write(patch, [this.base]);
    this.edits++;
    this.pending.push({ id: this.edits, ...patch });
    const { values, ...place } = patch;
    this.send({ kind: "edit", edit: this.edits, ...place }, values);
    this.tell({ kind: "sent" });
  }

  // Take the stroke in progress back.
  revert() {
    if (!this.dirty) return;
    for (let y = this.dirty.top; y < this.dirty.bottom; y++) {
      const from = y * this.width + this.dirty.left, to = y * this.width + this.dirty.right;
      this.labels.set(this.base.subarray(from, to), from);
    }
    this.dirty = null;
  }
}

async function through(stream, bytes) {
  const transformed = new Blob([bytes]).stream().pipeThrough(stream);
  return new Uint8Array(await new Response(transformed).arrayBuffer());
}
const deflate = (bytes) => through(new CompressionStream("deflate"), bytes);
const inflate = (bytes) => through(new DecompressionStream("deflate"), bytes);

// The picture at full, half, quarter … size: shown small, it must not flicker.
function halvings(data, width, height) {
  const levels = [{ data, width, height }];
  while (Math.min(width, height) >= 512) {
    const above = levels.at(-1);
    width >>= 1;
    height >>= 1;
    const half = new Uint8Array(width * height);
    for (let y = 0, k = 0; y < height; y++) {
      for (let x = 0, i = 2 * y * above.width; x < width; x++, k++, i += 2) {
        const below = i + above.width;
        const four = above.data[i] + above.data[i + 1] + above.data[below] + above.data[below + 1];
        half[k] = (four + 2) >> 2;
      }
    }
    levels.push({ data: half, width, height });
  }
  return levels;
}
