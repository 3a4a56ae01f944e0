// The labels in the browser, shared by all views of a page. Python holds the truth
// (axonlab.labelling); here is a copy to paint on. What a hand changes is sent as a patch when it
// lifts, and comes back as everybody's patch.

const KEEP = 254; // in a patch: this pixel stays as it is
const UNLABELLED = 255;
const BACKGROUND = 0;

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
      this.inbox = this.inbox.then(() => this.receive(content, buffers)).catch(console.error);
    });
    this.send({ kind: "hello" });
  }

  send(content, values) {
    const message = { ...content, page: this.page };
    this.outbox = this.outbox
      .then(async () => this.model.send(message, undefined, values ? [await deflate(values)] : []))
      .catch((error) => this.tell({ kind: "failed", text: `Not sent to the kernel: ${error}` }));
  }

  tell(event) {
    for (const listener of this.listeners) listener(event);
  }

  async receive(content, buffers) {
    if (content.kind === "start") {
      if (content.page === this.page) await this.start(content, buffers);
      return;
    }
    if (!this.ready) return;
    if (content.kind === "patch") this.merge({ ...content, values: await inflate(buffers[0]) });
    if (content.kind === "suggestion") this.suggestion = buffers.length ? await inflate(buffers[0]) : null;
    if (content.kind === "state") {
      this.state = content;
      if (content.page === this.page) this.pending = this.pending.filter((edit) => edit.id > content.edit);
    }
    if (content.kind === "refused" && content.page === this.page) {
      // what Python refused must not stay on the screen: take its labels
      this.send({ kind: "hello" });
    }
    this.tell(content);
  }

  async start(content, buffers) {
    const [grey, labels, suggestion] = await Promise.all(buffers.map(inflate));
    Object.assign(this, { width: content.width, height: content.height, labels });
    this.about = content;
    this.state = content.state;
    this.status = content.status;
    this.base = labels.slice(); // the labels without the stroke in progress
    this.pyramid = halvings(grey, this.width, this.height);
    this.suggestion = suggestion || null;
    this.pending = [];
    this.dirty = null;
    this.ready = true;
    this.tell(content);
  }

  // Someone's patch: what is under the stroke in progress or not confirmed yet stays on top.
  merge(patch) {
    this.lay(patch);
    for (const edit of this.pending) this.lay(edit);
  }

  lay({ row, column, height, width, values }) {
    for (let y = 0, k = 0; y < height; y++) {
      for (let i = (row + y) * this.width + column, end = i + width; i < end; i++, k++) {
        if (values[k] === KEEP) continue;
        if (this.labels[i] === this.base[i]) this.labels[i] = values[k];
        this.base[i] = values[k];
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
    const d = this.dirty;
    this.dirty = d
      ? { top: Math.min(d.top, row), bottom: Math.max(d.bottom, row + 1), left: Math.min(d.left, from), right: Math.max(d.right, to) }
      : { top: row, bottom: row + 1, left: from, right: to };
  }

  // End a stroke: keep it here, and send what it changed.
  commit() {
    if (!this.dirty) return;
    const { top, bottom, left, right } = this.dirty;
    this.dirty = null;
    const width = right - left, height = bottom - top;
    const values = new Uint8Array(width * height).fill(KEEP);
    let changed = false;
    for (let y = 0, k = 0; y < height; y++) {
      for (let i = (top + y) * this.width + left, end = i + width; i < end; i++, k++) {
        if (this.labels[i] === this.base[i]) continue;
        values[k] = this.base[i] = this.labels[i];
        changed = true;
      }
    }
    if (!changed) return;
    const place = { row: top, column: left, height, width };
    this.edits++;
    this.pending.push({ id: this.edits, ...place, values });
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
    this.tell({ kind: "reverted" });
  }
}

async function through(stream, bytes) {
  return new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer());
}
const deflate = (bytes) => through(new CompressionStream("deflate"), bytes);
const inflate = (bytes) => through(new DecompressionStream("deflate"), bytes);

// The picture at full, half, quarter … size: shown small, it must not flicker.
function halvings(data, width, height) {
  const levels = [{ data, width }];
  while (Math.min(width, height) >= 512) {
    const above = levels.at(-1);
    width >>= 1;
    height >>= 1;
    const half = new Uint8Array(width * height);
    for (let y = 0, k = 0; y < height; y++) {
      for (let x = 0, i = 2 * y * above.width; x < width; x++, k++, i += 2) {
        half[k] = (above.data[i] + above.data[i + 1] + above.data[i + above.width] + above.data[i + above.width + 1] + 2) >> 2;
      }
    }
    levels.push({ data: half, width });
  }
  return levels;
}
