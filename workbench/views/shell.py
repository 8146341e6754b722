"""The page around everything: header, drawers, and the pages between which one moves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import Any

import panel as pn
import panel_material_ui as pmui
import param
from panel.custom import JSComponent
from panel_material_ui.base import BASE_TEMPLATE

from workbench.views.navigation import Navigation
from workbench.views.selection import Watching

THEME = {
    "light": {"palette": {"primary": {"main": "#1f5f7a"}, "background": {"default": "#f6f7f9"}}},
    "dark": {"palette": {"primary": {"main": "#57b6d9"}, "background": {"default": "#12151a"}}},
    "typography": {
        "fontSize": 13,
        "body1": {"fontSize": "0.875rem"},
        "button": {"textTransform": "none"},
    },
}

HEADER = {"&.mui-dark .header": {"backgroundColor": "#17252d", "color": "#e6eef2"}}

# es-module-shims, through which Panel loads modules, reads a module, looks for imports to rewrite
# and hands the browser a copy, which it compiles anew on every visit. The bundle of all Material
# components (1.4 MB) imports nothing: the browser may load it as it is, early, and keep it compiled
# (0.3 s less until the first card). Where the bundle has another name nothing is different.
HEAD = """
{% extends page %}
{% block preamble %}
<script>
  self.esmsInitOptions = {
    skip: "/panel-material-ui[.]bundle[.]js",
    fetch: (url, options) => url.match(esmsInitOptions.skip)
      ? new Response(`export * from "${url}"; export {default} from "${url}"`,
                     {headers: {"Content-Type": "text/javascript"}})
      : fetch(url, options),
  }
</script>
{{ super() }}
{% endblock %}
"""
TEMPLATE = BASE_TEMPLATE.environment.from_string(HEAD, globals={"page": BASE_TEMPLATE})


@dataclass(frozen=True)
class PageSpec:
    """A page: its name, a Material icon, and what builds it when it is first looked at.

    lasting: it is not built anew when other data or features are looked at (a form keeps its
    entries). group: neighbours of the same group stand together under its name.
    """

    name: str
    icon: str
    build: Callable[[], Any]
    lasting: bool = False
    group: str = ""


class Screen(JSComponent):
    """Tells how wide the window is, once, when the page is there."""

    width_px = param.Integer(default=0, doc="Pixels; 0 until the browser has told.")

    _esm = """
    export function render({model, el}) {
      el.style.display = "none"
      model.width_px = innerWidth
    }
    """


class Shell(pn.viewable.Viewer):
    """Header with title and theme, left and right drawer, and one page at a time.

    A page is built when it is first shown, and only the one that is shown is in the browser. The
    drawers are built when the browser has the page: what was asked for comes first.
    """

    page = param.String(default="", doc="Name of the page that is shown.")

    def __init__(
        self,
        title: str,
        pages: Sequence[PageSpec],
        left: Callable[[], Any] | None = None,
        right: Callable[[], Any] | None = None,
    ) -> None:
        super().__init__(page=pages[0].name)
        self.pages = {spec.name: spec for spec in pages}
        self._built: dict[str, Any] = {}
        self.tabs = Navigation(
            [
                (name, [(spec.name, spec.icon) for spec in group])
                for name, group in groupby(pages, key=lambda spec: spec.group)
            ]
        )
        self.screen = Screen(width=0, height=0, margin=0)
        self.slot = pn.Column(sizing_mode="stretch_both", margin=(8, 12), min_height=300)
        self.drawers = [pn.Column(sizing_mode="stretch_width", margin=0) for _ in range(2)]
        self._furnishings = [(d, b) for d, b in zip(self.drawers, (left, right), strict=True) if b]
        self.view = pmui.Page(
            title=title,
            template=TEMPLATE,
            theme_config=THEME,
            sx=HEADER,
            sidebar=self.drawers[:1] if left else [],
            sidebar_width=270,
            contextbar=self.drawers[1:] if right else [],
            contextbar_open=right is not None,
            contextbar_variant="auto",
            contextbar_width=460,
            contextbar_resizable=True,
            header=[self.screen],
            main=[pn.Column(self.tabs, self.slot, sizing_mode="stretch_both", margin=0)],
        )
        self.tabs.param.watch(self._on_tab, "active")
        # what is sent before the browser has the whole page gets lost, so wait for that
        self.screen.param.watch(lambda _: pn.state.onload(self._furnish), "width_px")
        self.param.watch(lambda *_: self._show(), "page")

    def show(self, content: Any) -> None:
        """Something else in the place of the pages: the making of the demo, say."""
        self.tabs.visible = False
        self.slot[:] = [content]

    def open(self, page: str = "") -> None:
        """Build the pages anew, the shown one at once."""
        for name in [n for n in self._built if not self.pages[n].lasting]:
            dropped = self._built.pop(name)
            if isinstance(dropped, Watching):
                dropped.close()
        self.tabs.visible = True
        if page in self.pages:
            self.page = page
        self._show()

    def _on_tab(self, event: param.parameterized.Event) -> None:
        self.page = list(self.pages)[event.new]

    def _show(self) -> None:
        if self.page not in self.pages:
            self.page = next(iter(self.pages))
        self.tabs.active = list(self.pages).index(self.page)
        if self.page not in self._built:
            self._built[self.page] = self._build(self.pages[self.page])
        self.slot[:] = [self._built[self.page]]

    def _build(self, spec: PageSpec) -> Any:
        try:
            return spec.build()
        except Exception as error:  # one broken page must not take the others with it
            pn.state.param.warning(f"page {spec.name}: {error!r}")
            text = f"**The {spec.name} page cannot be shown.** {escape(str(error))}"
            again = pmui.Button(label="Try again", icon="refresh")
            again.on_click(lambda _: self.open(self.page))
            return pn.Column(pmui.Alert(text, severity="error"), again)

    def _furnish(self) -> None:
        self._fit()
        for drawer, build in self._furnishings:
            drawer[:] = [build()]

    def _fit(self) -> None:
        """On a narrow screen the drawers would hide the page: begin with them closed."""
        if 0 < self.screen.width_px < 1100:
            self.view.contextbar_open = False
        if 0 < self.screen.width_px < 800:
            self.view.sidebar_open = False

    def __panel__(self) -> pn.viewable.Viewable:
        """The whole page."""
        return self.view


def toast(text: str, kind: str = "warning") -> None:
    """A short message at the edge of the page."""
    if pn.state.notifications:
        pn.state.notifications.send(text, type=kind, duration=6000)
