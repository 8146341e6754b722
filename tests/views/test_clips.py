import pandas as pd
import pytest

from workbench.views.clips import NONE, ClipGallery, Filters, choices, expression, shown
from workbench.views.selection import Cursor, Filter


def test_gallery_has_a_card_per_recording_with_its_facts(store):
    gallery = ClipGallery(store.dataset, store.cursor, store.filter)
    assert [c["id"] for c in gallery.cards.items] == store.dataset.recordings
    card = gallery.cards.items[1]
    assert card["badge"] == "2 cameras" and card["caption"] == "60 frames · 2.0 s"
    assert [c["text"] for c in card["chips"]] == ["spin", "train"]
    assert card["sheet"]["n"] == 20 and card["sheet"]["src"][:2] == b"\xff\xd8"  # no server: bytes


def test_gallery_and_cursor_follow_each_other(store):
    gallery = ClipGallery(store.dataset, store.cursor)
    gallery.cards._handle_msg({"choose": "take03"})
    assert store.cursor.recording == "take03" and gallery.cards.selected == "take03"
    store.cursor.move(5, "elsewhere", "take01")
    assert gallery.cards.selected == "take01"


def test_filters_write_what_the_gallery_shows(store):
    gallery = ClipGallery(store.dataset, store.cursor, store.filter)
    filters = Filters(store.dataset, store.filter)
    filters.facets["label"].value = ["spin"]
    assert gallery.cards.shown == [1, 4] and "<b>2</b> of 6" in gallery.count.object
    filters.facets["camera"].value = ["right"]
    assert "2 videos" in gallery.count.object
    filters.facets["tags"].value = ["odd"]
    assert gallery.cards.shown == [1]
    filters._clear()
    assert store.filter.expr == "" and gallery.cards.shown is None
    filters.search.value = "KE05"
    assert gallery.cards.shown == [5]


@pytest.mark.parametrize("text", ["it's", '"', "a' or True or '", "*(", "\\", "@x", "`label`"])
def test_a_search_text_is_only_text(store, text):
    assert len(shown(store.dataset, Filter(expr=expression({}, text)))) == 0


def test_unlabelled_recordings_can_be_asked_for():
    table = pd.DataFrame({"label": ["a", None], "tags": ["x,y", ""], "recording": ["r", "s"]})
    assert choices(table, "label") == [NONE, "a"] and choices(table, "tags") == [NONE, "x", "y"]
    for facet in ("label", "tags"):
        kept = table.query(expression({facet: [NONE]}), engine="python")
        assert list(kept["recording"]) == ["s"]
    both = table.query(expression({"tags": ["y", NONE]}), engine="python")
    assert len(both) == 2 and not len(table.query(expression({"tags": ["z"]}), engine="python"))


def test_gallery_with_a_thousand_recordings_is_built_quickly(store):
    import time

    many = pd.concat([store.dataset.table.assign(
        recording=store.dataset.table["recording"] + f"-{k}") for k in range(170)])  # fmt: skip
    store.dataset.table = many.reset_index(drop=True)
    start = time.process_time()
    gallery = ClipGallery(store.dataset, Cursor())
    assert len(gallery.cards.items) == 1020
    assert time.process_time() - start < 5
