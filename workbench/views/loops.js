// Short clips side by side that run over and over in step: one clock for all, pictures cut from sheets.
const OVER = 350        // ms that the last picture stays before all begin anew

export function render({model, el}) {
  const node = (tag, cls, text = "") => {
    const made = document.createElement(tag)
    made.className = cls; made.textContent = text
    return made
  }
  const bar = node("div", "bar"), play = node("button", "play"), time = node("input", "time"), said = node("span", "said")
  play.type = "button"
  time.type = "range"; time.min = 0; time.max = 1000; time.value = 0
  time.setAttribute("aria-label", "Moment of all clips")
  bar.append(play, time, said)
  const grid = node("div", "grid")
  grid.setAttribute("role", "listbox")
  el.append(bar, grid)
  let clips = [], phase = 0, last = null, frame = null, playing = !matchMedia("(prefers-reduced-motion: reduce)").matches
  let seen = true

  function show() {
    for (const {picture, item} of clips) {
      const k = Math.min(item.n - 1, Math.floor(phase * item.n))
      if (picture.dataset.k === String(k)) { continue }
      const lines = Math.ceil(item.n / item.columns), x = k % item.columns, y = Math.floor(k / item.columns)
      picture.dataset.k = String(k)
      picture.style.backgroundPosition =
        `${item.columns > 1 ? 100 * x / (item.columns - 1) : 0}% ${lines > 1 ? 100 * y / (lines - 1) : 0}%`
    }
    time.value = String(Math.round(1000 * phase))
  }
  function step(now) {
    frame = null
    if (!playing || !seen || !clips.length) { last = null; return }
    const whole = 1000 * model.seconds
    if (last !== null) { phase += (now - last) / whole }
    last = now
    if (phase >= 1 + OVER / whole) { phase = 0 }
    show()
    frame = requestAnimationFrame(step)
  }
  const run = () => { frame ??= requestAnimationFrame(step) }
  function turn(on) {
    playing = on
    play.textContent = on ? "pause" : "play_arrow"
    play.setAttribute("aria-label", on ? "Stop all clips" : "Play all clips")
    if (on && phase >= 1) { phase = 0 }
    last = null
    run()
  }
  play.onclick = () => turn(!playing)
  time.oninput = () => { turn(false); phase = Number(time.value) / 1000.001; show() }

  function build(item, k) {
    const clip = node("div", `clip ${item.mark || ""}`), picture = node("div", "picture"), info = node("div", "info")
    clip.dataset.id = item.id
    clip.tabIndex = k ? -1 : 0
    clip.setAttribute("role", "option")
    clip.setAttribute("aria-label", [item.note, item.title, item.caption].filter(Boolean).join(", "))
    if (item.src) {
      picture.style.backgroundImage = `url("${item.src}")`
      picture.style.backgroundSize = `${100 * item.columns}% ${100 * Math.ceil(item.n / item.columns)}%`
      picture.style.aspectRatio = String(item.aspect)
    } else { picture.classList.add("none"); picture.textContent = "no picture" }
    if (item.note) { picture.append(node("span", "note", item.note)) }
    if (item.corner) { picture.append(node("span", "corner", item.corner)) }
    info.append(node("div", "name", item.title))
    if (item.caption) { info.append(node("div", "caption", item.caption)) }
    if (item.chip) {
      const chip = node("span", "chip", item.chip), dot = node("i", "")
      dot.style.background = item.color || "#9aa0a6"
      chip.prepend(dot)
      info.append(chip)
    }
    clip.append(picture, info)
    clip.onclick = () => { aim(k); model.send_msg({choose: item.id}) }
    clips.push({clip, picture, item: item.src ? item : {n: 1, columns: 1}})
    return clip
  }
  const aim = k => {
    clips.forEach((c, i) => { c.clip.tabIndex = i === k ? 0 : -1 })
    clips[k]?.clip.focus({preventScroll: true})
  }
  grid.onkeydown = e => {
    const at = clips.findIndex(c => c.clip === e.target)
    const to = {ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: clips.length - 1}[e.key]
    if (at < 0) { return }
    if (to !== undefined) { if (clips[to]) { aim(to) } }
    else if (e.key === "Enter") { model.send_msg({choose: clips[at].item.id ?? e.target.dataset.id}) }
    else if (e.key === " ") { turn(!playing) }
    else { return }
    e.preventDefault(); e.stopPropagation()
  }
  function fill() {
    clips = []
    grid.setAttribute("aria-label", model.title || "clips")
    grid.style.setProperty("--wide", `${model.clip_width}px`)
    grid.replaceChildren(...model.items.map(build))
    said.textContent = model.items.length ? `${model.items.length} in step, ${model.seconds.toFixed(1)} s` : ""
    bar.hidden = !model.items.length
    if (!model.items.length) { grid.append(node("div", "empty", model.empty)) }
    phase = 0; last = null
    mark(); show(); run()
  }
  const mark = () => clips.forEach(c => {
    const on = c.clip.dataset.id === model.selected
    c.clip.classList.toggle("on", on); c.clip.setAttribute("aria-selected", String(on))
  })
  const watch = new IntersectionObserver(e => { seen = e[0].isIntersecting; if (seen) { run() } })
  watch.observe(grid)
  let soon = null
  // one message may carry several changes, in any order: see them all before drawing
  for (const name of ["items", "seconds", "title"]) {
    model.on(name, () => { soon ??= setTimeout(() => { soon = null; fill() }, 0) })
  }
  model.on("selected", mark)
  model.on("remove", () => { watch.disconnect(); cancelAnimationFrame(frame); clearTimeout(soon); playing = false })
  turn(playing)
  fill()
}
