// Surfaces in three dimensions by WebGL 2, which every browser brings along.
const VERTEX = `#version 300 es
in vec3 place, normal;
uniform mat3 turn;
uniform vec3 middle;
uniform vec2 scale;  // of x and y on the screen
uniform float reach;
out vec3 n;
void main() {
  vec3 seen = turn * (place - middle);
  n = turn * normal;
  // x to the right, y and z downwards as in the cuts: from the side that faces the reader
  gl_Position = vec4(seen.x * scale.x, -seen.y * scale.y, seen.z / (2.0 * reach), 1.0);
}`;
const FRAGMENT = `#version 300 es
precision highp float;
in vec3 n;
uniform vec3 colour;
out vec4 drawn;
void main() {
  vec3 light = normalize(vec3(-0.4, -0.5, -0.8));
  float shade = 0.35 + 0.65 * max(0.0, dot(normalize(n), light));
  drawn = vec4(colour * shade, 1.0);
}`;
const TURN = 0.15, DRAG = 0.01, ZOOM = 1.2;

const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;
const rgb = (colour) => [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16) / 255);

// both are columns, one after the other
const times = (a, b) => Array.from({ length: 9 }, (_, i) => {
  const row = i % 3, column = 3 * Math.floor(i / 3);
  return a[row] * b[column] + a[row + 3] * b[column + 1] + a[row + 6] * b[column + 2];
});
const about = {
  x: (t) => [1, 0, 0, 0, Math.cos(t), Math.sin(t), 0, -Math.sin(t), Math.cos(t)],
  y: (t) => [Math.cos(t), 0, -Math.sin(t), 0, 1, 0, Math.sin(t), 0, Math.cos(t)],
};

function compile(gl) {
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  gl.useProgram(program);
  return program;
}

export function render({ model }) {
  const around = document.createElement("div");
  const canvas = document.createElement("canvas");
  const gl = canvas.getContext("webgl2", { antialias: true });
  const label = () => around.setAttribute("aria-label", model.told);
  around.setAttribute("role", "img");
  label();
  model.on("told", label);

  if (!gl) {
    const showStill = () => { around.innerHTML = model.still; };
    showStill();
    model.on("still", showStill);
    model.send_msg("no WebGL");
    return around;
  }

  const [width, height] = [model.width, model.height], ratio = window.devicePixelRatio || 1;
  Object.assign(canvas, { width: width * ratio, height: height * ratio, tabIndex: 0 });
  canvas.style.cssText = `width: ${width}px; height: ${height}px; cursor: grab; touch-action: none`;
  around.append(canvas);
  const program = compile(gl);
  const at = (name) => gl.getUniformLocation(program, name);
  let parts = [], middle = [0, 0, 0], reach = 1, zoom = 1;
  let turn = times(about.x(-1.1), about.y(0.5));  // sections are seen from the side

  const draw = () => {
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.DEPTH_TEST);
    const side = Math.min(width, height) * zoom / reach;
    gl.uniformMatrix3fv(at("turn"), false, turn);
    gl.uniform3fv(at("middle"), middle);
    gl.uniform2f(at("scale"), side / width, side / height);
    gl.uniform1f(at("reach"), reach);
    for (const part of parts) {
      gl.bindVertexArray(part.all);
      gl.uniform3fv(at("colour"), part.colour);
      gl.drawElements(gl.TRIANGLES, part.n, gl.UNSIGNED_INT, 0);
    }
  };

  const fill = (kind, content) => {
    const buffer = gl.createBuffer();
    gl.bindBuffer(kind, buffer);
    gl.bufferData(kind, content, gl.STATIC_DRAW);
    return buffer;
  };

  const load = () => {
    for (const part of parts) {
      part.buffers.forEach((buffer) => gl.deleteBuffer(buffer));
      gl.deleteVertexArray(part.all);
    }
    const low = [Infinity, Infinity, Infinity], high = [-Infinity, -Infinity, -Infinity];
    parts = model.surfaces.map((surface) => {
      const all = gl.createVertexArray(), buffers = [];
      gl.bindVertexArray(all);
      for (const [name, key] of [["place", "vertices"], ["normal", "normals"]]) {
        const values = new Float32Array(bytes(surface[key]));
        buffers.push(fill(gl.ARRAY_BUFFER, values));
        const place = gl.getAttribLocation(program, name);
        gl.enableVertexAttribArray(place);
        gl.vertexAttribPointer(place, 3, gl.FLOAT, false, 0, 0);
        if (key === "vertices") {
          values.forEach((value, i) => {
            low[i % 3] = Math.min(low[i % 3], value);
            high[i % 3] = Math.max(high[i % 3], value);
          });
        }
      }
      const faces = new Uint32Array(bytes(surface.faces));
      buffers.push(fill(gl.ELEMENT_ARRAY_BUFFER, faces));
      return { all, buffers, n: faces.length, colour: rgb(surface.colour) };
    });
    if (parts.length) {
      middle = low.map((value, i) => (value + high[i]) / 2);
      reach = Math.hypot(...low.map((value, i) => high[i] - value)) / 2 || 1;
    }
    draw();
  };

  const rotate = (across, down) => {
    turn = times(times(about.x(-down), about.y(across)), turn);
    draw();
  };
  const closer = (factor) => {
    zoom = Math.min(20, Math.max(0.3, zoom * factor));
    draw();
  };
  const onKey = {
    ArrowLeft: () => rotate(-TURN, 0), ArrowRight: () => rotate(TURN, 0),
    ArrowUp: () => rotate(0, -TURN), ArrowDown: () => rotate(0, TURN),
    "+": () => closer(ZOOM), "=": () => closer(ZOOM), "-": () => closer(1 / ZOOM),
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    canvas.focus({ preventScroll: true });
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.buttons & 1) rotate(event.movementX * DRAG, event.movementY * DRAG);
  });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    closer(event.deltaY < 0 ? ZOOM : 1 / ZOOM);
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.key === "Tab") return;
    // JupyterLab's own single keys would add or cut cells
    event.stopPropagation();
    if (!onKey[event.key]) return;
    event.preventDefault();
    onKey[event.key]();
  });
  model.on("surfaces", load);
  load();
  return around;
}
