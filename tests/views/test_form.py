from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, model_validator

from workbench.config import Config
from workbench.training.experiment import DataConfig, Experiment
from workbench.views.form import ConfigForm

Share = Annotated[float, Field(ge=0, le=1)]


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Net(Config):
    name: Literal["net"] = "net"
    width: int = Field(16, ge=1, le=64)
    """Channels."""


class Lens(Config):
    name: Literal["lens"] = "lens"
    weights: str = "none"
    focus: Share = 0.5


class Inner(Config):
    on: bool = False
    """Whether to."""
    maybe: bool | None = None
    low: float = 0.1
    high: float = 0.9

    @model_validator(mode="after")
    def _in_order(self):
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        return self


class Everything(Config):
    title: str
    """What it is called."""
    part: Annotated[Net | Lens, Field(discriminator="name")] = Net()
    """What sees."""
    other: Annotated[Net | Lens, Field(discriminator="name")] | None = None
    inner: Inner = Inner()
    count: int = Field(3, ge=1)
    many: int | None = Field(None, ge=1)
    rate: float = Field(1e-4, gt=0, lt=1)
    scale: tuple[Share, Share] = (0.2, 1.0)
    drops: tuple[float, ...] = (0.6, 0.8)
    names: tuple[str, ...] | None = None
    kind: Literal["a", "b"] = "a"
    kinds: tuple[Literal["a", "b"], ...] = ("a",)
    colour: Colour = Colour.RED
    path: Path = Path("x.txt")
    table: dict[str, int] = {"a": 1}  # noqa: RUF012


START = Everything(title="first")
ODD = Everything.parse(
    {
        "title": "second, with a comma: and #",
        "part": {"name": "lens", "weights": "default", "focus": 0.123456789},
        "other": {"name": "net", "width": 7},
        "inner": {"on": True, "maybe": False, "low": 1e-9, "high": 0.30000000000000004},
        "count": 7,
        "many": 12,
        "rate": 3.3e-7,
        "scale": (0.123456, 0.9),
        "drops": (),
        "names": ("train", "val"),
        "kind": "b",
        "kinds": ("b", "a"),
        "colour": "blue",
        "path": "/a/b c.pt",
        "table": {"x": -1},
    }
)


@pytest.fixture
def form():
    form = ConfigForm(Everything, START, essential=("title", "part"))
    for path in ("part", "inner", "other"):
        form.open(path)
    form._groups.objects[-1].collapsed = False  # the rest
    return form


def type_in(form, path, value):
    """What a user does: the widget gets a value, as from the browser."""
    form._fields[path].widget.value = value


@pytest.mark.parametrize("config", [START, ODD])
def test_round_trip_is_exact(config):
    form = ConfigForm(Everything, START)
    form.value = config
    for path in list(form._cards):
        form.open(path)
    assert form.value == config
    # and once more through what the widgets hold
    for path, field in form._fields.items():
        assert field._read(field.widget.value) == form.get(path), path
    again = ConfigForm(Everything, config)
    assert again.value == config
    assert again.changed == ()


def test_every_field_has_a_widget(form):
    expected = {"title", "inner.on", "inner.maybe", "inner.low", "inner.high", "part.width"}
    expected |= {"count", "many", "rate", "scale", "drops", "names", "kind", "kinds"}
    expected |= {"colour", "path", "table"}
    assert set(form._fields) == expected
    assert form._fields["title"].widget.description == "What it is called."
    assert form._fields["count"].widget.start == 1


def test_numbers_may_be_typed_with_an_exponent(form):
    type_in(form, "rate", "2e-3")
    assert form.value.rate == 2e-3
    assert form.changed == ("rate",)
    assert "changed from 0.0001" in form._fields["rate"].widget.helper_text


@pytest.mark.parametrize(
    ("path", "typed", "said"),
    [
        ("rate", "7", "must be less than 1.0"),
        ("rate", "fast", "must be a number"),
        ("rate", "0", "must be more than 0.0"),
        ("count", 0, "must be at least 1"),
        ("count", None, "whole number"),
        ("many", "2.5", "whole number"),
        ("drops", "0.5, x", "must be a number"),
        ("table", "{a: b}", "must be a whole number"),
        ("table", "{a", "cannot be read"),
    ],
)
def test_mistakes_are_said_beside_the_field(form, path, typed, said):
    before = form.value
    type_in(form, path, typed)
    assert said in form.errors[path]
    assert said in form._fields[path].widget.helper_text
    assert form._fields[path].widget.error_state
    assert form.value is before, "the last valid settings stay"
    form.reset(path)
    assert form.errors == {}
    assert form.value == before
    assert not form._fields[path].widget.error_state


def test_contradictions_name_their_group(form):
    type_in(form, "inner.low", "0.95")
    assert form.errors == {"inner": "low 0.95 is above high 0.9"}
    assert form._problem.visible
    assert "1 to mend" in form._cards["inner"].title


def test_a_missing_value_is_asked_for():
    form = ConfigForm(Everything)
    assert form.value is None
    assert form.errors == {"title": "needs a value"}
    form.set("title", "here")
    assert form.value == Everything(title="here")


def test_options_swap_their_settings(form):
    type_in(form, "part.width", 5)
    form._selects["part"].value = "lens"
    assert form.value.part == Lens()
    assert set(p for p in form._fields if p.startswith("part.")) == {"part.weights", "part.focus"}
    type_in(form, "part.focus", 0.25)
    assert form.changed == ("part", "part.focus")
    form.set("part", "net")
    assert form.value == START


def test_an_optional_group_can_be_used_or_not(form):
    assert form.value.other is None
    form.set("other", "net")
    assert form.value.other == Net()
    form.set("other", "none")
    assert form.value.other is None


def test_reset_all(form):
    type_in(form, "kind", "b")
    form.set("part", "lens")
    form.reset()
    assert form.value == START
    assert form.changed == ()


def test_names_known_at_run_time_are_offered():
    form = ConfigForm(Everything, START, choices={"title": ["first", "other"]}, essential=["title"])
    widget = form._fields["title"].widget
    assert list(widget.options.values()) == ["first", "other"]
    form.value = Everything(title="gone")
    assert "gone (not found)" in form._fields["title"].widget.options
    assert form.value.title == "gone"


def test_the_code_is_shown():
    form = ConfigForm(Everything, START, command=lambda config, changed: f"do {changed}")
    form._code_card.collapsed = False
    form.set("count", 9)
    assert "do ('count',)" in form._code.object
    assert START.model_copy(update={"count": 9}).to_yaml() in form._code.object
    form.set("count", -1)
    assert "Mend" in form._code.object


def test_the_settings_of_a_run():
    experiment = Experiment(data=DataConfig(name="judo"))
    form = ConfigForm(Experiment, experiment, essential=("data.name", "encoder", "train.lr"))
    for path in list(form._cards):
        form.open(path)
    for path in list(form._cards):
        form.open(path)
    assert form.value == experiment
    assert form.errors == {}
    for path, field in form._fields.items():
        assert field.leaf.help, f"{path} has no description"
        assert field._read(field.widget.value) == form.get(path), path
    form.set("sampler", "other-camera")
    assert form.value.sampler.name == "other-camera"
    assert Experiment.parse(form.value.model_dump(mode="json")) == form.value
