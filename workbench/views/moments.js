// Two moments of a recording, all cameras each, under the similarity matrix's crosshair. A click on the
// matrix and a frame of the playing video reach the pictures here in the browser; Python hears of it.
const REST = 150        // ms without a change until sharp pictures are asked for
const NEWER = 300       // ms for which what a player says itself counts more than what comes by Python

const make = (tag, cls, text = "") => {
  const node = document.createElement(tag)
  node.className = cls; node.textContent = text
  return node
}
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
    constructor(name, color) {
      this.name = name
      this.el = make("section", "moment")
      const line = make("i", ""), title = make("b", "", name)
      line.style.background = color
      this.when = make("span", "when")
      const head = make("header", "")
      head.append(line, title, this.when)
      this.grid = make("div", "cameras")
      this.el.append(head, this.grid)
    }
    build() {
      const n = model.cameras.length
      this.frame = null
      this.grid.style.setProperty("--n", n === 2 || n === 4 ? 2 : Math.min(3, n))
      this.pictures = model.cameras.map(camera => {
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
      this.when.textContent = `frame ${k} · ${(k / model.fps).toFixed(2)} s`
      this.pictures.forEach((picture, i) => {
        picture.replaceChildren()
        picture.setAttribute("aria-label", `${model.cameras[i].name}, frame ${k}`)
        put(picture, model.cameras[i], k)
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
  const column = new Moment("Cursor (column)", model.colors[0])
  const row = new Moment("Row", model.colors[1])
  el.append(column.el, row.el)

  let resting = null
  function rest() {
    clearTimeout(resting)
    const blunt = model.cameras.some(c => !c.exact)
    const empty = model.cameras.some(c => !c.sheet)
    if (blunt) { resting = setTimeout(() => model.send_msg({sharp: [column.frame, row.frame]}), empty ? 0 : REST) }
  }

  // ---- the lines in the plot

  function line(name, frames, k) {
    const location = Math.max(frames[0], Math.min(frames[frames.length - 1], k))
    for (const doc of Bokeh.documents) {
      doc.get_model_by_name(`${model.channel}-${name}`)?.setv({location}, {sync: false})
    }
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
    const side = (k, name, color) => {
      const box = make("div", ""), camera = model.cameras.find(c => c.name === name)
      const picture = thumbnail(camera), word = make("div", "", `${name} · frame ${k}`)
      picture.style.cssText += `;width:${camera.sheet?.w ?? 96}px;border-radius:4px;border-top:3px solid ${color}`
      put(picture, camera, k)
      box.append(picture, word)
      return box
    }
    tip.replaceChildren(
      side(model.columns[j], model.pair[1], model.colors[0]), side(model.rows[i], model.pair[0], model.colors[1]),
      make("b", "", `cosine ${bound}${cosine}`))
    tip.dataset.cell = `${model.rows[i]},${model.columns[j]}`
    tip.style.display = "flex"
    const {offsetWidth: w, offsetHeight: h} = tip
    tip.style.left = `${pointer.x + 18 + w > innerWidth ? pointer.x - 18 - w : pointer.x + 18}px`
    tip.style.top = `${Math.max(4, Math.min(innerHeight - h - 4, pointer.y - h / 2))}px`
  }
  const hide = () => { tip.style.display = "none" }
  function heard({detail: {kind, x, y, value}}) {
    const inside = value !== null && model.cameras.length > 0
    if (kind === "leave" || !inside) { return hide() }
    const i = nearest(model.rows, y), j = nearest(model.columns, x)
    if (kind === "mousemove") { return hover(i, j, value) }
    hide()
    showRow(model.rows[i]); showColumn(model.columns[j])
    model.row = model.rows[i]
    model.column = model.columns[j]
  }
  addEventListener(`plot-${model.channel}`, heard)

  // ---- what a player of the same cursor tells, and Python

  let told = -Infinity
  const played = ({detail}) => { told = performance.now(); if (model.cameras.length) { showColumn(detail) } }
  addEventListener(`cursor-${model.clock}`, played)
  model.on("column", () => { if (performance.now() - told > NEWER) { showColumn(model.column) } })
  model.on("row", () => showRow(model.row))
  model.on("msg:custom", sharp => {
    column.sharpen(sharp.column, sharp.pictures[0]); row.sharpen(sharp.row, sharp.pictures[1])
  })
  let soon = null
  function fill() {
    soon = null
    hide()
    column.build(); row.build()
    if (model.cameras.length) { showRow(model.row); showColumn(model.column) }
  }
  // one message may carry several changes, in any order: see them all before drawing
  model.on("cameras", () => { soon ??= setTimeout(fill, 0) })
  model.on("remove", () => {
    clearTimeout(resting); clearTimeout(soon)
    tip.remove()
    removeEventListener("pointermove", follow, {capture: true})
    removeEventListener(`plot-${model.channel}`, heard)
    removeEventListener(`cursor-${model.clock}`, played)
    blobs.forEach(u => URL.revokeObjectURL(u))
  })
  fill()
}
