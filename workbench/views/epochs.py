"""A slider over the epochs of which there is something."""

from __future__ import annotations

import panel as pn
import panel_material_ui as pmui
import param


class EpochSlider(pn.viewable.Viewer):
    """Chooses one of some epochs. At the last one it stays with the last, as more come."""

    epochs = param.List(default=[], item_type=int, doc="Those there are, in order.")
    value = param.Integer(default=-1, doc="The chosen one; -1: there is none.")

    def __init__(self) -> None:
        super().__init__()
        self.slider = pmui.IntSlider(
            label="Epoch", start=0, end=1, value=0, show_value=False, margin=(4, 20),
            sizing_mode="stretch_width", max_width=420, min_width=200, visible=False,
        )  # fmt: skip
        self.slider.param.watch(lambda e: self._slid(e.new), "value")

    def offer(self, epochs: list[int]) -> None:
        """There are other epochs now."""
        if not epochs or epochs == self.epochs:
            return
        follows = not self.epochs or self.value == self.epochs[-1]
        shown = epochs[-1] if follows or self.value not in epochs else self.value
        place, self.epochs = epochs.index(shown), epochs
        self.slider.param.update(
            end=max(1, len(epochs) - 1), value=place, visible=len(epochs) > 1,
            label=self._said(place),
        )  # fmt: skip
        self.value = shown

    def _slid(self, place: int) -> None:
        if place < len(self.epochs):
            self.slider.label = self._said(place)
            self.value = self.epochs[place]

    def _said(self, place: int) -> str:
        return f"Epoch {self.epochs[place]} ({place + 1} of {len(self.epochs)})"

    def __panel__(self) -> pn.viewable.Viewable:
        """The slider, where there is a choice."""
        return self.slider
