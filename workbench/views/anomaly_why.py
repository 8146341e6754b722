"""Why a moment raised an alarm: its clip and the nearest normal clip, played in step."""

from __future__ import annotations

from html import escape
from uuid import uuid4

import numpy as np
import panel as pn
import panel_material_ui as pmui
import param

from workbench.analysis.embeddings import Embeddings
from workbench.analysis.similarity import unit
from workbench.data.manifest import DataSet
from workbench.views.anomaly_judge import Alarm, Judgement, Track
from workbench.views.anomaly_plots import Beside
from workbench.views.player import SyncPlayer, sources
from workbench.views.playhead import Playhead

AROUND = 1.0
"""Seconds that are shown before and after an alarm."""
LONGEST = 10.0
"""Seconds of a clip, at most: of a longer alarm, those around its peak."""
ENOUGH = 0.7
"""Share of a clip that the normal clip beside it must cover."""

MOST = 60
"""Clips that are tried, at most."""


class Why(pn.viewable.Viewer):
    """An alarm beside the most similar clip of the reference, and how far apart they are.

    Both are shown as one camera sees them, first the one that disagrees most. The normal clip is
    the one with the least mean distance among those that bring the nearest normal row of a moment
    of the alarm beside it [our reconstruction].
    """

    camera = param.Selector(default=None, objects=[], doc="The camera that is shown.")

    def __init__(self, embeddings: Embeddings, dataset: DataSet) -> None:
        super().__init__()
        self.embeddings, self.dataset = embeddings, dataset
        self.alarm: Alarm | None = None
        self.normal: tuple[str, int] | None = None
        self._judgement: Judgement | None = None
        self._videos: list[int] = []
        self._shown = False
        self.said = pn.pane.HTML("", sizing_mode="stretch_width", margin=(2, 8))
        self.sync = SyncPlayer(channel=uuid4().hex)
        self.sync.before_show = self._locate
        self.plot = Beside()
        self.playhead = Playhead(self.sync.channel)
        self.playhead.draw(self.plot.figure)
        self.sync.param.watch(lambda e: self.playhead.param.update(frame=e.new), "frame")
        self.sync.param.watch(self._slide, "shift")
        self.playhead.param.watch(lambda e: self.sync.param.update(frame=e.new), "frame")
        self._picker = pmui.Select(
            label="Camera", options=[], size="small", width=150, margin=(4, 8), visible=False
        )
        self._picker.param.watch(lambda e: self._pick(e.new), "value")
        self.param.watch(lambda _: self._show(), "camera")
        self._pane = pn.pane.Bokeh(self.plot.figure, sizing_mode="stretch_width", margin=(0, 4))
        self._clips = pn.Column(
            self.sync, self._pane, self.playhead, sizing_mode="stretch_width", margin=0
        )
        self._view = pn.Column(self._picker, self.said, self._clips, sizing_mode="stretch_width")

    def open(self, judgement: Judgement, alarm: Alarm, play: bool = True) -> None:
        """Another alarm."""
        self._judgement, self.alarm = judgement, alarm
        cameras = list(self.disagreement())
        with param.parameterized.discard_events(self):
            self.param.camera.objects = cameras
            self.camera = cameras[0]
        self._picker.param.update(options=cameras, value=cameras[0], visible=len(cameras) > 1)
        self._show(play)

    def disagreement(self) -> dict[str, float]:
        """Mean score of each camera during the alarm, the highest first."""
        judged = self._judgement.of(self.alarm.recording)
        here = (judged.frames >= self.alarm.start) & (judged.frames < self.alarm.stop)
        means = {}
        for camera, scores in judged.by_camera.items():
            known = scores[here][np.isfinite(scores[here])]
            means[camera] = float(known.mean()) if len(known) else float("-inf")
        return dict(sorted(means.items(), key=lambda pair: -pair[1]))

    @property
    def clip(self) -> tuple[int, int]:
        """Frames [first, last] that are shown: the alarm, and a little before and after it."""
        a, length = self.alarm, self.dataset.length(self.alarm.recording)
        fps = self._judgement.of(a.recording).fps
        first, last = a.start - AROUND * fps, a.stop + AROUND * fps
        if last - first > LONGEST * fps:
            first = min(max(first, a.peak - LONGEST * fps / 2), last - LONGEST * fps)
            last = first + LONGEST * fps
        return max(0, round(first)), min(length - 1, round(last))

    def find(self) -> tuple[str, int] | None:
        """Recording of the normal clip, and how many frames later it is there; None: none."""
        track = self._track(self.alarm.recording, self.camera)
        first, last = self.clip
        rows = np.flatnonzero((track.frames >= first) & (track.frames <= last))
        rows = rows[track.nearest[rows] >= 0]
        rows = rows[np.linspace(0, len(rows) - 1, min(MOST, len(rows))).round().astype(int)]
        index, best = self.embeddings.index, (np.inf, None)
        names, frames = index["recording"].to_numpy(), index["frame"].to_numpy()
        for name, shift in dict.fromkeys(
            (names[n], int(frames[n] - f))
            for n, f in zip(track.nearest[rows], track.frames[rows], strict=True)
        ):
            apart = self._apart(self.camera, name, shift)[1]
            known = np.isfinite(apart)
            if not known.any():
                continue
            far = float(apart[known].mean()) + (10 if known.mean() < ENOUGH else 0)
            best = min(best, (far, (name, shift)), key=lambda pair: pair[0])
        return best[1]

    def _apart(self, camera: str, name: str, shift: int) -> tuple[np.ndarray, np.ndarray]:
        """Frames (T,) of the clip, and (T,) how far each is from `shift` frames later in another.

        Distance of unit vectors; NaN where the other recording shows nothing, or an anomaly.
        """
        mine, other = self._track(self.alarm.recording, camera), self._track(name, camera)
        first, last = self.clip
        here = np.flatnonzero((mine.frames >= first) & (mine.frames <= last))
        if other is None or not len(here):
            return mine.frames[here], np.full(len(here), np.nan)
        asked = mine.frames[here] + shift
        at = nearest(other.frames, asked)
        step = np.median(np.diff(other.frames)) if len(other.frames) > 1 else 1
        z = self.embeddings.z
        off = unit(z[mine.rows[here]]) - unit(z[other.rows[at]])
        gone = np.abs(other.frames[at] - asked) > step
        judged = self._judgement.of(name)
        if judged is not None and not judged.abnormal.all():
            gone |= judged.abnormal[nearest(judged.frames, asked)]
        return mine.frames[here], np.where(gone, np.nan, np.sqrt((off**2).sum(1)))

    def _track(self, recording: str, camera: str) -> Track | None:
        tracks = self._judgement.distances.tracks
        return tracks.get((recording, camera)) or next(
            (t for (name, _), t in tracks.items() if name == recording), None
        )

    def _show(self, play: bool = False) -> None:
        if self.alarm is None:
            return
        self.normal = self.find()
        self.said.object = self._words()
        self._clips.visible = self.normal is not None
        if self.normal is None:
            self.sync.param.update(srcs=[], playing=False)
            return
        name, shift = self.normal
        mine, other = self._video(self.alarm.recording), self._video(name)
        self._videos = [mine, other]
        videos = [self.dataset.videos[i] for i in self._videos]
        first, last = self.clip
        shifts = [videos[0].offset, videos[1].offset + shift]
        srcs, notes = self._sources()
        self.sync.param.update(
            srcs=srcs, notes=notes, shift=shifts, saved=shifts,
            pts=[np.asarray(self.dataset.playable(i)[1], np.float64) for i in self._videos],
            labels=[f"alarm: {self.alarm.recording}", f"normal: {name}"],
            frame=first if play else self.alarm.peak, loop=[first, last], playing=play,
        )  # fmt: skip
        self.playhead.param.update(last=last, frame=self.sync.frame)
        self._draw()

    def _draw(self) -> None:
        name, shift = self.normal
        cameras = sorted(self.disagreement())
        fps = self._judgement.of(self.alarm.recording).fps
        self.plot.show(
            {c: self._apart(c, name, shift) for c in cameras},
            self.clip, (self.alarm.start, self.alarm.stop), fps, self.camera,
        )  # fmt: skip

    def _slide(self, event: param.parameterized.Event) -> None:
        """A clip was moved against the other with the buttons of the player: compare these."""
        if self.normal is None or event.new == self.sync.saved:
            return
        offsets = [self.dataset.videos[i].offset for i in self._videos]
        mine, other = (s - o for s, o in zip(event.new, offsets, strict=True))
        self.normal = self.normal[0], other - mine
        self.sync.saved = list(event.new)
        self.said.object = self._words()
        self._draw()

    def _video(self, recording: str) -> int:
        cameras = self.dataset.cameras(recording)
        named = [i for i in cameras if self.dataset.videos[i].camera == self.camera]
        return (named or cameras)[0]

    def _sources(self) -> tuple[list, list[str]]:
        if not self._shown:
            return ["" for _ in self._videos], ["loading" for _ in self._videos]
        return sources(self.dataset, self._videos)

    def _locate(self) -> None:
        self._shown = True
        srcs, notes = self._sources()
        self.sync.param.update(srcs=srcs, notes=notes)

    def _words(self) -> str:
        a, fps = self.alarm, self._judgement.of(self.alarm.recording).fps
        kind = f"it meets <b>{escape(a.kind)}</b>" if a.kind else "no anomaly is known here"
        parts = [
            f"<b>{escape(a.recording)}</b> from {clock(a.start / fps)} to {clock(a.stop / fps)}, "
            f"highest score {a.score:.3f} at {clock(a.peak / fps)}; {kind}."
        ]
        means = [(escape(str(c)), s) for c, s in self.disagreement().items() if np.isfinite(s)]
        if len(means) > 1:
            others = ", ".join(f"{c} {s:.3f}" for c, s in means[1:])
            most, score = means[0]
            parts.append(f"Camera <b>{most}</b> disagrees most: {score:.3f} ({others}).")
        if self.normal is None:
            parts.append("The reference has nothing to show beside it.")
        else:
            name, shift = self.normal
            begin = max(0, self.clip[0] + shift) / fps
            parts.append(f"Nearest normal clip: <b>{escape(name)}</b> from {clock(begin)}.")
        return f'<div class="why" style="font-size:13px;line-height:1.5">{" ".join(parts)}</div>'

    def _pick(self, camera: str | None) -> None:
        if camera in self.param.camera.objects:
            self.camera = camera

    def __panel__(self) -> pn.viewable.Viewable:
        """What is known of the alarm above both clips, and their distance below."""
        return self._view


def nearest(frames: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """(N,) which of some ascending frames (T,) is nearest to each that is asked for (N,)."""
    return np.searchsorted((frames[1:] + frames[:-1]) / 2, asked)


def clock(seconds: float) -> str:
    """Minutes and seconds: 1:05.2."""
    minutes, rest = divmod(round(10 * seconds), 600)
    return f"{minutes}:{rest / 10:04.1f}"
