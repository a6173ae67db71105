// The orbitable view of a report page. Plain WebGL 1, no library, no network: everything it shows is in the page.
//
// One hidden WebGL canvas draws for every view of the page (browsers allow only a few contexts); the picture is
// copied into the visible 2D canvases. A view is drawn when it changes, never in a loop.
"use strict";

(() => {
  const DATA = JSON.parse(document.getElementById("scenes").textContent);
  const ARRAYS = { f4: Float32Array, u4: Uint32Array, u2: Uint16Array, u1: Uint8Array, i1: Int8Array };

  // ---- data ------------------------------------------------------------------------------------------------

  function decode(key) {
    const [type, text] = DATA.buffers[key];
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    return new ARRAYS[type](bytes.buffer);
  }

  // ---- small linear algebra: column-major 4x4 matrices ------------------------------------------------------

  const sub = (a, b) => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
  const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
  const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
  const unit = (a) => { const n = Math.hypot(...a) || 1; return [a[0] / n, a[1] / n, a[2] / n]; };

  function perspective(fov, aspect, near, far) {
    const f = 1 / Math.tan(fov / 2), d = 1 / (near - far);
    return [f / aspect, 0, 0, 0, 0, f, 0, 0, 0, 0, (far + near) * d, -1, 0, 0, 2 * far * near * d, 0];
  }

  function multiply(a, b) {
    const out = new Array(16).fill(0);
    for (let c = 0; c < 4; c++) for (let r = 0; r < 4; r++) for (let k = 0; k < 4; k++)
      out[4 * c + r] += a[4 * k + r] * b[4 * c + k];
    return out;
  }

  // ---- WebGL -----------------------------------------------------------------------------------------------

  const VERTEX = `
    attribute vec3 position; attribute vec3 normal; attribute vec3 color;
    uniform mat4 view_projection;
    varying vec3 n; varying vec3 c; varying vec3 p;
    void main() { n = normal; c = color; p = position; gl_Position = view_projection * vec4(position, 1.0); }`;
  // Key light over the viewer's left shoulder, a weak fill, a rim from behind, light from the sky and the floor.
  const FRAGMENT = `
    precision highp float;
    varying vec3 n; varying vec3 c; varying vec3 p;
    uniform vec3 eye, key, rim; uniform float alpha;
    void main() {
      vec3 v = normalize(eye - p), m = normalize(n);
      if (!gl_FrontFacing) m = -m;
      vec3 base = pow(c, vec3(2.2));
      vec3 sky = mix(vec3(.17, .16, .15), vec3(.40, .42, .45), .5 + .5 * m.y);
      float k = max(dot(m, key), 0.), fill = max(dot(m, v), 0.), r = max(dot(m, rim), 0.);
      float shine = pow(max(dot(m, normalize(key + v)), 0.), 32.) * .05;
      vec3 light = base * (sky + vec3(.62, .60, .57) * k + .13 * fill + .16 * r) + shine;
      gl_FragColor = vec4(pow(light, vec3(1. / 2.2)), alpha);
    }`;
  const FLOOR_VERTEX = `
    attribute vec3 position; uniform mat4 view_projection; varying vec3 p;
    void main() { p = position; gl_Position = view_projection * vec4(position, 1.0); }`;
  const FLOOR_FRAGMENT = `
    #extension GL_OES_standard_derivatives : enable
    precision highp float;
    varying vec3 p; uniform vec3 center; uniform float radius;
    void main() {
      vec2 cell = abs(fract(p.xz * 4. - .5) - .5) / (fwidth(p.xz) * 4.);
      float line = 1. - min(min(cell.x, cell.y), 1.);
      float fade = 1. - smoothstep(.45, 1., length(p.xz - center.xz) / radius);
      gl_FragColor = vec4(vec3(.40, .43, .48), fade * (.06 + .30 * line));
    }`;

  const screen = document.createElement("canvas");
  const gl = screen.getContext("webgl", { antialias: true, preserveDrawingBuffer: true, alpha: false });

  function program(vertex, fragment) {
    const id = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text.trim());
      gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
      gl.attachShader(id, shader);
    }
    gl.linkProgram(id);
    if (!gl.getProgramParameter(id, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(id));
    const at = (name) => gl.getAttribLocation(id, name), uniform = (name) => gl.getUniformLocation(id, name);
    return { id, at, uniform };
  }

  let shaded = null, floor = null;
  if (gl) {
    gl.getExtension("OES_element_index_uint");
    gl.getExtension("OES_standard_derivatives");
    shaded = program(VERTEX, FRAGMENT);
    floor = program(FLOOR_VERTEX, FLOOR_FRAGMENT);
  }

  function upload(array, target) {
    const id = gl.createBuffer();
    gl.bindBuffer(target, id);
    gl.bufferData(target, array, gl.STATIC_DRAW);
    return id;
  }

  const uploaded = new Map();  // buffers shared by the states of a case exist once on the device too
  function buffer(key, target) {
    if (!uploaded.has(key)) {
      const array = decode(key);
      uploaded.set(key, { id: upload(array, target), count: array.length, wide: array instanceof Uint32Array });
    }
    return uploaded.get(key);
  }

  function bind(shader, name, id, type, normalized, size = 3, stride = 0) {
    const location = shader.at(name);
    gl.bindBuffer(gl.ARRAY_BUFFER, id);
    gl.enableVertexAttribArray(location);
    gl.vertexAttribPointer(location, size, type, normalized, stride, 0);
  }

  // ---- meshes that move ------------------------------------------------------------------------------------

  // Positions and normals of a moving mesh at a time between two frames, as arrays for the device.
  function moved(mesh, frame, share) {
    const still = mesh.base || (mesh.base = {
      vertices: decode(mesh.vertices), normals: decode(mesh.normals), faces: decode(mesh.faces),
      frames: decode(mesh.rigid || mesh.points), source: mesh.source && decode(mesh.source),
    });
    const count = still.vertices.length / 3, points = new Float32Array(3 * count), normals = new Int8Array(4 * count);
    if (mesh.rigid) {
      const m = new Float32Array(12);
      for (let k = 0; k < 12; k++)
        m[k] = (1 - share) * still.frames[12 * frame + k] + share * still.frames[12 * (frame + (share > 0)) + k];
      const size = Math.hypot(m[0], m[4], m[8]) || 1;
      for (let i = 0; i < count; i++) {
        const [x, y, z] = still.vertices.subarray(3 * i, 3 * i + 3);
        const [a, b, c] = still.normals.subarray(4 * i, 4 * i + 3);
        for (let r = 0; r < 3; r++) {
          points[3 * i + r] = m[4 * r] * x + m[4 * r + 1] * y + m[4 * r + 2] * z + m[4 * r + 3];
          normals[4 * i + r] = (m[4 * r] * a + m[4 * r + 1] * b + m[4 * r + 2] * c) / size;
        }
      }
      return { points, normals };
    }
    const first = 3 * mesh.own * frame, next = first + (share > 0 ? 3 * mesh.own : 0);
    for (let i = 0; i < count; i++)
      for (let r = 0; r < 3; r++) {
        const at = 3 * still.source[i] + r;
        points[3 * i + r] = mesh.low[r] + mesh.step[r] *
          ((1 - share) * still.frames[first + at] + share * still.frames[next + at]);
      }
    const sums = new Float32Array(3 * count), faces = still.faces, p = points;
    for (let f = 0; f < faces.length; f += 3) {
      const a = 3 * faces[f], b = 3 * faces[f + 1], c = 3 * faces[f + 2];
      const n = cross([p[b] - p[a], p[b + 1] - p[a + 1], p[b + 2] - p[a + 2]],
        [p[c] - p[a], p[c + 1] - p[a + 1], p[c + 2] - p[a + 2]]);
      for (const v of [a, b, c]) for (let r = 0; r < 3; r++) sums[v + r] += n[r];
    }
    for (let i = 0; i < count; i++) {
      const n = unit(sums.subarray(3 * i, 3 * i + 3));
      for (let r = 0; r < 3; r++) normals[4 * i + r] = 127 * n[r];
    }
    return { points, normals };
  }

  function refresh(mesh, frame, share) {
    if (mesh.shown === frame + share) return;
    const { points, normals } = moved(mesh, frame, share);
    mesh.device = mesh.device || { points: gl.createBuffer(), normals: gl.createBuffer() };
    gl.bindBuffer(gl.ARRAY_BUFFER, mesh.device.points);
    gl.bufferData(gl.ARRAY_BUFFER, points, gl.DYNAMIC_DRAW);
    gl.bindBuffer(gl.ARRAY_BUFFER, mesh.device.normals);
    gl.bufferData(gl.ARRAY_BUFFER, normals, gl.DYNAMIC_DRAW);
    mesh.shown = frame + share;
  }

  // ---- one view --------------------------------------------------------------------------------------------

  class View {
    constructor(root, scene) {
      this.scene = scene;
      this.canvas = root.querySelector("canvas");
      this.context = this.canvas.getContext("2d");
      this.hidden = new Set();
      this.state = scene.states.length > 1 ? "both" : scene.states[0].name;
      this.fov = 0.6;
      this.time = 0;
      this.playing = false;
      this.reset();
      this.controls(root.querySelector(".controls"));
      this.listen();
      new ResizeObserver(() => this.request()).observe(this.canvas);
    }

    reset() {
      const { lower, upper } = this.scene;
      this.target = [0, 1, 2].map((i) => (lower[i] + upper[i]) / 2);
      this.radius = Math.max(Math.hypot(...sub(upper, lower)) / 2, 1e-3);
      this.distance = 0.86 * this.radius / Math.sin(this.fov / 2);
      this.azimuth = 0.5;
      this.elevation = 0.22;
    }

    controls(root) {
      const states = this.scene.states.map((s) => s.name);
      const choose = (label, value) => {
        const button = document.createElement("button");
        button.textContent = label;
        button.setAttribute("aria-pressed", String(value === this.state));
        button.onclick = () => {
          this.state = value;
          for (const other of root.querySelectorAll("button[aria-pressed]"))
            other.setAttribute("aria-pressed", String(other === button));
          this.request();
        };
        root.append(button);
      };
      if (states.length > 1) {
        for (const name of states) choose(name, name);
        choose("side by side", "both");
      }
      if (this.scene.times) this.player(root);
      const names = [...new Set(this.scene.states.flatMap((s) => s.meshes.map((m) => m.name)))];
      for (const name of names) {
        const label = document.createElement("label"), box = document.createElement("input");
        box.type = "checkbox";
        box.checked = true;
        box.onchange = () => {
          if (box.checked) this.hidden.delete(name); else this.hidden.add(name);
          this.request();
        };
        label.append(box, " " + name);
        root.append(label);
      }
      const home = document.createElement("button");
      home.textContent = "reset";
      home.onclick = () => { this.reset(); this.request(); };
      root.append(home);
    }

    player(root) {
      const last = this.scene.times[this.scene.times.length - 1];
      const button = document.createElement("button"), slider = document.createElement("input");
      const label = document.createElement("label"), told = document.createElement("span");
      button.textContent = "play";
      Object.assign(slider, { type: "range", min: 0, max: last, step: "any", value: 0 });
      slider.setAttribute("aria-label", "time in seconds");
      const tell = () => {
        slider.value = this.time;
        told.textContent = `${this.time.toFixed(2)} s`;
        this.request();
      };
      const tick = (now) => {
        if (!this.playing) return;
        this.time = (this.time + (now - this.clock) / 1000) % (last || 1);
        this.clock = now;
        tell();
        requestAnimationFrame(tick);
      };
      button.onclick = () => {
        this.playing = !this.playing;
        button.textContent = this.playing ? "pause" : "play";
        this.clock = performance.now();
        if (this.playing) requestAnimationFrame(tick);
      };
      slider.oninput = () => { this.time = Number(slider.value); tell(); };
      label.append(slider, " ", told);
      root.append(button, label);
      tell();
    }

    // The frame before the time that is shown, and how far it is on the way to the next.
    between() {
      const times = this.scene.times;
      let frame = 0;
      while (frame + 2 < times.length && times[frame + 1] <= this.time) frame++;
      if (times.length < 2) return [0, 0];
      const share = (this.time - times[frame]) / (times[frame + 1] - times[frame]);
      return [frame, Math.max(0, Math.min(1, share))];
    }

    listen() {
      const fingers = new Map();
      let spread = 0;
      const end = (e) => { fingers.delete(e.pointerId); spread = 0; };
      this.canvas.addEventListener("pointerdown", (e) => {
        this.canvas.setPointerCapture(e.pointerId);
        fingers.set(e.pointerId, [e.clientX, e.clientY]);
      });
      this.canvas.addEventListener("pointerup", end);
      this.canvas.addEventListener("pointercancel", end);
      this.canvas.addEventListener("pointermove", (e) => {
        const last = fingers.get(e.pointerId);
        if (!last) return;
        const dx = e.clientX - last[0], dy = e.clientY - last[1];
        fingers.set(e.pointerId, [e.clientX, e.clientY]);
        if (fingers.size === 2) {
          const [a, b] = [...fingers.values()], now = Math.hypot(a[0] - b[0], a[1] - b[1]);
          if (spread) this.zoom(spread / now);
          spread = now;
          this.pan(dx / 2, dy / 2);
        } else if (e.buttons === 2 || e.buttons === 4 || e.shiftKey) {
          this.pan(dx, dy);
        } else {
          this.azimuth -= dx * 0.008;
          this.elevation = Math.max(-1.55, Math.min(1.55, this.elevation + dy * 0.008));
        }
        this.request();
      });
      this.canvas.addEventListener("wheel", (e) => {
        e.preventDefault();
        this.zoom(Math.exp(Math.max(-60, Math.min(60, e.deltaY)) * 0.003));
        this.request();
      }, { passive: false });
      this.canvas.addEventListener("dblclick", () => { this.reset(); this.request(); });
      this.canvas.addEventListener("contextmenu", (e) => e.preventDefault());
      this.canvas.addEventListener("keydown", (e) => {
        const turn = { ArrowLeft: [0.15, 0], ArrowRight: [-0.15, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] }[e.key];
        if (turn) {
          this.azimuth += turn[0];
          this.elevation = Math.max(-1.55, Math.min(1.55, this.elevation + turn[1]));
        } else if (e.key === "+") this.zoom(0.9);
        else if (e.key === "-") this.zoom(1 / 0.9);
        else return;
        e.preventDefault();
        this.request();
      });
    }

    zoom(factor) {
      this.distance = Math.max(this.radius * 0.05, Math.min(this.radius * 40, this.distance * factor));
    }

    pan(dx, dy) {
      const { right, up } = this.axes(), step = (2 * this.distance * Math.tan(this.fov / 2)) / this.canvas.clientHeight;
      this.target = this.target.map((t, i) => t - right[i] * dx * step + up[i] * dy * step);
    }

    axes() {
      const ce = Math.cos(this.elevation);
      const back = [ce * Math.sin(this.azimuth), Math.sin(this.elevation), ce * Math.cos(this.azimuth)];
      const right = [Math.cos(this.azimuth), 0, -Math.sin(this.azimuth)];
      return { right, up: cross(back, right), back };
    }

    request() {
      if (this.pending) return;
      this.pending = true;
      requestAnimationFrame(() => { this.pending = false; this.draw(); });
    }

    draw() {
      const scale = Math.min(window.devicePixelRatio || 1, 2);
      const width = Math.max(1, Math.round(this.canvas.clientWidth * scale));
      const height = Math.max(1, Math.round(this.canvas.clientHeight * scale));
      if (this.canvas.width !== width || this.canvas.height !== height) {
        this.canvas.width = width;
        this.canvas.height = height;
      }
      if (screen.width !== width || screen.height !== height) { screen.width = width; screen.height = height; }
      const states = this.scene.states.filter((s) => this.state === "both" || s.name === this.state);
      gl.enable(gl.DEPTH_TEST);
      gl.enable(gl.SCISSOR_TEST);
      let triangles = 0;
      states.forEach((state, i) => {
        const x = Math.round((i * width) / states.length), w = Math.round(((i + 1) * width) / states.length) - x;
        gl.viewport(x, 0, w, height);
        gl.scissor(x, 0, w, height);
        triangles += this.drawState(state, w / height);
      });
      this.context.drawImage(screen, 0, 0);
      if (states.length > 1) {
        this.context.font = `${Math.round(13 * scale)}px system-ui, sans-serif`;
        this.context.fillStyle = "#444b55";
        states.forEach((s, i) => this.context.fillText(s.name, (i * width) / states.length + 10 * scale, 20 * scale));
      }
      this.canvas.dataset.triangles = triangles;
    }

    drawState(state, aspect) {
      const { right, up, back } = this.axes();
      // A narrow viewport steps back, so that its width shows what its height would.
      const distance = this.distance * Math.max(1, 1 / aspect);
      const eye = this.target.map((t, i) => t + back[i] * distance);
      const view = [
        right[0], up[0], back[0], 0, right[1], up[1], back[1], 0, right[2], up[2], back[2], 0,
        -dot(right, eye), -dot(up, eye), -dot(back, eye), 1];
      const near = Math.max(distance - 6 * this.radius, distance * 0.02), far = distance + 8 * this.radius;
      const matrix = new Float32Array(multiply(perspective(this.fov, aspect, near, far), view));
      const mix = (a, b, c) => unit([0, 1, 2].map((i) => a * right[i] + b * up[i] + c * back[i]));

      gl.clearColor(0.945, 0.949, 0.957, 1);
      gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
      gl.useProgram(shaded.id);
      gl.uniformMatrix4fv(shaded.uniform("view_projection"), false, matrix);
      gl.uniform3fv(shaded.uniform("eye"), eye);
      gl.uniform3fv(shaded.uniform("key"), mix(-0.55, 0.75, 0.65));
      gl.uniform3fv(shaded.uniform("rim"), mix(0.6, 0.4, -0.7));
      gl.uniform1f(shaded.uniform("alpha"), 1);
      let triangles = 0;
      for (const mesh of state.meshes) {
        if (this.hidden.has(mesh.name) || !mesh.count) continue;
        const moves = mesh.rigid || mesh.points;
        if (moves) refresh(mesh, ...this.between());
        const own = moves ? mesh.device : { points: buffer(mesh.vertices, gl.ARRAY_BUFFER).id,
          normals: buffer(mesh.normals, gl.ARRAY_BUFFER).id };
        bind(shaded, "position", own.points, gl.FLOAT, false);
        bind(shaded, "normal", own.normals, gl.BYTE, true, 3, 4);
        bind(shaded, "color", buffer(mesh.colors, gl.ARRAY_BUFFER).id, gl.UNSIGNED_BYTE, true, 3, 4);
        const faces = buffer(mesh.faces, gl.ELEMENT_ARRAY_BUFFER);
        gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, faces.id);
        gl.drawElements(gl.TRIANGLES, faces.count, faces.wide ? gl.UNSIGNED_INT : gl.UNSIGNED_SHORT, 0);
        triangles += faces.count / 3;
      }
      this.drawFloor(matrix);
      return triangles;
    }

    drawFloor(matrix) {
      const { lower, upper, floor: y } = this.scene, r = 3 * this.radius;
      const center = [(lower[0] + upper[0]) / 2, y, (lower[2] + upper[2]) / 2];
      if (!this.floor) {
        const [x, , z] = center;
        const quad = [x - r, y, z - r, x + r, y, z - r, x - r, y, z + r, x + r, y, z + r];
        this.floor = upload(new Float32Array(quad), gl.ARRAY_BUFFER);
      }
      for (const name of ["normal", "color"]) gl.disableVertexAttribArray(shaded.at(name));
      gl.useProgram(floor.id);
      gl.uniformMatrix4fv(floor.uniform("view_projection"), false, matrix);
      gl.uniform3fv(floor.uniform("center"), center);
      gl.uniform1f(floor.uniform("radius"), r);
      bind(floor, "position", this.floor, gl.FLOAT, false);
      gl.enable(gl.BLEND);
      gl.blendFunc(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA);
      gl.depthMask(false);
      gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
      gl.depthMask(true);
      gl.disable(gl.BLEND);
    }
  }

  // ---- start: each view is made when it first comes near the screen -----------------------------------------

  const roots = document.querySelectorAll(".viewer");
  if (!gl) {
    for (const root of roots) root.classList.add("unavailable");
    return;
  }
  const observer = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      observer.unobserve(entry.target);
      new View(entry.target, DATA.scenes[Number(entry.target.dataset.scene)]).draw();
    }
  }, { rootMargin: "300px" });
  for (const root of roots) observer.observe(root);
})();
