// Geometry on pixels: which pixels a tool touches. Positions are (x, y) in pixels of the image;
// the pixel in column c and row r covers [c, c + 1) × [r, r + 1) and belongs to a shape when its
// centre does. Every function hands spans (row, first column, column after the last) to `span`.

const ROUNDING = 1e-9;

// The pixels within `radius` of the segment from (x0, y0) to (x1, y1).
function capsule(x0, y0, x1, y1, radius, span) {
  const length = Math.hypot(x1 - x0, y1 - y0);
  const nx = length ? ((y1 - y0) / length) * radius : 0;
  const ny = length ? ((x0 - x1) / length) * radius : 0;
  const corners = [[x0 + nx, y0 + ny], [x1 + nx, y1 + ny], [x1 - nx, y1 - ny], [x0 - nx, y0 - ny]];
  const first = Math.ceil(Math.min(y0, y1) - radius - 0.5 - ROUNDING);
  const last = Math.floor(Math.max(y0, y1) + radius - 0.5 + ROUNDING);
  for (let row = first; row <= last; row++) {
    const y = row + 0.5;
    let low = Infinity, high = -Infinity;
    for (const [cx, cy] of [[x0, y0], [x1, y1]]) {
      const rest = radius * radius - (y - cy) * (y - cy) + ROUNDING;
      if (rest < 0) continue;
      low = Math.min(low, cx - Math.sqrt(rest));
      high = Math.max(high, cx + Math.sqrt(rest));
    }
    for (const x of length ? crossings(corners, y) : []) {
      low = Math.min(low, x);
      high = Math.max(high, x);
    }
    // a capsule is convex: what lies between its ends in a row belongs to it
    const from = Math.ceil(low - 0.5 - ROUNDING), to = Math.floor(high - 0.5 + ROUNDING) + 1;
    if (from < to) span(row, from, to);
  }
}

// The pixels inside a closed polygon, by the even-odd rule.
function polygon(points, span) {
  let low = Infinity, high = -Infinity; // of a long lasso, too many for Math.min(...)
  for (const [, y] of points) {
    low = Math.min(low, y);
    high = Math.max(high, y);
  }
  for (let row = Math.ceil(low - 0.5), last = Math.floor(high - 0.5); row <= last; row++) {
    const xs = crossings(points, row + 0.5).sort((a, b) => a - b);
    for (let i = 0; i + 1 < xs.length; i += 2) {
      const from = Math.ceil(xs[i] - 0.5), to = Math.ceil(xs[i + 1] - 0.5);
      if (from < to) span(row, from, to);
    }
  }
}

// Where the edges of a closed polygon cross the horizontal line at y.
function crossings(points, y) {
  const xs = [];
  for (let i = 0; i < points.length; i++) {
    const [x0, y0] = points[i], [x1, y1] = points[(i + 1) % points.length];
    if (y0 <= y !== y1 <= y) xs.push(x0 + ((y - y0) / (y1 - y0)) * (x1 - x0));
  }
  return xs;
}

// A line one pixel wide whose pixels share edges, so that it separates what lies on its sides
// even for software that lets objects join over corners.
function staircase(x0, y0, x1, y1, span) {
  let column = Math.floor(x0), row = Math.floor(y0);
  const dx = Math.abs(Math.floor(x1) - column), dy = Math.abs(Math.floor(y1) - row);
  const stepX = x1 > x0 ? 1 : -1, stepY = y1 > y0 ? 1 : -1;
  span(row, column, column + 1);
  for (let right = 0, down = 0; right < dx || down < dy; ) {
    if ((1 + 2 * right) * dy < (1 + 2 * down) * dx) {
      right++;
      column += stepX;
    } else {
      down++;
      row += stepY;
    }
    span(row, column, column + 1);
  }
}

// The pixels of one value that hang together over edges with the pixel (column, row). `span` must
// give them another value at once.
function flood(values, width, height, column, row, span) {
  const value = values[row * width + column];
  const stack = [[column, row]];
  while (stack.length) {
    const [x, y] = stack.pop(), start = y * width;
    if (values[start + x] !== value) continue;
    let from = x, to = x + 1;
    while (from > 0 && values[start + from - 1] === value) from--;
    while (to < width && values[start + to] === value) to++;
    span(y, from, to);
    for (const next of [y - 1, y + 1]) {
      if (next < 0 || next >= height) continue;
      const line = next * width;
      for (let i = from; i < to; i++) {
        const begins = i === from || values[line + i - 1] !== value;
        if (values[line + i] === value && begins) stack.push([i, next]);
      }
    }
  }
}
