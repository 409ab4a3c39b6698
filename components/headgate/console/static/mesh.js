// Shows a mesh in every [data-mesh]: a GLB file of our own origin, of which it draws the first mesh in one colour.
// It turns by mouse, finger and arrow keys; where WebGL 2 or the mesh is missing, the still picture stays, with words.
"use strict";
(() => {
  const SLOPE = 0.5; // tangent of half the angle of view
  const NEAR = 1.2, FAR = 8, START = 2.6; // distances of the eye, in radii of the mesh
  const TILT = 1.45; // the steepest look from above or below, in radians
  const SIZES = { SCALAR: 1, VEC3: 3 };
  const ARRAYS = { 5121: Uint8Array, 5123: Uint16Array, 5125: Uint32Array, 5126: Float32Array };
  const VERTEX = `#version 300 es
    in vec3 position, normal;
    uniform mat3 turn; uniform vec3 middle; uniform vec4 lens; // scale, distance, width over height, slope
    out vec3 facing;
    void main() {
      vec3 at = turn * (position - middle) * lens.x;
      float depth = lens.y - at.z;
      facing = turn * normal;
      vec2 shape = lens.w * vec2(max(lens.z, 1.), max(1. / lens.z, 1.)); // the shorter side of the view fits it
      gl_Position = vec4(at.xy / shape, depth - 1., depth);
    }`;
  const FRAGMENT = `#version 300 es
    precision highp float;
    in vec3 facing; uniform vec3 paint; out vec4 colour;
    void main() {
      float light = abs(dot(normalize(facing), normalize(vec3(.35, .5, 1.))));
      colour = vec4(paint * (.45 + .55 * light), 1.);
    }`;

  function read(buffer) {
    const view = new DataView(buffer);
    if (buffer.byteLength < 20 || view.getUint32(0, true) !== 0x46546c67 || view.getUint32(4, true) !== 2) throw new Error("it is no GLB file");
    if (view.getUint32(8, true) > buffer.byteLength) throw new Error("it is torn");
    const length = view.getUint32(12, true);
    const told = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 20, length)));
    const bytes = 20 + length + 8; // the second chunk holds the numbers
    const part = told.meshes?.[0]?.primitives?.[0];
    if (!part || part.attributes?.POSITION === undefined || (part.mode ?? 4) !== 4) throw new Error("it holds no triangles");
    const positions = numbers(told, buffer, bytes, part.attributes.POSITION);
    const indices = part.indices === undefined ? Uint32Array.from({ length: positions.length / 3 }, (_, n) => n) : Uint32Array.from(numbers(told, buffer, bytes, part.indices));
    if (!indices.length || indices.some((n) => n >= positions.length / 3)) throw new Error("its triangles have no corners");
    const normals = part.attributes.NORMAL === undefined ? computed(positions, indices) : numbers(told, buffer, bytes, part.attributes.NORMAL);
    return { positions, normals, indices };
  }

  // The numbers of an accessor, packed.
  function numbers(told, buffer, bytes, index) {
    const accessor = told.accessors[index], view = told.bufferViews[accessor.bufferView];
    const kind = ARRAYS[accessor.componentType], width = SIZES[accessor.type];
    if (!kind || !width || !view || accessor.sparse) throw new Error("its numbers are of a kind that is not shown here");
    const step = view.byteStride || width * kind.BYTES_PER_ELEMENT, from = bytes + (view.byteOffset || 0) + (accessor.byteOffset || 0);
    const found = new kind(accessor.count * width);
    for (let n = 0; n < accessor.count; n++) found.set(new kind(buffer.slice(from + n * step, from + n * step + width * kind.BYTES_PER_ELEMENT)), n * width);
    return found;
  }

  // The mean direction of the triangles around each corner, larger ones counting more.
  function computed(positions, indices) {
    const found = new Float32Array(positions.length);
    for (let n = 0; n + 2 < indices.length; n += 3) {
      const [a, b, c] = [0, 1, 2].map((k) => indices[n + k] * 3);
      const u = [0, 1, 2].map((k) => positions[b + k] - positions[a + k]), v = [0, 1, 2].map((k) => positions[c + k] - positions[a + k]);
      const across = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
      for (const corner of [a, b, c]) for (let k = 0; k < 3; k++) found[corner + k] += across[k];
    }
    return found;
  }

  function bounds(positions) {
    const low = [Infinity, Infinity, Infinity], high = [-Infinity, -Infinity, -Infinity];
    for (let n = 0; n < positions.length; n++) {
      low[n % 3] = Math.min(low[n % 3], positions[n]);
      high[n % 3] = Math.max(high[n % 3], positions[n]);
    }
    const middle = low.map((value, k) => (value + high[k]) / 2);
    return { middle, radius: Math.hypot(...low.map((value, k) => high[k] - value)) / 2 || 1 };
  }

  function program(gl) {
    const made = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(made, shader);
    }
    gl.linkProgram(made);
    if (!gl.getProgramParameter(made, gl.LINK_STATUS)) throw new Error("this browser cannot draw it");
    gl.useProgram(made);
    return made;
  }

  function fill(gl, made, mesh) {
    for (const [name, values] of [["position", mesh.positions], ["normal", mesh.normals]]) {
      const place = gl.getAttribLocation(made, name);
      gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
      gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
      gl.enableVertexAttribArray(place);
      gl.vertexAttribPointer(place, 3, gl.FLOAT, false, 0, 0);
    }
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, mesh.indices, gl.STATIC_DRAW);
    gl.enable(gl.DEPTH_TEST);
  }

  // Draws whenever something has changed, and never else.
  function viewer(figure, canvas, mesh) {
    const gl = canvas.getContext("webgl2", { antialias: true, alpha: true });
    if (!gl) throw new Error("this browser has no WebGL 2");
    const made = program(gl), { middle, radius } = bounds(mesh.positions);
    fill(gl, made, mesh);
    const place = (name) => gl.getUniformLocation(made, name);
    const [turn, centre, lens, paint] = ["turn", "middle", "lens", "paint"].map(place);
    const look = { yaw: 0, pitch: 0, far: START };
    let waiting = 0;

    function draw() {
      waiting = 0;
      const scale = Math.min(window.devicePixelRatio || 1, 2), wide = Math.round(canvas.clientWidth * scale), high = Math.round(canvas.clientHeight * scale);
      if (!wide || !high || gl.isContextLost()) return;
      if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height] = [wide, high];
      gl.viewport(0, 0, wide, high);
      const [cy, sy, cp, sp] = [Math.cos(look.yaw), Math.sin(look.yaw), Math.cos(look.pitch), Math.sin(look.pitch)];
      gl.uniformMatrix3fv(turn, false, [cy, sp * sy, -cp * sy, 0, cp, sp, sy, -sp * cy, cp * cy]);
      gl.uniform3fv(centre, middle);
      gl.uniform4f(lens, 1 / radius, look.far, wide / high, SLOPE);
      gl.uniform3fv(paint, getComputedStyle(canvas).color.match(/[\d.]+/g).slice(0, 3).map((value) => value / 255));
      gl.clearColor(0, 0, 0, 0);
      gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
      gl.drawElements(gl.TRIANGLES, mesh.indices.length, gl.UNSIGNED_INT, 0);
      Object.assign(canvas.dataset, { yaw: look.yaw.toFixed(2), pitch: look.pitch.toFixed(2), far: look.far.toFixed(2) });
      canvas.dataset.drawn = String(Number(canvas.dataset.drawn || 0) + 1);
    }
    const soon = () => (waiting ||= requestAnimationFrame(draw));
    const moved = (yaw, pitch, zoom = 1) => {
      look.yaw += yaw;
      look.pitch = Math.max(-TILT, Math.min(TILT, look.pitch + pitch));
      look.far = Math.max(NEAR, Math.min(FAR, look.far * zoom));
      soon();
    };
    const anew = () => {
      Object.assign(look, { yaw: 0, pitch: 0, far: START });
      soon();
    };
    listen(canvas, moved, anew);
    new ResizeObserver(soon).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", soon);
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) swing(canvas, look, soon);
    soon();
    return gl;
  }

  // A short swing at first shows that it is no picture; whoever touches it ends it.
  function swing(canvas, look, soon) {
    const began = performance.now();
    let over = false;
    for (const kind of ["pointerdown", "keydown", "wheel"]) canvas.addEventListener(kind, () => (over = true), { once: true, passive: true });
    const step = (now) => {
      const share = (now - began) / 1600;
      if (over || !canvas.isConnected) return;
      look.yaw = share < 1 ? 0.6 * Math.sin(share * Math.PI * 2) * (1 - share) : 0;
      soon();
      if (share < 1) requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  function listen(canvas, moved, anew) {
    const held = new Map();
    const apart = () => {
      const [a, b] = held.values();
      return Math.hypot(a.x - b.x, a.y - b.y);
    };
    canvas.addEventListener("pointerdown", (event) => {
      held.set(event.pointerId, { x: event.clientX, y: event.clientY });
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      const before = held.get(event.pointerId);
      if (!before) return;
      const was = held.size === 2 ? apart() : 0;
      held.set(event.pointerId, { x: event.clientX, y: event.clientY });
      if (held.size === 2) moved(0, 0, was / Math.max(apart(), 1));
      else if (held.size === 1) moved((event.clientX - before.x) / 120, (event.clientY - before.y) / 120);
    });
    for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, (event) => held.delete(event.pointerId));
    canvas.addEventListener("wheel", (event) => {
      if (document.activeElement !== canvas) return; // a page that is scrolled past it is left alone
      event.preventDefault();
      moved(0, 0, Math.exp(event.deltaY / 600));
    }, { passive: false });
    const keys = { ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], ArrowUp: [0, -0.15], ArrowDown: [0, 0.15], "+": [0, 0, 0.88], "=": [0, 0, 0.88], "-": [0, 0, 1 / 0.88] };
    canvas.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys || event.key === "0")) return;
      event.preventDefault();
      if (event.key === "0") anew();
      else moved(...keys[event.key]);
    });
  }

  async function show(figure) {
    if (figure.dataset.shown) return;
    figure.dataset.shown = "wait";
    const canvas = figure.querySelector("canvas"), still = figure.querySelector("img"), said = figure.querySelector("[data-said]");
    const settle = (shown, words) => {
      canvas.hidden = !shown;
      if (still) still.hidden = shown;
      figure.dataset.shown = shown ? "mesh" : "still";
      said.textContent = words;
    };
    try {
      const answer = await fetch(figure.dataset.mesh, { credentials: "same-origin" });
      if (!answer.ok) throw new Error(answer.status === 404 ? "it is there no more" : `the server said ${answer.status}`);
      const mesh = read(await answer.arrayBuffer());
      settle(true, figure.dataset.how);
      const gl = viewer(figure, canvas, mesh);
      canvas.addEventListener("webglcontextlost", () => settle(false, "The browser took the view away: load the page again."));
      document.addEventListener("htmx:beforeCleanupElement", (event) => event.target.contains?.(figure) && gl.getExtension("WEBGL_lose_context")?.loseContext());
    } catch (error) {
      settle(false, `The mesh cannot be shown: ${error.message}.${still ? " This is a picture of it." : ""}`);
    }
  }

  const all = () => document.querySelectorAll("[data-mesh]").forEach(show);
  document.addEventListener("DOMContentLoaded", all);
  document.addEventListener("htmx:afterSettle", all);
})();
