"""Views in a notebook cell."""

import panel as pn


def notebook() -> None:
    """Make views work in the cells of this notebook; nothing is loaded from a network."""
    pn.extension("tabulator", inline=True)
