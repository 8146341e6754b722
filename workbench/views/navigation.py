"""The names of all pages at the top of the page, in groups that wrap instead of scrolling."""

from __future__ import annotations

from pathlib import Path

import param
from panel.custom import JSComponent

HERE = Path(__file__).parent


class Navigation(JSComponent):
    """Tabs in named groups. `active` counts them through all groups; whoever likes may set it."""

    groups = param.List(default=[], doc="(name of the group, [(label, Material icon), ...]).")
    active = param.Integer(default=0, bounds=(0, None), doc="Number of the chosen tab.")

    _bundle = HERE / "navigation.js"  # plain JavaScript: the browser takes it as it is
    _stylesheets = [(HERE / "navigation.css").read_text()]  # noqa: RUF012 (Panel's own convention)

    def __init__(self, groups: list, **params: object) -> None:
        super().__init__(groups=groups, **{"sizing_mode": "stretch_width", "margin": 0, **params})
