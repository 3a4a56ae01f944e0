// The hand: what the tools do to the labels, and the marks they show above the picture.

const TOOLS = [
  { id: "brush", name: "Brush", key: "b", hint: "Paint the class; [ and ] change the size" },
  { id: "eraser", name: "Eraser", key: "e", hint: "Make unlabelled" },
  { id: "fill", name: "Fill", key: "g", hint: "Give a connected area the class" },
  {
    id: "polygon",
    name: "Polygon",
    key: "p",
    hint: "Click corners; a double click, Enter or a click on the first one closes it",
  },
  { id: "lasso", name: "Lasso", key: "l", hint: "Draw around an area" },
  {
    id: "scissors",
    name: "Scissors",
    key: "x",
    hint: "Drag a line of background, one pixel wide, between touching fibres",
  },
  { id: "pick", name: "Pick", key: "i", hint: "Take the class under the pointer; so does Alt" },
  { id: "pan", name: "Pan", key: "h", hint: "Drag the picture; so does the middle button" },
];

const MAX_SIZE = 99; // of the brush, in pixels
const AXON = 2; // what is painted most
const CLOSING_PX = 12; // from the first corner, on the screen: a finger hits that, too
const LASSO_STEP = 0.25; // pixels of the image; a nearer point tells nothing

class Hand {
  constructor(store, picture) {
    Object.assign(this, { store, picture });
    this.tool = "brush";
    this.classId = AXON;
    this.size = 9;
    this.protect = false;
    this.points = []; // of the shape in progress
    this.cursor = null; // where the tool is, in pixels of the image
    this.stroke = null; // the pen and the last position of the brush while it is down
    this.pointed = null; // a crop that Python points at
    picture.drawMarks = () => this.drawMarks();
  }

  // Change the tool; what is in progress is ended, but one may pan between corners.
  choose(tool) {
    if (this.tool !== "polygon") this.release();
    if (tool !== "pan" && tool !== "polygon") this.points = [];
    this.tool = tool;
    this.picture.draw();
  }

  // What a tool may paint over, by class id.
  over(tool) {
    const may = new Uint8Array(256).fill(1);
    if (tool === "scissors") may[UNLABELLED] = may[BACKGROUND] = 0;
    else if (this.protect && tool !== "eraser") {
      may.fill(0);
      may[UNLABELLED] = may[BACKGROUND] = 1;
    }
    return may;
  }

  pen(tool) {
    const value = { eraser: UNLABELLED, scissors: BACKGROUND }[tool] ?? this.classId;
    const over = this.over(tool);
    return (row, from, to) => this.store.paint(row, from, to, value, over);
  }

  press(x, y, tool = this.tool) {
    this.pointed = null;
    this.cursor = { x, y };
    if (tool === "brush" || tool === "eraser") {
      this.stroke = { pen: this.pen(tool), at: centre(x, y) };
      this.brush(this.stroke.at);
    } else if (tool === "fill") this.fill(x, y);
    else if (tool === "polygon") {
      if (this.isOnFirst(x, y)) this.close();
      else this.points.push([x, y]);
    } else if (tool === "lasso" || tool === "scissors") this.points = [[x, y]];
    this.picture.draw();
  }

  // Show where the tool is; nowhere when the pointer has left.
  hover(x, y) {
    this.cursor = x === undefined ? null : { x, y };
    this.picture.draw(NOWHERE);
  }

  // Go on with what is in progress.
  move(x, y) {
    this.cursor = { x, y };
    if (this.stroke) this.brush(centre(x, y));
    else if (this.tool === "scissors" && this.points.length) this.points[1] = [x, y];
    else if (this.tool === "lasso" && this.points.length) {
      const [lastX, lastY] = this.points.at(-1);
      if (Math.hypot(x - lastX, y - lastY) > LASSO_STEP) this.points.push([x, y]);
    }
    this.picture.draw(NOWHERE);
  }

  brush([x, y]) {
    const { pen, at } = this.stroke;
    const radius = this.size / 2;
    capsule(...at, x, y, radius, pen);
    this.stroke.at = [x, y];
    this.picture.draw({
      left: Math.min(at[0], x) - radius - 1,
      top: Math.min(at[1], y) - radius - 1,
      right: Math.max(at[0], x) + radius + 1,
      bottom: Math.max(at[1], y) + radius + 1,
    });
  }

  // Lift: a stroke or shape is done. The corners of a polygon wait for more.
  release() {
    if (this.tool === "lasso" && this.points.length > 2) polygon(this.points, this.pen("lasso"));
    if (this.tool === "scissors" && this.points.length === 2) {
      staircase(...this.points[0], ...this.points[1], this.pen("scissors"));
    }
    if (this.tool === "lasso" || this.tool === "scissors") this.points = [];
    this.stroke = null;
    this.store.commit();
    this.picture.draw();
  }

  // End a polygon.
  close() {
    if (this.tool !== "polygon") return;
    if (this.points.length > 2) polygon(this.points, this.pen("polygon"));
    this.points = [];
    this.store.commit();
    this.picture.draw();
  }

  // Forget what is in progress; return whether there was something.
  cancel() {
    const had = this.points.length > 0 || this.stroke !== null;
    this.points = [];
    this.stroke = null;
    this.store.revert();
    this.picture.draw();
    return had;
  }

  // Forget the stroke in progress, or the last corner of a polygon.
  takeBack() {
    if (this.stroke) {
      this.stroke = null;
      this.store.revert();
    } else if (this.tool === "polygon") this.points.pop();
    else this.cancel();
    this.picture.draw();
  }

  fill(x, y) {
    const { labels, width, height } = this.store;
    const column = Math.floor(x), row = Math.floor(y);
    const label = this.labelAt(x, y);
    if (label === null || label === this.classId || !this.over("fill")[label]) return;
    flood(labels, width, height, column, row, this.pen("fill"));
  }

  // The label at a position, null outside the image.
  labelAt(x, y) {
    const { labels, width, height } = this.store;
    const column = Math.floor(x), row = Math.floor(y);
    const isInside = column >= 0 && row >= 0 && column < width && row < height;
    return isInside ? labels[row * width + column] : null;
  }

  isOnFirst(x, y) {
    if (this.points.length < 3) return false;
    const [firstX, firstY] = this.points[0];
    return Math.hypot(x - firstX, y - firstY) * this.picture.scale < CLOSING_PX;
  }

  drawMarks() {
    const { marks, ratio, scale, left, top } = this.picture;
    const context = marks.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, marks.width, marks.height);
    const at = (x, y) => [(x - left) * scale, (y - top) * scale];
    // light over dark: seen on any grey
    const line = (path, dash = []) => {
      context.setLineDash(dash);
      for (const [strokeStyle, lineWidth] of [["#000", 3], ["#fff", 1.2]]) {
        Object.assign(context, { strokeStyle, lineWidth });
        context.stroke(path);
      }
    };
    if (this.pointed) {
      const path = new Path2D();
      const { row, column, height, width } = this.pointed;
      path.rect(...at(column, row), width * scale, height * scale);
      line(path, [6, 4]);
    }
    if (this.points.length) this.drawShape(at, line);
    if (this.cursor && this.tool !== "pan") line(this.cursorPath(at));
    this.drawScaleBar(context, line);
  }

  drawShape(at, line) {
    const path = new Path2D(), corners = new Path2D();
    for (const point of this.points) {
      const [px, py] = at(...point);
      path.lineTo(px, py);
      corners.rect(px - 3, py - 3, 6, 6);
    }
    const isOpen = this.tool === "polygon" && this.cursor;
    if (isOpen) path.lineTo(...at(this.cursor.x, this.cursor.y));
    line(path);
    if (this.tool !== "lasso") line(corners);
  }

  cursorPath(at) {
    const path = new Path2D();
    if (this.tool === "brush" || this.tool === "eraser") {
      const [px, py] = at(...centre(this.cursor.x, this.cursor.y));
      path.arc(px, py, Math.max((this.size / 2) * this.picture.scale, 2), 0, 2 * Math.PI);
    } else {
      const [px, py] = at(this.cursor.x, this.cursor.y);
      for (const [dx, dy] of [[1, 0], [0, 1], [-1, 0], [0, -1]]) {
        path.moveTo(px + 3 * dx, py + 3 * dy);
        path.lineTo(px + 9 * dx, py + 9 * dy);
      }
    }
    return path;
  }

  drawScaleBar(context, line) {
    const longest = 120; // CSS pixels
    const perMicrometre = this.picture.scale / this.store.about.pixel_size;
    const power = 10 ** Math.floor(Math.log10(longest / perMicrometre));
    const length = [5, 2, 1].find((n) => n * power * perMicrometre <= longest) * power;
    const bottom = this.picture.stage.clientHeight - 12;
    const path = new Path2D();
    path.moveTo(12, bottom);
    path.lineTo(12 + length * perMicrometre, bottom);
    line(path);
    const text = length < 1 ? `${round(length * 1000)} nm` : `${round(length)} µm`;
    Object.assign(context, { font: "12px sans-serif", strokeStyle: "#000", fillStyle: "#fff" });
    context.lineWidth = 3;
    context.strokeText(text, 12, bottom - 6);
    context.fillText(text, 12, bottom - 6);
  }
}

// A box without a pixel: only the marks are drawn again.
const NOWHERE = { left: Infinity, top: Infinity, right: -Infinity, bottom: -Infinity };
const centre = (x, y) => [Math.floor(x) + 0.5, Math.floor(y) + 0.5];
const round = (number) => Number(number.toPrecision(1));
