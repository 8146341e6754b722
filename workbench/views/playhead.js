// The line at the cursor in a drawn timeline. A player's frames reach it here in the browser; a click in
// the plot moves it and tells Python.
const NEWER = 300       // ms for which what a player says itself counts more than what comes by Python

/** Models of a name. Bokeh forgets a plot that is shown no more after half a minute; one that is shown again
 * by then has its name twice, which `get_model_by_name` does not stand. */
const named = name => Bokeh.documents.flatMap(d => [...d._all_models.values()].filter(m => m.name === name))

export function render({model, el}) {
  el.style.display = "none"
  let told = -Infinity
  function put(k) {
    const location = Math.max(0, Math.min(model.last, k))
    for (const span of named(`${model.channel}-line`)) { span.setv({location}, {sync: false}) }
    el.dataset.frame = String(location)
  }
  const played = ({detail}) => { told = performance.now(); put(detail) }
  const clicked = ({detail: {x}}) => {
    const k = Math.max(0, Math.min(model.last, Math.round(x)))
    put(k)
    model.frame = k
  }
  addEventListener(`cursor-${model.clock}`, played)
  addEventListener(`plot-${model.channel}`, clicked)
  model.on("frame", () => { if (performance.now() - told > NEWER) { put(model.frame) } })
  model.on("last", () => put(model.frame))
  model.on("remove", () => {
    removeEventListener(`cursor-${model.clock}`, played)
    removeEventListener(`plot-${model.channel}`, clicked)
  })
  put(model.frame)
}
