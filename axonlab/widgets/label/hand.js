// The hand: what the tools do to the labels, and the marks they show above the picture.

const TOOLS = [
  { id: "brush", name: "Brush", key: "b", hint: "Paint the class; [ and ] change the size" },
  { id: "eraser", name: "Eraser", key: "e", hint: "Make unlabelled" },
  { id: "fill", name: "Fill", key: "g", hint: "Give a connected area the class" },
  { id: "polygon", name: "Polygon", key: "p", hint: "Click corners; Enter, a double click or a click on the first closes, Backspace takes one back" },
  { id: "lasso", name: "Lasso", key: "l", hint: "Draw around an area" },
  { id: "scissors", name: "Scissors", key: "x", hint: "Drag a line of background, one pixel wide, between touching fibres" },
  { id: "pick", name: "Pick", key: "i", hint: "Take the class under the pointer; so does Alt with any tool" },
  { id: "pan", name: "Pan", key: "h", hint: "Drag the picture; so does the middle button" },
];
const DRAWS_SHAPE = ["polygon", "lasso", "scissors"];

class Hand {
  constructor(store, picture) {
    Object.assign(this, { store, picture });
    this.tool = "brush";
    this.classId = 2;
    this.size = 9;
    this.protect = false;
    this.points = []; // of the shape in progress
    this.cursor = null; // where the tool is, in pixels of the image
    this.stroke = null; // last position of the brush while it is down
    this.region = null; // a crop that Python points at
    picture.drawMarks = () => this.drawMarks();
  }

  choose(tool) {
    this.cancel();
    this.tool = tool;
  }

  // What may be painted over, by class id.
  over() {
    const may = new Uint8Array(256).fill(1);
    if (this.tool === "scissors") may[UNLABELLED] = may[BACKGROUND] = 0;
    else if (this.protect && this.tool !== "eraser") {
      may.fill(0);
      may[UNLABELLED] = may[BACKGROUND] = 1;
    }
    return may;
  }

  pen() {
    const value = { eraser: UNLABELLED, scissors: BACKGROUND }[this.tool] ?? this.classId;
    const over = this.over();
    return (row, from, to) => this.store.paint(row, from, to, value, over);
  }

  press(x, y, isDouble = false) {
    this.region = null;
    this.cursor = { x, y };
    if (this.tool === "brush" || this.tool === "eraser") {
      this.stroke = centre(x, y);
      capsule(...this.stroke, ...this.stroke, this.size / 2, this.pen());
    } else if (this.tool === "fill") this.fill(x, y);
    else if (this.tool === "polygon") {
      if (isDouble || this.onFirst(x, y)) return this.close();
      this.points.push([x, y]);
    } else if (DRAWS_SHAPE.includes(this.tool)) this.points = [[x, y], [x, y]];
    this.picture.draw();
  }

  move(x, y) {
    this.cursor = { x, y };
    if (this.stroke) {
      const to = centre(x, y);
      capsule(...this.stroke, ...to, this.size / 2, this.pen());
      this.stroke = to;
      this.picture.draw();
    } else if (this.points.length && this.tool === "lasso") this.points.push([x, y]);
    else if (this.points.length && this.tool === "scissors") this.points[1] = [x, y];
    this.drawMarks();
  }

  release() {
    if (this.tool === "polygon") return;
    if (this.tool === "lasso" && this.points.length > 2) polygon(this.points, this.pen());
    if (this.tool === "scissors" && this.points.length) staircase(...this.points[0], ...this.points[1], this.pen());
    this.stroke = null;
    this.points = [];
    this.store.commit();
    this.picture.draw();
  }

  // End a polygon.
  close() {
    if (this.points.length > 2) polygon(this.points, this.pen());
    this.points = [];
    this.store.commit();
    this.picture.draw();
  }

  cancel() {
    const had = this.points.length > 0 || this.stroke !== null;
    this.points = [];
    this.stroke = null;
    this.store.revert();
    this.picture.draw();
    return had;
  }

  fill(x, y) {
    const { labels, width, height } = this.store;
    const column = Math.floor(x), row = Math.floor(y);
    if (column < 0 || row < 0 || column >= width || row >= height) return;
    const label = labels[row * width + column];
    if (label !== this.classId && this.over()[label]) flood(labels, width, height, column, row, this.pen());
  }

  // The class at a position, null outside the image or where nothing is labelled.
  classAt(x, y) {
    const { labels, width, height } = this.store;
    const column = Math.floor(x), row = Math.floor(y);
    const inside = column >= 0 && row >= 0 && column < width && row < height;
    const label = inside ? labels[row * width + column] : UNLABELLED;
    return label === UNLABELLED ? null : label;
  }

  onFirst(x, y) {
    if (this.points.length < 3) return false;
    const [fx, fy] = this.points[0];
    return Math.hypot(x - fx, y - fy) * this.picture.scale < 8;
  }

  drawMarks() {
    const { marks, ratio, scale, left, top } = this.picture;
    const context = marks.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, marks.width, marks.height);
    const at = (x, y) => [(x - left) * scale, (y - top) * scale];
    // dark under light: seen on any grey
    const line = (path, dash = []) => {
      context.setLineDash(dash);
      for (const [colour, width] of [["#000", 3], ["#fff", 1.2]]) {
        Object.assign(context, { strokeStyle: colour, lineWidth: width });
        context.stroke(path);
      }
    };
    if (this.region) {
      const path = new Path2D();
      const { row, column, height, width } = this.region;
      path.rect(...at(column, row), width * scale, height * scale);
      line(path, [6, 4]);
    }
    if (this.points.length) {
      const path = new Path2D();
      for (const point of this.points) path.lineTo(...at(...point));
      if (this.tool === "polygon" && this.cursor) path.lineTo(...at(this.cursor.x, this.cursor.y));
      line(path);
      if (this.tool === "polygon") {
        const corners = new Path2D();
        for (const point of this.points) {
          const [px, py] = at(...point);
          corners.rect(px - 3, py - 3, 6, 6);
        }
        line(corners);
      }
    }
    if (this.cursor && this.tool !== "pan") line(this.cursorPath(at));
    this.drawScaleBar(context, line);
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
    const perMicrometre = this.picture.scale / this.store.about.pixel_size;
    const power = 10 ** Math.floor(Math.log10(120 / perMicrometre));
    const length = [5, 2, 1].find((n) => n * power * perMicrometre <= 120) * power;
    const bottom = this.picture.stage.clientHeight - 12;
    const path = new Path2D();
    path.moveTo(12, bottom);
    path.lineTo(12 + length * perMicrometre, bottom);
    line(path);
    Object.assign(context, { font: "12px sans-serif", strokeStyle: "#000", lineWidth: 3, fillStyle: "#fff" });
    const text = length < 1 ? `${+(length * 1000).toPrecision(1)} nm` : `${+length.toPrecision(1)} µm`;
    context.strokeText(text, 12, bottom - 6);
    context.fillText(text, 12, bottom - 6);
  }
}

const centre = (x, y) => [Math.floor(x) + 0.5, Math.floor(y) + 0.5];
