// The picture: image and labels mixed at the size of the screen, and what of them is shown.

const MAX_SCALE = 64; // screen pixels a pixel: more shows nothing new
const SUGGESTED = 0.75; // opacity of a suggestion's hatching, whatever that of the labels

class Picture {
  constructor(store, stage) {
    this.store = store;
    this.stage = stage;
    this.canvas = element("canvas", {});
    this.marks = element("canvas", {}); // cursor, outlines and scale bar lie above
    stage.append(this.canvas, this.marks);
    this.look = { opacity: 0.4, contrast: 1, gamma: 1, hidden: new Set(), all: true };
    this.onlyUnlabelled = true; // what of a suggestion would be taken over, and is shown
    this.region = null; // what is shown: null for the whole image
    this.scale = 1; // CSS pixels per pixel of the image
    this.left = this.top = 0; // position of the image in the upper left corner
    this.colours = new Uint32Array(256 * 256); // by label and grey
    this.hatch = new Uint32Array(256 * 256);
    this.fitted = true;
    this.stale = null; // what of the image must be drawn again
  }

  resize() {
    const ratio = window.devicePixelRatio || 1;
    const width = Math.round(this.stage.clientWidth * ratio);
    const height = Math.round(this.stage.clientHeight * ratio);
    if (!width || !height) return; // hidden
    for (const canvas of [this.canvas, this.marks]) Object.assign(canvas, { width, height });
    this.ratio = ratio;
    this.frame = this.canvas.getContext("2d").createImageData(width, height);
    if (this.fitted) this.showRegion(this.region);
    else this.draw();
  }

  fit() {
    this.showRegion(null);
  }

  // Show a rectangle of the image, and go on showing it when the stage is resized.
  showRegion(region) {
    this.region = region;
    this.fitted = true;
    const { clientWidth, clientHeight } = this.stage;
    if (!clientWidth) return; // hidden: the next `resize` comes back to it
    const whole = { left: 0, top: 0, width: this.store.width, height: this.store.height };
    const { left, top, width, height } = region ?? whole;
    this.scale = Math.min(clientWidth / width, clientHeight / height);
    this.left = left + (width - clientWidth / this.scale) / 2;
    this.top = top + (height - clientHeight / this.scale) / 2;
    this.draw();
  }

  // Zoom so that the point (in CSS pixels of the stage) stays where it is.
  zoom(factor, px = this.stage.clientWidth / 2, py = this.stage.clientHeight / 2) {
    const { clientWidth, clientHeight } = this.stage;
    const whole = Math.min(clientWidth / this.store.width, clientHeight / this.store.height);
    const scale = Math.min(Math.max(this.scale * factor, whole / 2), Math.max(MAX_SCALE, whole));
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

  // Pan just so far that a position is on the stage.
  reveal(x, y) {
    const px = (x - this.left) * this.scale, py = (y - this.top) * this.scale;
    const outside = (p, length) => p - Math.min(Math.max(p, 0), length);
    const dx = outside(px, this.stage.clientWidth), dy = outside(py, this.stage.clientHeight);
    if (dx || dy) this.pan(-dx, -dy);
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
      const isShown = all && !hidden.has(id);
      paint(this.colours, id, rgb, isShown ? opacity : 0);
      paint(this.hatch, id, rgb, isShown ? SUGGESTED : 0);
    }
    this.draw();
  }

  // Draw with the next frame: a box of the image, or everything.
  draw(box = { left: -Infinity, top: -Infinity, right: Infinity, bottom: Infinity }) {
    const { left, top, right, bottom } = this.stale ?? box;
    const isWaiting = this.stale !== null;
    this.stale = {
      left: Math.min(left, box.left),
      top: Math.min(top, box.top),
      right: Math.max(right, box.right),
      bottom: Math.max(bottom, box.bottom),
    };
    if (isWaiting) return;
    requestAnimationFrame(() => {
      const stale = this.stale;
      this.stale = null;
      if (!this.store.ready || !this.frame) return;
      if (this.ratio !== window.devicePixelRatio) this.resize(); // moved to another screen
      this.drawPixels(stale);
      this.drawMarks?.();
    });
  }

  drawPixels(box) {
    const { store, frame, colours, hatch } = this;
    const { labels, suggestion } = store;
    const step = 1 / (this.scale * this.ratio); // pixels of the image per pixel of the screen
    const level = Math.min(Math.max(Math.floor(Math.log2(step)), 0), store.pyramid.length - 1);
    const grey = store.pyramid[level];
    const from = (edge, origin) => Math.max(Math.floor((edge - origin) / step), 0);
    const to = (edge, origin, end) => Math.min(Math.ceil((edge - origin) / step), end);
    const x0 = from(box.left, this.left), x1 = to(box.right, this.left, frame.width);
    const y0 = from(box.top, this.top), y1 = to(box.bottom, this.top, frame.height);
    if (x0 >= x1 || y0 >= y1) return;
    const columns = new Int32Array(frame.width);
    for (let i = x0; i < x1; i++) columns[i] = Math.floor(this.left + (i + 0.5) * step);
    const out = new Uint32Array(frame.data.buffer);
    for (let j = y0; j < y1; j++) {
      const row = Math.floor(this.top + (j + 0.5) * step);
      const isOutside = row < 0 || row >= store.height;
      const line = row * store.width;
      const greyLine = Math.min(row >> level, grey.height - 1) * grey.width;
      for (let i = x0, k = j * frame.width + x0; i < x1; i++, k++) {
        const column = columns[i];
        if (isOutside || column < 0 || column >= store.width) {
          out[k] = 0;
          continue;
        }
        const label = labels[line + column];
        const g = grey.data[greyLine + Math.min(column >> level, grey.width - 1)];
        out[k] = colours[(label << 8) | g];
        if (suggestion === null || ((i + j) & 7) > 3) continue;
        const suggested = suggestion[line + column];
        const isOffered = label === UNLABELLED || !this.onlyUnlabelled;
        if (suggested !== label && isOffered) out[k] = hatch[(suggested << 8) | g];
      }
    }
    this.canvas.getContext("2d").putImageData(frame, 0, 0, x0, y0, x1 - x0, y1 - y0);
  }
}
