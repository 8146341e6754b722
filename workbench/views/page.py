"""A page that needs no server and no network."""

from __future__ import annotations

from html import escape

from bokeh.embed import components
from bokeh.models import LayoutDOM
from bokeh.resources import Resources


def page(content: LayoutDOM, title: str) -> str:
    """A page with Bokeh's own code in it; `file_html` links to Panel's too where that is loaded."""
    script, place = components(content)
    code = "".join(f"<script>{text}</script>" for text in Resources("inline").js_raw)
    return (
        f"<!DOCTYPE html><html><head><meta charset='utf-8'><title>{escape(title)}</title>"
        f"{code}</head><body>{place}{script}</body></html>"
    )
