"""Studies: what a paper claims, measured on a demo."""

from collections.abc import Callable

from workbench.training.studies import actions, bottling, judo
from workbench.training.study import Study

STUDIES: dict[str, Callable[..., Study]] = {
    "judo": judo.judo_study,
    "judo-backbones": judo.backbones_study,
    "bottling": bottling.bottling_study,
    "actions": actions.actions_study,
}
"""Each: the name of a data set, quick or not, seeds or none -> study."""
DATA = {
    "judo": judo.demo,
    "judo-backbones": judo.demo,
    "bottling": bottling.demo,
    "actions": actions.demo,
}
"""Each: quick or not -> name, size and seed of the demo that the study is on."""
