// The picture: image and labels mixed at the size of the screen, and what of them is shown.

class Picture {
  constructor(store, stage) {
    this.store = store;
    this.stage = stage;
    this.canvas = element("canvas", {});
    this.marks = element("canvas", {}); // cursor, outlines and scale bar lie above
    stage.append(this.canvas, this.marks);
    this.look = { opacity: 0.4, contrast: 1, gamma: 1, hidden: new Set(), all: true };
    this.keepMine = true;
    this.fitted = true;
    this.scale = 1; // CSS pixels per pixel of the image
    this.left = this.top = 0; // position of the image in the upper left corner
    this.colours = new Uint32Array(256 * 256); // by label and grey
    this.hatch = new Uint32Array(256 * 256);
  }

  resize() {
    const ratio = window.devicePixelRatio || 1;
    const width = Math.round(this.stage.clientWidth * ratio), height = Math.round(this.stage.clientHeight * ratio);
    if (!width || !height) return;
    for (const canvas of [this.canvas, this.marks]) Object.assign(canvas, { width, height });
    this.ratio = ratio;
    this.frame = this.canvas.getContext("2d").createImageData(width, height);
    if (this.fitted) this.fit();
    else this.draw();
  }

  fit() {
    const { width, height } = this.store;
    this.showRegion(0, 0, width, height);
    this.fitted = true;
  }

  showRegion(left, top, width, height) {
    const { clientWidth, clientHeight } = this.stage;
    this.scale = Math.min(clientWidth / width, clientHeight / height);
    this.left = left + (width - clientWidth / this.scale) / 2;
    this.top = top + (height - clientHeight / this.scale) / 2;
    this.fitted = false;
    this.draw();
  }

  // Zoom so that the point (in CSS pixels of the stage) stays where it is.
  zoom(factor, px = this.stage.clientWidth / 2, py = this.stage.clientHeight / 2) {
    const { width, height } = this.store;
    const smallest = 0.5 * Math.min(this.stage.clientWidth / width, this.stage.clientHeight / height);
    const scale = Math.min(Math.max(this.scale * factor, smallest), 64);
    this.left += px / this.scale - px / scale;
    this.top += py / this.scale - py / scale;
    this.scale = scale;
    this.fitted = false;
    this.draw();
  }

  pan(dx, dy) {
    this.left -= dx / this.scale;
    this.top -= dy / this.scale;
    this.fitted = false;
    this.draw();
  }

  position(event) {
    const rectangle = this.stage.getBoundingClientRect();
    const px = event.clientX - rectangle.left, py = event.clientY - rectangle.top;
    return { px, py, x: this.left + px / this.scale, y: this.top + py / this.scale };
  }

  // Mix every class into every grey once: a pixel is then one look-up.
  mix() {
    const { opacity, contrast, gamma, hidden, all } = this.look;
    const greys = Uint8Array.from({ length: 256 }, (_, g) => {
      const value = Math.min(Math.max((g / 255 - 0.5) * contrast + 0.5, 0), 1);
      return Math.round(255 * value ** (1 / gamma));
    });
    const paint = (table, id, colour, share) => {
      for (let g = 0; g < 256; g++) {
        const [r, green, b] = colour.map((c) => Math.round(c * share + greys[g] * (1 - share)));
        table[(id << 8) | g] = (255 << 24) | (b << 16) | (green << 8) | r;
      }
    };
    paint(this.colours, UNLABELLED, [0, 0, 0], 0);
    for (const { id, colour } of this.store.about.classes) {
      const rgb = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
      paint(this.colours, id, rgb, all && !hidden.has(id) ? opacity : 0);
      paint(this.hatch, id, rgb, all && !hidden.has(id) ? 0.75 : 0);
    }
  }

  draw() {
    if (this.drawing || !this.store.ready || !this.frame) return;
    this.drawing = true;
    requestAnimationFrame(() => {
      this.drawing = false;
      this.drawPixels();
      this.drawMarks?.();
    });
  }

  drawPixels() {
    const { store, frame, colours, hatch } = this;
    const { labels, suggestion } = store;
    const step = 1 / (this.scale * this.ratio); // pixels of the image per pixel of the screen
    const level = Math.min(Math.max(Math.floor(Math.log2(step)), 0), store.pyramid.length - 1);
    const grey = store.pyramid[level];
    const rows = grey.data.length / grey.width;
    const columns = new Int32Array(frame.width).map((_, i) => Math.floor(this.left + (i + 0.5) * step));
    const out = new Uint32Array(frame.data.buffer);
    out.fill(0);
    for (let j = 0; j < frame.height; j++) {
      const row = Math.floor(this.top + (j + 0.5) * step);
      if (row < 0 || row >= store.height) continue;
      const line = row * store.width, greyLine = Math.min(row >> level, rows - 1) * grey.width;
      for (let i = 0, k = j * frame.width; i < frame.width; i++, k++) {
        const column = columns[i];
        if (column < 0 || column >= store.width) continue;
        const label = labels[line + column];
        const g = grey.data[greyLine + Math.min(column >> level, grey.width - 1)];
        out[k] = colours[(label << 8) | g];
        if (suggestion === null || ((i + j) & 7) > 3) continue;
        const suggested = suggestion[line + column];
        if (suggested !== label && (label === UNLABELLED || !this.keepMine)) out[k] = hatch[(suggested << 8) | g];
      }
    }
    this.canvas.getContext("2d").putImageData(frame, 0, 0);
  }
}
