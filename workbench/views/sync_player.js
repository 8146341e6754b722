// Several videos that show the same frame of a recording. No imports.
//
// The clock is a frame number. Frame k of the recording is frame k + shift of each video, and the
// container's own table of times (pts, seconds) says where in the file that frame is. To show frame
// j, seek to the middle between pts[j] and pts[j + 1]: its borders are a rounding error away from a
// neighbour. While playing, one video leads and the others are sped up or slowed down to stay with it.

const RATES = [0.25, 0.5, 1, 1.5, 2, 4]
const TELL_MS = 100          // Python hears of the frame at most this often while it changes
const TICK_MS = 100          // how often the others are compared with the leader
const JUMP_S = 0.25          // further apart than this: seek; nearer: change the speed
const BEND = 0.1             // most by which the speed is changed
const PAINT_MS = 120         // after `seeked`, how long to wait for the picture itself
const SEEK_MS = 4000         // a seek that takes longer is no longer waited for

// ---- tables of times -------------------------------------------------------------------------

const clamp = (x, low, high) => Math.max(low, Math.min(high, x))

/** Seconds from frame j to the next one; the last frame lasts as long as the one before. */
function lasts(pts, j) {
  const n = pts.length
  if (n < 2) return 0.04
  return j + 1 < n ? pts[j + 1] - pts[j] : pts[n - 1] - pts[n - 2]
}

/** The frame that is on show at a time; half a millisecond of tolerance for rounding. */
function frameAt(pts, time) {
  let low = 0, high = pts.length - 1
  while (low < high) {
    const mid = (low + high + 1) >> 1
    if (pts[mid] <= time + 5e-4) low = mid; else high = mid - 1
  }
  return low
}

/** Frame number with its fraction, and back. */
function position(pts, time) {
  const j = frameAt(pts, time)
  return j + clamp((time - pts[j]) / lasts(pts, j), 0, 1)
}
function timeOf(pts, place) {
  const j = clamp(Math.floor(place), 0, pts.length - 1)
  return pts[j] + (place - j) * lasts(pts, j)
}

/** Seconds that the next frames take, each: how fast the table runs here. */
function pace(pts, place) {
  const a = clamp(Math.floor(place), 0, Math.max(0, pts.length - 2))
  const b = Math.min(pts.length - 1, a + 15)
  return b > a ? (pts[b] - pts[a]) / (b - a) : lasts(pts, a)
}

// ---- building blocks of the page -------------------------------------------------------------

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (name in node && typeof value !== 'string') node[name] = value
    else node.setAttribute(name, value)
  }
  node.append(...children)
  return node
}

const ICONS = {
  play: 'M7 4.5v15l13-7.5z', pause: 'M6 4.5h4.2v15H6zm7.8 0H18v15h-4.2z',
  back: 'M15 5 8 12l7 7zM5 5h2v14H5z', ahead: 'M9 5l7 7-7 7zm8 0h2v14h-2z',
  first: 'M11.500 5 5 12l6.500 7zM19 5l-6.500 7 6.500 7zM3 5h1.600v14H3z',
  last: 'M12.500 5 19 12l-6.500 7zM5 5l6.500 7L5 19zM19.400 5H21v14h-1.600z',
  loop: 'M7 7h9.500V4l5 4.500-5 4.500v-3H9.500v3.500H7zm10 10H7.500v3l-5-4.500 5-4.500v3h7v-3.500H17z',
  flow: 'M3 6h9V3l6 4.500-6 4.500V9H3zm18 12h-9v3l-6-4.500 6-4.500v3h9z',
  full: 'M4 4h6v2H6v4H4zm10 0h6v6h-2V6h-4zM4 14h2v4h4v2H4zm14 0h2v6h-6v-2h4z',
}

function picture(name) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg')
  svg.setAttribute('viewBox', '0 0 24 24')
  svg.setAttribute('aria-hidden', 'true')
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path')
  path.setAttribute('d', ICONS[name])
  svg.append(path)
  return svg
}

function button(label, content, action) {
  const node = make('button', {type: 'button', title: label, 'aria-label': label}, content)
  node.addEventListener('click', action)
  return node
}

const STYLE = `
.player { --accent: var(--mui-palette-primary-main, var(--panel-primary-color, #0072b5));
  --line: color-mix(in srgb, currentColor 22%, transparent);
  --soft: color-mix(in srgb, currentColor 9%, transparent);
  color: var(--mui-palette-text-primary, var(--panel-on-background-color, inherit));
  font-family: inherit; font-size: 13px; line-height: 1.4; display: flex; flex-direction: column;
  gap: 8px; outline: none; border-radius: 6px; container-type: inline-size; min-width: 0; }
.player:focus-visible { outline: 2px solid var(--accent); outline-offset: 3px; }
.player:fullscreen { background: #111; color: #eee; padding: 12px; justify-content: center;
  box-sizing: border-box; overflow: auto; }
.tiles { display: grid; gap: 8px;
  grid-template-columns: repeat(auto-fit, minmax(min(180px, 100%), 1fr)); }
.tiles.one { grid-template-columns: minmax(0, 1fr); }
.tile { margin: 0; min-width: 0; container-type: inline-size; display: flex; flex-direction: column;
  border: 1px solid var(--line); border-radius: 6px; overflow: hidden; }
.screen { position: relative; background: #000; min-height: 72px; flex: 1; display: flex; align-items: center; }
.screen video { display: block; width: 100%; max-height: 62vh; object-fit: contain; }
.cover { position: absolute; inset: 0; display: none; flex-direction: column; gap: 2px;
  align-items: center; justify-content: safe center; text-align: center; padding: 8px;
  color: #e8e8e8; background: #1a1a1a; overflow: auto; overflow-wrap: anywhere; }
.cover.on { display: flex; }
.cover strong { font-weight: 600; }
.cover.wait { background: #1a1a1a99; }
.bar { display: grid; grid-template-columns: minmax(0, 1fr) auto; align-items: center;
  gap: 2px 8px; padding: 4px 8px; }
.bar .name { font-weight: 600; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.bar .offset { grid-column: 1 / -1; justify-self: start; }
@container (min-width: 300px) {
  .bar { grid-template-columns: minmax(0, 1fr) auto auto; } .bar .offset { grid-column: auto; } }
.count { font-variant-numeric: tabular-nums; opacity: .85; white-space: nowrap; }
.offset { display: inline-flex; align-items: center; gap: 2px; white-space: nowrap; }
.offset output { min-width: 2.6em; text-align: center; font-variant-numeric: tabular-nums; }
.offset.changed output { color: var(--accent); font-weight: 700; }
.tools { display: flex; flex-wrap: wrap; align-items: center; gap: 4px 6px; }
.group { display: inline-flex; align-items: center; gap: 4px; }
.player button, .player select { font: inherit; color: inherit; background: var(--soft);
  border: 1px solid transparent; border-radius: 5px; min-width: 30px; height: 30px; padding: 0 7px;
  display: inline-flex; align-items: center; justify-content: center; cursor: pointer; }
.player button:hover, .player select:hover { border-color: var(--line);
  background: color-mix(in srgb, currentColor 16%, transparent); }
.player button:focus-visible, .player select:focus-visible, .player input:focus-visible {
  outline: 2px solid var(--accent); outline-offset: 1px; }
.player button[aria-pressed=true] { border-color: var(--accent); color: var(--accent); }
.player button.main { background: var(--accent); min-width: 38px;
  color: var(--mui-palette-primary-contrastText, #fff); }
.player button.small { min-width: 24px; height: 24px; padding: 0 4px; }
.player select option { color: #111; background: #fff; }
.player svg { width: 16px; height: 16px; fill: currentColor; display: block; }
.track { position: relative; flex: 1 1 180px; min-width: 120px; display: flex; align-items: center; height: 30px; }
.track input { width: 100%; margin: 0; accent-color: var(--accent); cursor: pointer; position: relative; }
.track .range { position: absolute; top: 4px; bottom: 4px; border-radius: 3px; pointer-events: none;
  background: color-mix(in srgb, var(--accent) 28%, transparent); display: none; }
.wheel { width: 22px; height: 22px; border-radius: 50%; margin: 0 2px;
  background: radial-gradient(#777 8%, transparent 75%),
    conic-gradient(from 90deg, #f00, #ff0, #0f0, #0ff, #00f, #f0f, #f00); }
.where { min-width: 8.5em; text-align: right; }
.unsaved { flex: 1 1 100%; display: flex; flex-wrap: wrap; gap: 6px; align-items: center; }
.empty { border: 1px dashed var(--line); border-radius: 6px; padding: 28px 16px; text-align: center; opacity: .85; }
[hidden] { display: none !important; }
@container (max-width: 480px) {
  .track { order: -1; flex-basis: 100%; } .where { order: -1; flex: 1 1 100%; text-align: left; } }
`

// ---- one camera ------------------------------------------------------------------------------

class Camera {
  constructor(player, index, src, note, label) {
    this.player = player
    this.index = index
    this.label = label
    this.shown = -1            // the frame of the video that was painted last
    this.proven = -1           // the frame that is on the screen for sure; -1 while playing
    this.away = false          // scrolled out of the window
    this.failed = !src
    this.waiting = null        // called with every painted frame
    this.url = null
    this.video = make('video', {muted: true, playsInline: true, preload: 'auto',
      'aria-label': `Camera ${label}`, tabindex: '-1', disablePictureInPicture: true})
    this.cover = make('div', {class: 'cover', role: 'status'})
    this.count = make('span', {class: 'count'}, '')
    this.amount = make('output', {'aria-label': `Offset of camera ${label}, frames`})
    const nudge = (by, words) => {
      const node = button(`${words} (with Shift: 10 frames)`, by < 0 ? '−' : '+',
        e => player.nudge(index, e.shiftKey ? 10 * by : by))
      node.classList.add('small')
      return node
    }
    this.offset = make('span', {class: 'offset', role: 'group', 'aria-label': `Offset of camera ${label}`},
      nudge(-1, `Camera ${label}: show an earlier frame`), this.amount,
      nudge(1, `Camera ${label}: show a later frame`))
    this.tile = make('figure', {class: 'tile'},
      make('div', {class: 'screen'}, this.video, this.cover),
      make('figcaption', {class: 'bar'}, make('span', {class: 'name', title: label}, label), this.count, this.offset))
    if (this.failed) return this.say('No picture', note)
    this.say('Loading …', '', true)
    const v = this.video
    v.addEventListener('error', () => this.fail())
    v.addEventListener('loadeddata', () => { this.gone = false; this.say(); player.arrived(this) }, {once: true})
    if (typeof src !== 'string') {
      src = this.url = URL.createObjectURL(new Blob([src], {type: 'video/mp4'}))
    }
    v.src = src
    const painted = (_, about) => {
      if (this.closed) return
      this.shown = frameAt(this.pts, about.mediaTime)
      this.caption()
      this.waiting?.(this.shown, about.presentationTime)
      player.painted(this)
      v.requestVideoFrameCallback(painted)
    }
    v.requestVideoFrameCallback(painted)
    this.sight = new IntersectionObserver(([entry]) => { this.away = !entry.isIntersecting })
    this.sight.observe(v)
  }

  get pts() { return this.player.model.pts[this.index] ?? [0] }
  get shift() { return this.player.model.shift[this.index] ?? 0 }
  get path() { return this.player.model.paths[this.index]?.length ? this.player.model.paths[this.index] : null }
  get first() { return this.path ? 0 : -this.shift }           // frames of the recording that
  get last() { return (this.path ? this.path.length : this.pts.length - this.shift) - 1 }    // this camera shows
  get ready() { return !this.failed && this.video.readyState >= 1 }
  has(k) {
    if (this.failed || k < this.first || k > this.last) return false
    return !this.path || (this.place(k) >= 0 && this.place(k) < this.pts.length)
  }

  /** The frame of the video, with its fraction, at a frame of the recording. */
  place(k) {
    const path = this.path
    if (!path) return k + this.shift
    const j = clamp(Math.floor(k), 0, path.length - 1), next = path[Math.min(j + 1, path.length - 1)]
    return path[j] + clamp(k - j, 0, 1) * (next - path[j]) + this.shift
  }

  say(title = '', text = '', wait = false) {
    const on = title !== ''
    if (this.said === title + text && on) return
    this.said = on ? title + text : ''
    this.cover.className = `cover${on ? ' on' : ''}${wait ? ' wait' : ''}`
    this.cover.replaceChildren(...(on ? [make('strong', {}, title), text] : []))
  }

  fail() {
    if (this.closed || this.failed) return
    this.failed = true
    const code = this.video.error?.code
    const why = code === 2 ? 'The connection to the file was lost. Choose the recording again.'
      : 'This browser cannot play the codec of this file. Index the data set again to make a proxy, '
        + 'or use another browser.'
    this.say('This camera cannot be shown', why)
    this.cover.title = this.video.error?.message || `error ${code}`
    this.count.textContent = ''
    this.player.lost(this)
  }

  /** Name and time of the painted frame, as the file itself counts them. */
  caption() {
    const j = this.shown
    this.count.textContent = j < 0 || this.failed ? '' : `${j} · ${this.pts[j].toFixed(3)} s`
  }

  /** True where the camera has a picture of frame k of the recording; says so where it has none. */
  covers(k) {
    if (this.failed) return false
    if (this.has(k)) {
      if (this.gone) { this.gone = false; this.say() }
      return true
    }
    this.gone = true
    this.video.pause()
    this.count.textContent = ''
    this.say('No frame', k < this.first ? `this camera starts at ${this.first}`
      : `this camera ended at ${this.last}`)
    return false
  }

  /** Show frame k of the recording; resolves when it is painted. */
  async show(k) {
    if (!this.covers(k) || !this.ready) return
    const j = this.place(k)
    if (this.proven !== j) {
      // Now and then a seek right after a pause ends without a new picture, and a later frame of the
      // playing video stays on the screen. Another point of the same frame is another seek.
      for (const part of [0.5, 0.4, 0.6]) {
        const painted = await this.seek(j, this.pts[j] + part * lasts(this.pts, j))
        if (painted) this.proven = j
        if (painted || this.player.wanted !== null || this.unseen || this.failed) break
      }
    }
    this.caption()
  }

  /** True when frame j was painted because of this seek; false when it ended without a picture. */
  seek(j, time) {
    const v = this.video, begin = performance.now()
    this.proven = -1
    return new Promise(resolve => {
      let painted = false, ended = false
      const done = () => {
        clearTimeout(timer)
        v.removeEventListener('seeked', seeked)
        v.removeEventListener('error', done)
        this.waiting = null
        if (ended && this.unseen) this.shown = j
        resolve(painted)
      }
      const seeked = () => {
        ended = true
        clearTimeout(timer)
        if (painted || this.unseen) done()
        else timer = setTimeout(done, PAINT_MS)
      }
      this.waiting = (shown, when) => {
        if (shown !== j || when < begin) return
        painted = true
        if (ended) done()
      }
      let timer = setTimeout(done, SEEK_MS)
      v.addEventListener('seeked', seeked)
      v.addEventListener('error', done)
      v.currentTime = time
    })
  }

  /** Where nobody looks nothing is painted, and so nothing can be proven. */
  get unseen() { return document.hidden || this.away }

  close() {
    this.closed = true
    this.sight?.disconnect()
    this.video.pause()
    this.video.removeAttribute('src')
    this.video.load()
    if (this.url) URL.revokeObjectURL(this.url)
  }
}

// ---- the player ------------------------------------------------------------------------------

class SyncPlayer {
  constructor(model, root) {
    this.model = model
    this.root = root
    this.cameras = []
    this.frame = model.frame
    this.going = false         // what the user asked for; during a seek the videos rest
    this.turn = 0              // counts what was asked, so that a late answer can be told
    this.wanted = null
    this.rested = null         // resolves when stopped videos have painted their last
    this.told = model.frame
    this.toldAt = 0
    this.marks = [null, null]
    this.build()
    this.load()
  }

  get length() { return Math.max(1, ...this.cameras.map(c => c.last + 1)) }
  get loop() {
    const [a, b] = this.model.loop?.length === 2 ? this.model.loop : [0, this.length - 1]
    return [clamp(a, 0, this.length - 1), clamp(b, 0, this.length - 1)]
  }
  get looping() { return this.model.loop?.length === 2 }

  // -- the page

  build() {
    const act = (label, icon, action) => button(label, picture(icon), action)
    this.tiles = make('div', {class: 'tiles'})
    this.empty = make('div', {class: 'empty', role: 'status'})
    this.toggle = act('Play (Space)', 'play', () => this.going ? this.pause() : this.play())
    this.toggle.classList.add('main')
    this.slider = make('input', {type: 'range', min: '0', step: '1', 'aria-label': 'Frame'})
    this.slider.addEventListener('input', () => this.go(Number(this.slider.value)))
    this.slider.addEventListener('pointerdown', () => this.hold(true))
    for (const end of ['pointerup', 'pointercancel', 'blur', 'change']) {
      this.slider.addEventListener(end, () => this.hold(false))
    }
    this.band = make('div', {class: 'range'})
    this.where = make('output', {class: 'count where', 'aria-live': 'off'})
    this.speed = make('select', {'aria-label': 'Speed', title: 'Speed'},
      ...RATES.map(r => make('option', {value: String(r)}, `${r}×`)))
    this.speed.addEventListener('change', () => {
      this.model.rate = Number(this.speed.value)
      this.speeds()
    })
    this.ends = ['A', 'B'].map((name, i) =>
      button(`Loop ${i ? 'ends' : 'starts'} at this frame (${name})`, name, () => this.mark(i)))
    this.repeat = act('Loop (L)', 'loop', () => this.setLoop(this.looping ? [] : this.marked()))
    this.motion = act('Show the motion to the next frame (F)', 'flow', () => this.turnFlow())
    this.wheel = make('span', {class: 'wheel', role: 'img',
      title: 'Motion: the colour on this side is a motion to this side; the more of it, the faster',
      'aria-label': 'Colours of motion: red is to the right, green-yellow down, cyan left, violet up'})
    this.keep = button('Save offsets', 'Save offsets', () => this.model.send_msg('save'))
    this.undo = button('Reset offsets', 'Reset offsets', () => this.setShift([...this.model.saved]))
    this.unsaved = make('div', {class: 'unsaved', role: 'status'},
      make('span', {}, 'The offsets are changed, not saved.'), this.keep, this.undo)
    this.tools = make('div', {class: 'tools', role: 'toolbar', 'aria-label': 'Player controls'},
      make('span', {class: 'group'},
        act('First frame (Home)', 'first', () => this.go(0)),
        act('One frame back (Left; with Shift: 10)', 'back', e => this.step(e.shiftKey ? -10 : -1)),
        this.toggle,
        act('One frame ahead (Right; with Shift: 10)', 'ahead', e => this.step(e.shiftKey ? 10 : 1)),
        act('Last frame (End)', 'last', () => this.go(this.length - 1))),
      make('span', {class: 'track'}, this.band, this.slider),
      this.where,
      make('span', {class: 'group'}, this.speed, ...this.ends, this.repeat,
        this.motion, this.wheel,
        act('Full screen', 'full', () => document.fullscreenElement
          ? document.exitFullscreen() : this.root.requestFullscreen?.())),
      this.unsaved)
    this.root.append(make('style', {}, STYLE), this.empty, this.tiles, this.tools)
    this.key = e => this.press(e)
    this.root.addEventListener('keydown', this.key, true)
    this.enter = () => document.addEventListener('keydown', this.key)
    this.leave = () => document.removeEventListener('keydown', this.key)
    this.root.addEventListener('pointerenter', this.enter)
    this.root.addEventListener('pointerleave', this.leave)
  }

  /** Tiles for the sources as they are now. */
  load() {
    this.stop()
    this.turn++
    this.setGoing(false)
    for (const camera of this.cameras) camera.close()
    const {srcs, notes, labels} = this.model
    this.marks = [null, null]
    this.frame = this.told = this.model.frame
    this.applied = this.model.shift
    clearTimeout(this.telling)
    this.cameras = []
    srcs.forEach((src, i) => this.cameras.push(new Camera(this, i, src, notes[i] ?? '', labels[i] ?? `${i}`)))
    this.tiles.replaceChildren(...this.cameras.map(c => c.tile))
    this.tiles.classList.toggle('one', srcs.length === 1)
    this.tiles.hidden = this.tools.hidden = srcs.length === 0
    this.empty.hidden = srcs.length !== 0
    this.words()
    this.refresh()
    if (srcs.length) this.show(this.frame)
    if (this.again) this.play()                   // the picture was changed while playing
    this.again = false
  }

  words() { this.empty.textContent = this.model.message }

  refresh() {
    const last = this.length - 1
    this.slider.max = String(last)
    this.slider.disabled = last === 0
    this.speed.value = String(this.model.rate)
    this.repeat.setAttribute('aria-pressed', String(this.looping))
    this.ends.forEach((node, i) => node.setAttribute('aria-pressed', String(this.marks[i] !== null)))
    const [a, b] = this.looping ? this.loop : [this.marks[0] ?? 0, this.marks[1] ?? last]
    const on = this.looping || this.marks.some(m => m !== null)
    this.motion.hidden = !this.model.has_flow
    this.wheel.hidden = !(this.model.has_flow && this.model.flow)
    this.motion.setAttribute('aria-pressed', String(this.model.flow))
    this.band.style.display = on && b >= a ? 'block' : 'none'
    this.band.style.left = `${100 * a / (last + 1)}%`
    this.band.style.right = `${100 * (last - b) / (last + 1)}%`
    const {shift, saved} = this.model
    this.cameras.forEach((camera, i) => {
      camera.amount.textContent = shift[i] > 0 ? `+${shift[i]}` : `${shift[i] ?? 0}`.replace('-', '−')
      camera.offset.classList.toggle('changed', shift[i] !== saved[i])
    })
    this.unsaved.hidden = this.cameras.every((_, i) => shift[i] === saved[i])
    this.place()
  }

  place() {
    const last = this.length - 1
    if (document.activeElement !== this.slider || !this.held) this.slider.value = String(this.frame)
    this.slider.setAttribute('aria-valuetext', `frame ${this.frame} of ${last}`)
    this.where.textContent = `frame ${this.frame} / ${last}`
    this.root.dataset.frame = String(this.frame)
    if (this.cameras.length) dispatchEvent(new CustomEvent(`cursor-${this.model.channel}`, {detail: this.frame}))
  }

  // -- showing frames

  /** All cameras at frame k. Only the newest wish is kept while one is being fulfilled. */
  show(k) {
    this.frame = this.wanted = clamp(Math.round(k), 0, this.length - 1)
    this.place()
    this.busy ??= (async () => {
      this.root.setAttribute('aria-busy', 'true')
      while (this.wanted !== null) {
        const next = this.wanted
        this.wanted = null
        await Promise.all(this.cameras.map(c => c.show(next)))
      }
      this.busy = null
      this.root.setAttribute('aria-busy', 'false')
    })()
    return this.busy
  }

  /** Go to a frame, playing or not; only the newest call is answered. */
  async go(k) {
    if (!this.cameras.length) return
    const turn = ++this.turn
    this.stop()
    this.frame = clamp(Math.round(k), 0, this.length - 1)
    this.root.setAttribute('aria-busy', 'true')
    await this.rested
    if (turn !== this.turn) return
    const shown = this.show(k)
    this.tell(this.frame, !this.held && !this.going)
    await shown
    if (turn === this.turn && this.going && !this.held) this.run()
  }

  step(by) {
    this.setGoing(false)
    this.go(this.frame + by)
  }

  hold(on) {
    if (this.held === on || (!on && !this.held)) return
    this.held = on
    if (!on) this.go(this.frame)
  }

  arrived(camera) {
    this.refresh()
    if (!this.going) camera.show(this.frame)
  }

  lost(camera) {
    if (camera === this.leader && this.running) this.go(this.frame)
    this.refresh()
  }

  // -- playing

  async play() {
    if (!this.cameras.length) return
    const [a, b] = this.loop
    this.setGoing(true)
    await this.go(this.frame >= b || (this.looping && this.frame < a) ? a : this.frame)
  }

  async pause() {
    this.setGoing(false)
    const leader = this.leader
    const k = this.running && leader
      ? frameAt(leader.pts, leader.video.currentTime) - leader.shift : this.frame
    await this.go(k)
  }

  /** The videos, or pictures of their motion, at the same frame; playing goes on. */
  async turnFlow() {
    if (!this.model.has_flow) return
    const again = this.going
    if (again) await this.pause()
    this.again = again
    this.model.flow = !this.model.flow
  }

  setGoing(on) {
    this.going = on
    if (this.model.playing !== on) this.model.playing = on
    this.toggle.replaceChildren(picture(on ? 'pause' : 'play'))
    const label = on ? 'Pause (Space)' : 'Play (Space)'
    this.toggle.title = label
    this.toggle.setAttribute('aria-label', label)
  }

  /** Let the videos run from the frame that is on show. */
  run() {
    this.running = true
    const here = this.cameras.filter(c => c.ready && c.has(this.frame))
    const bent = camera => camera.path ? 1 : 0                   // who follows a path leads nobody
    this.leader = here.sort((a, b) => bent(a) - bent(b) || b.last - a.last || a.index - b.index)[0] ?? null
    this.since = {frame: this.frame, time: performance.now()}    // the clock where nobody leads
    this.speeds()
    for (const camera of here) this.start(camera)
    this.timer = setInterval(() => this.tick(), TICK_MS)
  }

  stop() {
    if (this.running && !document.hidden) {
      // a picture that is on its way when the videos stop would cover that of the seek: let it pass
      this.rested = new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))
    }
    this.running = false
    clearInterval(this.timer)
    clearTimeout(this.turning)
    for (const camera of this.cameras) camera.video.pause()
  }

  start(camera) {
    camera.proven = -1
    camera.video.play().catch(error => {
      if (error.name === 'AbortError' || camera.closed) return        // paused again meanwhile
      if (error.name === 'NotAllowedError') return this.pause()
      camera.fail()
    })
  }

  speeds() {
    this.since = {frame: this.frame, time: performance.now()}
    for (const camera of this.cameras) camera.video.playbackRate = this.rateOf(camera, this.frame)
  }

  /** Tables that run at another pace (25 against 50 frames a second) are played at another speed. */
  rateOf(camera, place) {
    if (!this.leader || camera === this.leader) return this.model.rate
    const ratio = pace(camera.pts, camera.place(place)) / pace(this.leader.pts, place + this.leader.shift)
    const steps = camera.path ? (camera.place(place + 15) - camera.place(place)) / 15 : 1
    return clamp(this.model.rate * steps * (Number.isFinite(ratio) && ratio > 0 ? ratio : 1), 0.0625, 16)
  }

  /** Compare the cameras with the leader, ten times a second. */
  tick() {
    const leader = this.leader
    if (!leader) {
      if (this.cameras.some(c => c.ready && c.has(this.frame))) return this.go(this.frame)
      if (this.cameras.some(c => !c.failed && !c.ready)) {         // on its way: wait for it
        this.since = {frame: this.frame, time: performance.now()}
        return
      }
      const pts = this.cameras.find(c => !c.failed)?.pts ?? [0, 0.04]
      const by = (performance.now() - this.since.time) / 1000 * this.model.rate / pace(pts, 0)
      this.arrive(Math.floor(this.since.frame + by))
      return
    }
    const starving = this.cameras.filter(c => c.ready && c.has(this.frame) && !c.video.ended
      && c.video.readyState < 3 && this.frame < c.last - 2)
    for (const camera of this.cameras) {
      if (camera.ready && !camera.gone) {
        if (starving.includes(camera)) camera.say('Loading …', '', true); else camera.say()
      }
    }
    const place = position(leader.pts, leader.video.currentTime) - leader.shift
    for (const camera of this.cameras) {
      if (!camera.ready) continue
      const v = camera.video
      if (!camera.covers(clamp(Math.floor(place), 0, this.length - 1))) continue
      if (starving.length && !starving.includes(camera)) { v.pause(); continue }   // wait for them
      if (v.paused && !v.ended) this.start(camera)
      if (camera === leader || v.seeking) continue
      const target = timeOf(camera.pts, camera.place(place))
      const drift = v.currentTime - target
      const rate = this.rateOf(camera, place)
      if (Math.abs(drift) > JUMP_S * Math.max(1, this.model.rate)) v.currentTime = target
      else v.playbackRate = clamp(rate * (1 - clamp(2 * drift, -BEND, BEND)), 0.0625, 16)
    }
    if (leader.video.ended) this.arrive(leader.last + 1)
    else if (leader.unseen) this.arrive(Math.floor(place))       // nothing is painted that could tell
  }

  painted(camera) {
    if (this.running && camera === this.leader) this.arrive(camera.shown - camera.shift)
  }

  /** Frame k of the recording has come, while playing. */
  arrive(k) {
    const [a, b] = this.looping && this.loop[1] > this.loop[0] ? this.loop : [0, this.length - 1]
    if (k > b) return this.turnBack(a, b)
    this.frame = Math.max(0, k)
    this.place()
    this.tell(this.frame)
    clearTimeout(this.turning)
    if (k === b) {
      const leader = this.leader
      const rest = leader ? lasts(leader.pts, clamp(b + leader.shift, 0, leader.pts.length - 1)) : 0.04
      this.turning = setTimeout(() => this.running && this.turnBack(a, b), 1000 * rest / this.model.rate)
    }
  }

  /** The last frame has had its time: start over, or rest on it. */
  turnBack(a, b) {
    if (this.looping) return this.go(a)
    this.setGoing(false)
    this.go(b)
  }

  // -- loop, offsets

  mark(i) {
    this.marks[i] = this.marks[i] === this.frame ? null : this.frame
    if (this.marks.every(m => m !== null) && this.marks[0] < this.marks[1]) this.setLoop(this.marked())
    else if (this.looping) this.setLoop([])
    this.refresh()
  }

  marked() {
    const [a, b] = [this.marks[0] ?? 0, this.marks[1] ?? this.length - 1]
    return a < b ? [a, b] : [0, this.length - 1]
  }

  setLoop(range) {
    this.model.loop = range
    this.refresh()
    if (this.running && this.looping && (this.frame < range[0] || this.frame > range[1])) this.go(range[0])
  }

  nudge(i, by) {
    const shift = [...this.model.shift]
    shift[i] = (shift[i] ?? 0) + by
    this.setShift(shift)
  }

  setShift(shift) {
    this.applied = this.model.shift = shift
    this.refresh()
    this.go(this.frame)
  }

  // -- telling Python

  /** The frame, at most ten times a second; `now`: at once. The last one is always told. */
  tell(k, now = false) {
    clearTimeout(this.telling)
    const wait = this.toldAt + TELL_MS - performance.now()
    if (!now && wait > 0) {
      this.telling = setTimeout(() => this.tell(this.frame, true), wait)
      return
    }
    this.toldAt = performance.now()
    this.told = k
    if (this.model.frame !== k) this.model.frame = k
  }

  /** Python (another view) moved the cursor, or an offset. What we said ourselves is no news. */
  follow() {
    const {frame, shift} = this.model
    const same = this.applied.length === shift.length && shift.every((s, i) => s === this.applied[i])
    if (frame === this.told && same) return
    this.applied = shift
    if (frame !== this.told) this.frame = clamp(this.told = frame, 0, this.length - 1)
    this.refresh()
    this.go(this.frame)
  }

  /** Somebody else on the page leads: no Python between. `held`: by hand, and not at its end yet. */
  lead({frame, shift, held = false, toggle = false, pause = false}) {
    const {model} = this
    if (pause) {
      if (this.going) this.pause()
      return
    }
    this.applied = model.shift = shift
    if (!this.cameras.length) {                  // they are on their way
      model.frame = frame ?? model.frame
      if (toggle) model.playing = true
      return
    }
    if (toggle && this.going) return this.pause()
    this.frame = clamp(frame ?? this.frame, 0, this.length - 1)
    this.refresh()
    if (toggle) return this.play()
    if (held) this.hold(true)
    this.go(this.frame)
    if (!held) this.hold(false)
  }

  // -- keys

  press(e) {
    const target = e.composedPath()[0]
    const inside = e.composedPath().includes(this.root)
    if (e.defaultPrevented || e.ctrlKey || e.metaKey || e.altKey || !this.cameras.length) return
    const writes = target.isContentEditable || ['TEXTAREA', 'SELECT'].includes(target.tagName)
      || (target.tagName === 'INPUT' && target !== this.slider)
    if (writes) return
    if (e.key === ' ' && target.tagName === 'BUTTON' && target !== this.toggle) return   // it is pressed
    if (!inside && ['BUTTON', 'A'].includes(target.tagName) && e.key === ' ') return
    const keys = {
      ' ': () => this.going ? this.pause() : this.play(),
      ArrowLeft: () => this.step(e.shiftKey ? -10 : -1),
      ArrowRight: () => this.step(e.shiftKey ? 10 : 1),
      Home: () => this.go(0),
      End: () => this.go(this.length - 1),
      a: () => this.mark(0), b: () => this.mark(1),
      f: () => this.turnFlow(),
      l: () => this.setLoop(this.looping ? [] : this.marked()),
    }
    const action = keys[e.key.length === 1 ? e.key.toLowerCase() : e.key]
    if (!action) return
    e.preventDefault()
    e.stopPropagation()
    action()
  }

  close() {
    this.stop()
    this.turn++
    clearTimeout(this.telling)
    this.leave()
    for (const camera of this.cameras) camera.close()
    this.cameras = []
  }
}

export function render({model}) {
  const root = make('div', {class: 'player', tabindex: '0', role: 'group', 'aria-label': 'Synchronised player'})
  const player = new SyncPlayer(model, root)
  // one message may carry several changes, in any order: see them all before acting
  let soon = null, fresh = false
  const later = load => {
    fresh ||= load
    soon ??= setTimeout(() => {
      const load = fresh
      soon = null
      fresh = false
      const play = model.playing && !player.going
      if (load) player.load(); else player.follow()
      if (play) player.play()
    }, 0)
  }
  model.on(['srcs', 'pts', 'paths', 'labels', 'notes'], () => later(true))
  model.on('frame', () => later(false))
  model.on('message', () => player.words())
  model.on('playing', () => {
    if (model.playing === player.going) return
    if (soon !== null && model.playing) return    // once what is loaded now is there
    model.playing ? player.play() : player.pause()
  })
  model.on('rate', () => { player.refresh(); player.speeds() })
  model.on('loop', () => player.refresh())
  model.on(['flow', 'has_flow'], () => player.refresh())
  model.on('saved', () => player.refresh())
  model.on('shift', () => later(false))
  const led = ({detail}) => player.lead(detail)
  addEventListener(`lead-${model.channel}`, led)
  model.on('remove', () => {
    clearTimeout(soon)
    removeEventListener(`lead-${model.channel}`, led)
    player.close()
  })
  return root
}
