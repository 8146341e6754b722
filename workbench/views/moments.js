// Two moments of a recording or of two, all cameras each, under the similarity matrix's crosshair. A click
// on the matrix and a frame of the playing video reach the pictures here in the browser; Python hears of it.
// A drag moves both: a player that shows both is told of every frame here in the browser, too.
const REST = 150        // ms without a change until sharp pictures are asked for
const NEWER = 300       // ms for which what a player says itself counts more than what comes by Python
const FAR = 5           // pixels from which on a press that moves is a drag
const SETTLED = 400     // ms after the last step until Python hears where both are

const make = (tag, cls, text = "") => {
  const node = document.createElement(tag)
  node.className = cls; node.textContent = text
  return node
}
/** Models of a name. Bokeh forgets a plot that is shown no more after half a minute; one that is shown again
 * by then has its name twice, which `get_model_by_name` does not stand. */
const named = name => Bokeh.documents.flatMap(d => [...d._all_models.values()].filter(m => m.name === name))
const nearest = (frames, k) => {
  let best = 0
  frames.forEach((f, j) => { if (Math.abs(f - k) < Math.abs(frames[best] - k)) { best = j } })
  return best
}

export function render({model, el}) {
  const blobs = new Map()
  const url = src => {
    if (typeof src === "string") { return src }
    if (!blobs.has(src)) { blobs.set(src, URL.createObjectURL(new Blob([src], {type: "image/jpeg"}))) }
    return blobs.get(src)
  }

  // ---- pictures

  /** The thumbnail of a camera that is nearest to a frame of the recording. */
  function put(node, camera, k) {
    const s = camera.sheet
    if (!s) { return }
    const j = nearest(s.frames, k + camera.offset), rows = Math.ceil(s.n / s.columns)
    const at = (i, n) => n > 1 ? 100 * i / (n - 1) : 0
    node.style.backgroundPosition = `${at(j % s.columns, s.columns)}% ${at(Math.floor(j / s.columns), rows)}%`
  }
  function thumbnail(camera) {
    const node = make("div", "picture"), s = camera.sheet
    node.setAttribute("role", "img")
    if (s) {
      node.style.aspectRatio = `${s.w} / ${s.h}`
      node.style.setProperty("--tall", s.w / s.h)
      node.style.backgroundImage = `url("${url(s.src)}")`
      node.style.backgroundSize = `${100 * s.columns}% ${100 * Math.ceil(s.n / s.columns)}%`
    }
    return node
  }
  class Moment {
    constructor(side, name, color) {
      this.side = side
      this.name = name
      this.el = make("section", "moment")
      const line = make("i", ""), title = this.title = make("b", "", name)
      line.style.background = color
      this.when = make("span", "when")
      const head = make("header", "")
      head.append(line, title, this.when)
      this.grid = make("div", "cameras")
      this.el.append(head, this.grid)
    }
    get cameras() { return this.side ? model.row_cameras : model.cameras }
    build() {
      const n = this.cameras.length, recording = model.names[this.side]
      this.frame = null
      this.title.textContent = recording ? `${this.name}: ${recording}` : this.name
      this.grid.style.setProperty("--n", n === 2 || n === 4 ? 2 : Math.min(3, n))
      this.pictures = this.cameras.map(camera => {
        const figure = make("figure", ""), picture = thumbnail(camera)
        figure.append(picture, make("figcaption", "", camera.name))
        this.grid.append(figure)
        return picture
      })
      this.grid.replaceChildren(...this.pictures.map(p => p.parentNode))
    }
    show(k) {
      if (k === this.frame) { return }
      this.frame = k
      this.el.dataset.frame = String(k)
      this.when.textContent = `frame ${k} · ${(k / model.fps[this.side]).toFixed(2)} s`
      if (model.running) { return }         // the player shows it
      this.pictures.forEach((picture, i) => {
        if (!this.cameras[i]) { return }      // others are on their way
        picture.replaceChildren()
        picture.setAttribute("aria-label", `${this.cameras[i].name}, frame ${k}`)
        put(picture, this.cameras[i], k)
      })
      rest()
    }
    sharpen(frame, sources) {
      if (frame !== this.frame) { return }
      sources.forEach((src, i) => {
        const img = make("img", "")
        img.alt = ""; img.src = src
        img.decode().then(() => { if (frame === this.frame) { this.pictures[i].replaceChildren(img) } }, () => {})
      })
    }
  }
  const column = new Moment(0, "Cursor (column)", model.colors[0])
  const row = new Moment(1, "Row", model.colors[1])
  const both = make("button", "both", "Play both"), how = make("span", "when")
  both.type = "button"
  both.title = "Play both moments in step (Space over the matrix)"
  both.addEventListener("click", () => play())
  const bar = make("div", "bar")
  bar.append(both, how)
  el.append(bar, column.el, row.el)

  let resting = null
  function rest() {
    clearTimeout(resting)
    const cameras = [...model.cameras, ...model.row_cameras]
    const blunt = cameras.some(c => !c.exact)
    const empty = cameras.some(c => !c.sheet)
    if (blunt) { resting = setTimeout(() => model.send_msg({sharp: [column.frame, row.frame]}), empty ? 0 : REST) }
  }

  // ---- the lines in the plot

  function line(name, frames, k) {
    const location = Math.max(frames[0], Math.min(frames[frames.length - 1], k))
    for (const span of named(`${model.channel}-${name}`)) { span.setv({location}, {sync: false}) }
  }
  function showColumn(k) { column.show(k); line("column", model.columns, k) }
  function showRow(k) { row.show(k); line("row", model.rows, k) }

  // ---- what the plot tells: clicks, and where the pointer is

  const tip = make("div", "")
  tip.setAttribute("role", "tooltip")
  tip.style.cssText = `position:fixed;z-index:2000;pointer-events:none;display:none;gap:8px;padding:8px;
    border-radius:8px;background:#1b2228;color:#eef2f4;font:12px/1.4 system-ui,sans-serif;
    box-shadow:0 2px 10px #0006`
  document.body.append(tip)
  const pointer = {x: 0, y: 0}
  const follow = e => { pointer.x = e.clientX; pointer.y = e.clientY }
  addEventListener("pointermove", follow, {capture: true, passive: true})

  function hover(i, j, value) {
    const [low, high] = model.scale
    const cosine = (low + (high - low) * value / 255).toFixed(2)
    const bound = value === 0 ? "≤ " : value === 255 ? "≥ " : ""
    const side = (cameras, k, name, color) => {
      const box = make("div", ""), camera = cameras.find(c => c.name === name)
      const picture = thumbnail(camera), word = make("div", "", `${name} · frame ${k}`)
      picture.style.cssText += `;width:${camera.sheet?.w ?? 96}px;border-radius:4px;border-top:3px solid ${color}`
      put(picture, camera, k)
      box.append(picture, word)
      return box
    }
    tip.replaceChildren(
      side(model.cameras, model.columns[j], model.pair[1], model.colors[0]),
      side(model.row_cameras, model.rows[i], model.pair[0], model.colors[1]),
      make("b", "", `cosine ${bound}${cosine}`))
    tip.dataset.cell = `${model.rows[i]},${model.columns[j]}`
    tip.style.display = "flex"
    const {offsetWidth: w, offsetHeight: h} = tip
    tip.style.left = `${pointer.x + 18 + w > innerWidth ? pointer.x - 18 - w : pointer.x + 18}px`
    tip.style.top = `${Math.max(4, Math.min(innerHeight - h - 4, pointer.y - h / 2))}px`
  }
  const hide = () => { tip.style.display = "none" }
  function heard({detail: {kind, x, y, value, moves}}) {
    const inside = value !== null && model.cameras.length > 0
    over = kind !== "leave" && inside
    if (kind !== "leave") { at = {x, y} }
    if (moves) { press = null }
    if (from || (press && far(press, pointer))) {
      hide()
      if (!from) { begin(press) }
      return kind === "leave" ? null : drag(x, y)
    }
    if (kind.startsWith("pan")) { return kind === "panstart" && inside && !moves ? begin({x, y}) : null }
    if (kind === "leave" || !inside) { return hide() }
    const i = nearest(model.rows, y), j = nearest(model.columns, x)
    if (kind === "mousemove") { return press ? null : hover(i, j, value) }
    hide()
    rest_both()
    showRow(model.rows[i]); showColumn(model.columns[j])
    model.row = model.rows[i]
    model.column = model.columns[j]
  }
  addEventListener(`plot-${model.channel}`, heard)

  // ---- both in step

  let over = false      // whether the pointer is on the matrix
  let at = {x: 0, y: 0} // where on the matrix it was seen last
  let press = null      // where a button went down on the matrix
  let from = null       // where a drag began: the pointer's x and y, the column there
  let gap = 0           // how many frames the row is ahead of the column
  let moved = -Infinity, said = null, committing = null
  const clamp = (k, low, high) => Math.max(low, Math.min(high, k))
  const bent = () => model.path.length > 0

  /** The pair that is nearest to a column, on the diagonal on which both are or on the path. */
  function pair(k) {
    const [n, m] = model.lengths
    if (bent()) { k = clamp(k, 0, Math.min(n, model.path.length) - 1); return [k, model.path[k]] }
    k = clamp(k, Math.max(0, -gap), Math.min(n, m - gap) - 1)
    return [k, k + gap]
  }
  function step([k, m]) {
    moved = performance.now()
    showColumn(k); showRow(m)
    clearTimeout(committing)
    if (!from) { committing = setTimeout(commit, SETTLED) }
  }
  function commit() {
    said = column.frame
    model.row = row.frame
    model.column = column.frame
  }
  function lead(detail) {
    const apart = bent() ? 0 : gap
    const shift = [...model.cameras.map(c => c.offset), ...model.row_cameras.map(c => c.offset + apart)]
    dispatchEvent(new CustomEvent(`lead-${model.player}`, {detail: {...detail, shift}}))
  }
  function run() {
    if (model.running) { return }
    model.running = true
    tell()
  }
  /** The pictures stand still again. */
  function rest_both() {
    if (model.running) { model.running = false }
    settle()
  }
  function settle() {
    if (model.running || !el.classList.contains("running")) { return }
    from = press = null
    clearTimeout(committing)
    lead({pause: true})
    tell()
    const k = column.frame, m = row.frame
    column.frame = row.frame = null
    column.show(k); row.show(m)
  }
  function tell() {
    el.classList.toggle("running", model.running)
    const {fps} = model, frames = Math.abs(gap), seconds = (frames / fps[0]).toFixed(2)
    how.textContent = bent() ? "in step along the path"
      : `in step: the row is ${frames} frames (${seconds} s) ${gap < 0 ? "behind" : "ahead"}`
        + (fps[0] === fps[1] ? "" : `; ${fps[0]} and ${fps[1]} frames a second go frame by frame`)
    how.hidden = !model.running
  }
  // Bokeh takes a press that rests a moment for no drag: so the button is watched here. A finger's
  // drag comes as `panstart`, `pan`, and ends as the button does.
  const far = (a, b) => Math.hypot(a.left - b.x, a.top - b.y) > FAR
  const down = e => {
    if (over && e.button === 0 && e.pointerType !== "touch") { press = {...at, left: e.clientX, top: e.clientY} }
  }
  const up = () => {
    press = null
    if (from) { drag(at.x, at.y, true) }
  }
  function begin({x, y}) {
    const within = (frames, k) => clamp(Math.round(k), frames[0], frames[frames.length - 1])
    const k = within(model.columns, x)
    from = {x, y, k}
    gap = within(model.rows, y) - k
    run()
    tell()
  }
  function drag(x, y, ends = false) {
    const [k, m] = pair(from.k + Math.round(bent() ? x - from.x : (x - from.x + y - from.y) / 2))
    if (ends) { from = null }
    step([k, m])
    lead({frame: k, held: !ends})
  }
  addEventListener("pointerdown", down, {capture: true})
  for (const end of ["pointerup", "pointercancel"]) { addEventListener(end, up, {capture: true}) }
  function play() {
    if (!model.cameras.length) { return }
    if (model.running) { return lead({toggle: true}) }
    gap = row.frame - column.frame
    run()
    const [k, m] = pair(column.frame)
    step([k, m])
    lead({frame: k, toggle: true})
  }
  /** The player that shows both tells its frame. */
  function stepped({detail}) {
    if (!model.running || from) { return }
    const [k, m] = pair(detail)
    step([k, m])
    if (k !== detail) { lead({pause: true}); lead({frame: k}) }       // one of the two is over
  }
  addEventListener(`cursor-${model.player}`, stepped)
  function pressed(e) {
    const writes = ["INPUT", "TEXTAREA", "SELECT", "BUTTON"].includes(e.composedPath()[0].tagName)
    if (e.key !== " " || !over || writes || e.defaultPrevented || e.ctrlKey || e.metaKey || e.altKey) { return }
    e.preventDefault()
    play()
  }
  document.addEventListener("keydown", pressed)

  // ---- what a player of the same cursor tells, and Python

  let told = -Infinity
  /** Somebody else moved the column: that is not in step, unless it is what was said here before. */
  function elsewhere(k) {
    if (k === column.frame || !model.cameras.length) { return }
    if (model.running && (from || k === said || performance.now() - moved < NEWER)) { return }
    rest_both()
    showColumn(k)
  }
  const played = ({detail}) => { told = performance.now(); elsewhere(detail) }
  addEventListener(`cursor-${model.clock}`, played)
  model.on("column", () => { if (performance.now() - told > NEWER) { elsewhere(model.column) } })
  model.on("path", tell)
  model.on("row", () => { if (!model.running) { showRow(model.row) } })
  model.on("running", settle)
  model.on("msg:custom", sharp => {
    column.sharpen(sharp.column, sharp.pictures[0]); row.sharpen(sharp.row, sharp.pictures[1])
  })
  let soon = null
  function fill() {
    soon = null
    hide()
    settle()
    column.build(); row.build()
    if (model.cameras.length) { showRow(model.row); showColumn(model.column) }
  }
  // one message may carry several changes, in any order: see them all before drawing
  model.on("version", () => { soon ??= setTimeout(fill, 0) })
  model.on("remove", () => {
    clearTimeout(resting); clearTimeout(soon); clearTimeout(committing)
    document.removeEventListener("keydown", pressed)
    removeEventListener("pointerdown", down, {capture: true})
    for (const end of ["pointerup", "pointercancel"]) { removeEventListener(end, up, {capture: true}) }
    removeEventListener(`cursor-${model.player}`, stepped)
    tip.remove()
    removeEventListener("pointermove", follow, {capture: true})
    removeEventListener(`plot-${model.channel}`, heard)
    removeEventListener(`cursor-${model.clock}`, played)
    blobs.forEach(u => URL.revokeObjectURL(u))
  })
  fill()
}
