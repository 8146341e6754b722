// A grid of cards with thumbnails cut from sprite sheets. Hovering plays them, moving scrubs; all in the browser.
const CHUNK = 48, TICK = 110, REST = 700

export function render({model, el}) {
  const grid = document.createElement("div")
  grid.className = "grid"
  grid.setAttribute("role", "listbox")
  grid.setAttribute("aria-label", model.title || "cards")
  const more = document.createElement("div")
  el.append(grid, more)
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches
  const blobs = new Map()
  let shown = [], built = 0, cards = [], focus = 0, player = null

  const url = src => {
    if (typeof src === "string") { return src }
    if (!blobs.has(src)) { blobs.set(src, URL.createObjectURL(new Blob([src], {type: "image/jpeg"}))) }
    return blobs.get(src)
  }
  const put = (pic, s, j) => {
    const rows = Math.ceil(s.n / s.columns), c = j % s.columns, r = Math.floor(j / s.columns)
    pic.style.backgroundPosition =
      `${s.columns > 1 ? 100 * c / (s.columns - 1) : 0}% ${rows > 1 ? 100 * r / (rows - 1) : 0}%`
  }
  const stop = () => { if (player) { clearInterval(player.timer); player.back(); player = null } }
  function play(card, pic, bar, s, at) {
    stop()
    if (s.n < 2) { return }
    let j = at, quiet = 0
    const show = () => { put(pic, s, j); bar.style.width = `${100 * (j + 1) / s.n}%` }
    const timer = calm ? null : setInterval(() => {
      if (performance.now() < quiet) { return }
      j = (j + 1) % s.n; show()
    }, TICK)
    player = {
      timer,
      scrub: f => { j = Math.max(0, Math.min(s.n - 1, Math.floor(f * s.n))); quiet = performance.now() + REST; show() },
      back: () => { put(pic, s, at); bar.style.width = "0" },
    }
  }
  const watch = new IntersectionObserver(entries => entries.forEach(e => {
    if (!e.isIntersecting) { return }
    watch.unobserve(e.target)
    const pic = e.target.querySelector(".pic")
    if (pic?.dataset.src) { pic.style.backgroundImage = `url("${pic.dataset.src}")` }
  }), {rootMargin: "200px"})
  const text = (tag, cls, value) => {
    const node = document.createElement(tag)
    node.className = cls; node.textContent = value
    return node
  }
  function build(item, k) {
    const card = document.createElement("div")
    card.className = "card"
    card.setAttribute("role", "option")
    card.setAttribute("aria-label", [item.title, item.caption, ...(item.chips || []).map(c => c.text)].join(", "))
    card.dataset.id = item.id
    card.tabIndex = k === focus ? 0 : -1
    const thumb = text("div", "thumb", ""), bar = text("div", "bar", "")
    const s = item.sheet
    let pic = null
    if (s) {
      pic = text("div", s.w > s.h ? "pic wide" : "pic tall", "")
      pic.style.aspectRatio = `${s.w} / ${s.h}`
      pic.style.backgroundSize = `${100 * s.columns}% ${100 * Math.ceil(s.n / s.columns)}%`
      pic.dataset.src = url(s.src)
      put(pic, s, item.at || 0)
      thumb.append(pic)
    } else { thumb.append(text("div", "none", "no picture")) }
    if (item.badge) { thumb.append(text("span", "badge", item.badge)) }
    if (item.corner) { thumb.append(text("span", "corner", item.corner)) }
    thumb.append(bar)
    const info = text("div", "info", "")
    info.append(text("div", "name", item.title))
    if (item.caption) { info.append(text("div", "caption", item.caption)) }
    if (item.chips?.length) {
      const row = text("div", "chips", "")
      for (const c of item.chips) {
        const chip = text("span", "chip", c.text)
        if (c.color) { const dot = text("i", "", ""); dot.style.background = c.color; chip.prepend(dot) }
        row.append(chip)
      }
      info.append(row)
    }
    card.append(thumb, info)
    card.onclick = () => { aim(k); model.send_msg({choose: item.id}) }
    const start = () => { if (s) { play(card, pic, bar, s, item.at || 0) } if (model.report_hover) { model.send_msg({hover: item.id}) } }
    const end = () => { stop(); if (model.report_hover) { model.send_msg({hover: ""}) } }
    card.onpointerenter = start
    card.onpointerleave = end
    card.onfocus = () => { if (card.matches(":focus-visible")) { start() } }
    card.onblur = end
    thumb.onpointermove = e => {
      const box = thumb.getBoundingClientRect()
      player?.scrub((e.clientX - box.left) / box.width)
    }
    watch.observe(card)
    return card
  }
  const mark = () => cards.forEach(c => {
    const on = c.dataset.id === model.selected
    c.classList.toggle("on", on); c.setAttribute("aria-selected", on)
  })
  function grow() {
    const stopAt = Math.min(shown.length, built + CHUNK)
    for (; built < stopAt; built++) {
      const card = build(model.items[shown[built]], built)
      cards.push(card); grid.append(card)
    }
    mark()
  }
  const end = new IntersectionObserver(e => { if (e[0].isIntersecting && built < shown.length) { grow(); end.unobserve(more); end.observe(more) } }, {rootMargin: "600px"})
  function aim(k) {
    while (k >= built && built < shown.length) { grow() }
    if (cards[focus]) { cards[focus].tabIndex = -1 }
    focus = Math.max(0, Math.min(shown.length - 1, k))
    if (cards[focus]) { cards[focus].tabIndex = 0; cards[focus].focus({preventScroll: false}) }
  }
  grid.onkeydown = e => {
    const columns = Math.max(1, getComputedStyle(grid).gridTemplateColumns.split(" ").length)
    const to = {ArrowRight: focus + 1, ArrowLeft: focus - 1, ArrowDown: focus + columns, ArrowUp: focus - columns,
                Home: 0, End: shown.length - 1}[e.key]
    if (to !== undefined) { if (to >= 0 && to < shown.length) { aim(to) } }
    else if (e.key === "Enter" || e.key === " ") { model.send_msg({choose: cards[focus]?.dataset.id}) }
    else { return }
    e.preventDefault(); e.stopPropagation()
  }
  function fill() {
    stop(); watch.disconnect(); grid.replaceChildren(); cards = []; built = 0; focus = 0
    grid.style.setProperty("--card", `${model.card_width}px`)
    const all = model.items
    shown = model.shown === null ? all.map((_, k) => k) : model.shown.filter(k => k < all.length)
    grid.classList.toggle("bare", shown.length === 0)
    if (!shown.length) { grid.append(text("div", "empty", model.empty)) }
    grow(); end.unobserve(more); end.observe(more)
  }
  model.on("items", fill)
  model.on("shown", fill)
  model.on("selected", mark)
  model.on("remove", () => { stop(); watch.disconnect(); end.disconnect(); blobs.forEach(u => URL.revokeObjectURL(u)) })
  fill()
}
