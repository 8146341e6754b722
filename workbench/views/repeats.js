// The number of the present repetition, and a picture of every repetition at its phase. A frame of the
// playing video reaches them here in the browser; Python is asked for the pictures of each phase once.
const NEWER = 300       // ms for which what a player says itself counts more than what comes by Python
const REST = 90         // ms between two changes of all pictures
const PAUSE = 40        // ms between asking for phases that are not needed yet
const LATE = 4000       // ms after which an answer is no longer waited for
const FAR = 3           // times the usual distance that are the strangest colour

const make = (tag, cls, text = "") => {
  const node = document.createElement(tag)
  node.className = cls; node.textContent = text
  return node
}
const circle = (a, b) => { const d = Math.abs(a - b) % 1; return Math.min(d, 1 - d) }

/** Models of a name. Bokeh forgets a plot that is shown no more after half a minute; one that is shown again
 * by then has its name twice, which `get_model_by_name` does not stand. */
const named = name => Bokeh.documents.flatMap(d => [...d._all_models.values()].filter(m => m.name === name))

export function render({model, el}) {
  const count = make("div", "count"), big = make("b", ""), when = make("span", ""), each = make("span", "")
  count.setAttribute("role", "status")
  count.setAttribute("aria-live", "off")
  count.append(big, each, when)
  const title = make("h4", ""), strip = make("div", "strip")
  strip.setAttribute("role", "group")
  el.append(count, title, strip)

  let at = 0, row = 0, number = -1, block = null, slots = [], drawn = null

  // ---- pictures

  let cache = new Map(), asked = null, wanted = null, late = null, resting = null, shown = null
  const key = (bin, block) => `${model.version}/${block}/${bin}`
  /** What to ask for: the phase at the playhead, then those that come after it. */
  function missing() {
    for (let i = 0; wanted && i < model.bins; i++) {
      const bin = (wanted.bin + i) % model.bins, block = wanted.block
      if (!cache.has(key(bin, block))) { return {bin, block, key: key(bin, block)} }
    }
    return null
  }
  function ask() {
    const next = asked === null ? missing() : null
    if (!next) { return }
    asked = next.key
    late = setTimeout(() => { asked = null; ask() }, LATE)
    model.send_msg({bin: next.bin, block: next.block, version: model.version})
  }
  function rest() {
    resting ??= setTimeout(() => { resting = null; put() }, REST)
  }
  function put() {
    const sheet = cache.get(wanted?.key)
    if (!sheet || wanted.key === shown) { return }
    shown = wanted.key
    strip.dataset.bin = String(wanted.bin)
    const lines = Math.max(1, Math.ceil(slots.length / model.across)), distance = model.series[4]
    slots.forEach((slot, i) => {
      const frame = sheet.frames[i], there = frame >= 0
      const far = there ? distance[sheet.rows[i]] / model.usual : NaN
      const share = Math.max(0, Math.min(1, (far - 1) / (FAR - 1)))
      const x = 100 * (i % model.across) / (model.across - 1), y = lines > 1 ? 100 * Math.floor(i / model.across) / (lines - 1) : 0
      slot.disabled = !there
      slot.dataset.frame = String(frame)
      slot.dataset.far = there ? far.toFixed(2) : ""
      slot.picture.style.cssText = !there ? "" : `background-image:url("${sheet.src}");background-position:${x}% ${y}%;
        background-size:${100 * model.across}% ${100 * lines}%;
        --far:color-mix(in srgb, ${model.colors[1]} ${Math.round(100 * share)}%, #9aa0a6)`
      slot.picture.style.aspectRatio = String(model.aspect)
      const n = block * model.most + i + 1
      slot.when.textContent = !there ? `${n}` : far >= 1.5 ? `${n} · ${far.toFixed(1)}×` : `${n} · ${(frame / model.fps).toFixed(1)} s`
      slot.title = there ? `Repetition ${n}, frame ${frame}: ${far.toFixed(1)} times the usual distance to the mean at this phase` : `Repetition ${n} has no such phase`
      slot.setAttribute("aria-label", slot.title)
    })
  }
  function want(bin) {
    wanted = {bin, block, key: key(bin, block)}
    cache.has(wanted.key) ? rest() : ask()
  }
  model.on("msg:custom", sheet => {
    if (sheet.version !== model.version) { return }
    clearTimeout(late)
    asked = null
    const image = new Image(), mine = key(sheet.bin, sheet.block)
    image.src = sheet.src
    cache.set(mine, sheet)
    image.decode().then(() => { if (wanted?.key === mine) { rest() } }, () => {})
    cache.has(wanted?.key) ? setTimeout(ask, PAUSE) : ask()
  })
  function build() {
    const n = Math.min(model.most, model.seconds.length - block * model.most)
    strip.style.setProperty("--wide", `${n <= 12 ? 104 : n <= 30 ? 84 : 66}px`)
    strip.style.setProperty("--now", model.colors[0])
    slots = Array.from({length: Math.max(0, n)}, () => {
      const slot = make("button", "slot")
      slot.type = "button"
      slot.disabled = true
      slot.picture = make("div", "picture"); slot.when = make("small", "", "\u00a0")
      slot.picture.style.aspectRatio = String(model.aspect)
      slot.append(slot.picture, slot.when)
      slot.onclick = () => go(Number(slot.dataset.frame))
      return slot
    })
    strip.replaceChildren(...slots)
    const all = model.seconds.length
    const some = all > model.most ? `, ${block * model.most + 1} to ${block * model.most + n} of ${all}` : ""
    title.textContent = n > 0 ? `The same phase in every repetition${some}: red and × are far from the mean` : ""
    strip.setAttribute("aria-label", title.textContent)
    shown = null
  }
  strip.onkeydown = e => {
    const step = {ArrowRight: 1, ArrowLeft: -1}[e.key]
    if (!step) { return }
    const open = slots.filter(s => !s.disabled)
    open[Math.max(0, Math.min(open.length - 1, open.indexOf(e.target) + step))]?.focus()
    e.preventDefault(); e.stopPropagation()
  }

  // ---- where the playhead is

  function rowOf(k) {
    const frames = model.series[0]
    let low = 0, high = frames.length - 1
    while (high - low > 1) {
      const middle = (low + high) >> 1
      if (frames[middle] <= k) { low = middle } else { high = middle }
    }
    return k - frames[low] <= frames[high] - k ? low : high
  }
  function inPlot(name, values) {
    for (const mark of named(`${model.channel}-${name}`)) { mark.setv(values, {sync: false}) }
  }
  /** The present repetition over the cycle; it begins anew where the phase passes 0. */
  function present() {
    const mine = `${model.version}/${number}/${model.value}`
    if (mine === drawn) { return }
    drawn = mine
    const [, phase, numbers] = model.series, values = model.series[3 + model.value]
    const data = {phase: [], value: []}
    let before = -1
    for (let i = 0; number >= 0 && i < phase.length; i++) {
      if (numbers[i] !== number || !isFinite(phase[i])) { continue }
      if (phase[i] < before - .5) { data.phase.push(NaN); data.value.push(NaN) }
      data.phase.push(phase[i]); data.value.push(values[i])
      before = phase[i]
    }
    inPlot("now", {data})
  }
  function show(k) {
    if (!model.series.length) { return }
    at = k; row = rowOf(k); number = model.series[2][row]
    const all = model.seconds.length, phase = model.series[1][row], far = model.series[4][row] / model.usual
    el.dataset.frame = String(k); el.dataset.number = String(number + 1)
    big.textContent = !all ? "No repetition" : number < 0 ? `Not repeating now (${all} in all)` : `Repetition ${number + 1} of ${all}`
    const takes = model.seconds[number] == null ? "unfinished" : `takes ${model.seconds[number].toFixed(2)} s`
    when.textContent = isFinite(phase) && number >= 0
      ? `phase ${phase.toFixed(2)} · ${takes} · ${far.toFixed(1)}× the usual distance to the mean`
      : `frame ${k} · ${(k / model.fps).toFixed(2)} s`
    each.textContent = model.mean
    const here = number < 0 ? block ?? 0 : Math.floor(number / model.most)
    if (here !== block) { block = here; build() }
    slots.forEach((slot, i) => slot.classList.toggle("on", i === number - block * model.most))
    inPlot("at", {location: isFinite(phase) ? phase : null})
    present()
    const bin = Math.min(model.bins - 1, Math.floor(phase * model.bins))
    if (isFinite(bin) && all) { want(bin) } else if (wanted === null && all) { want(0) }
  }
  function go(k) {
    show(k)
    model.frame = k
  }
  /** A click over the cycle: that phase of the present repetition, or of any where there is none. */
  function clicked({detail: {x}}) {
    const [frames, phase, numbers] = model.series
    let best = -1
    for (let i = 0; i < phase.length; i++) {
      if (!isFinite(phase[i]) || (number >= 0 && numbers[i] !== number)) { continue }
      if (best < 0 || circle(phase[i], x) < circle(phase[best], x)) { best = i }
    }
    if (best >= 0) { go(frames[best]) }
  }
  addEventListener(`plot-${model.channel}`, clicked)

  // ---- what a player of the same cursor tells, and Python

  let told = -Infinity
  const played = ({detail}) => { told = performance.now(); show(detail) }
  addEventListener(`cursor-${model.clock}`, played)
  model.on("frame", () => { if (performance.now() - told > NEWER) { show(model.frame) } })
  model.on("value", () => setTimeout(() => { drawn = null; show(at) }, 0))
  let soon = null
  function fill() {
    soon = null
    cache = new Map(); asked = wanted = shown = drawn = null; block = null
    clearTimeout(late)
    show(model.frame)
  }
  // one message may carry several changes, in any order: see them all before drawing
  model.on("version", () => { soon ??= setTimeout(fill, 0) })
  model.on("remove", () => {
    clearTimeout(late); clearTimeout(resting); clearTimeout(soon)
    removeEventListener(`plot-${model.channel}`, clicked)
    removeEventListener(`cursor-${model.clock}`, played)
  })
  fill()
}
