"""Studies: what a paper claims, measured on a demo."""

from collections.abc import Callable

from workbench.training.studies.judo import judo_study
from workbench.training.study import Study

STUDIES: dict[str, Callable[..., Study]] = {"judo": judo_study}
"""Each: the name of a data set, quick or not, seeds or none -> study."""
