// The names of all pages, in groups that wrap: none is ever out of sight. Arrow keys move between them.
export function render({model, el}) {
  const list = document.createElement("div")
  list.className = "tabs"
  list.setAttribute("role", "tablist")
  list.setAttribute("aria-label", "Pages")
  el.append(list)
  let tabs = []
  const node = (tag, cls, text) => {
    const made = document.createElement(tag)
    made.className = cls; made.textContent = text
    return made
  }
  function mark() {
    tabs.forEach((tab, k) => {
      tab.setAttribute("aria-selected", String(k === model.active))
      tab.tabIndex = k === model.active ? 0 : -1
    })
  }
  function build() {
    tabs = []
    list.replaceChildren(...model.groups.map(([name, pages]) => {
      const group = node("div", "group", "")
      group.setAttribute("role", "presentation")
      if (name) { group.append(node("span", "name", name)) }
      for (const [label, icon] of pages) {
        const tab = node("button", "tab", ""), k = tabs.length, picture = node("i", "", icon)
        tab.type = "button"
        tab.setAttribute("role", "tab")
        tab.setAttribute("aria-label", label)
        picture.setAttribute("aria-hidden", "true")
        tab.append(picture, node("span", "", label))
        tab.onclick = () => { model.active = k }
        tabs.push(tab); group.append(tab)
      }
      return group
    }))
    mark()
  }
  list.onkeydown = e => {
    const at = tabs.indexOf(e.target.closest("[role=tab]")), n = tabs.length
    const to = {ArrowRight: (at + 1) % n, ArrowLeft: (at + n - 1) % n, Home: 0, End: n - 1}[e.key]
    if (at < 0 || to === undefined) { return }
    model.active = to
    tabs[to].focus()
    e.preventDefault(); e.stopPropagation()
  }
  model.on("active", mark)
  model.on("groups", build)
  build()
}
