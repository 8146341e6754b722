from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workbench.analysis.embeddings import COLUMNS, Embeddings
from workbench.clock import Clock
from workbench.data.video import ClipShape, Video, VideoSource
from workbench.sampling import SameCluster

SHAPE = ClipShape(length=4, stride=2, size=16)  # covers 7 frames
LABELS = ["run", "run", "jump", "jump", "jump", "run", "run", "jump"]


def source(labels=LABELS, frames=30, flow=True):
    """Videos 0, 1 and 5, 6 look alike, and so do 2, 3, 4, 7; the last one is too short."""
    videos = [
        Video(Path(f"v{i}.mp4"), f"v{i}", "1", label, frames, 30.0)
        for i, label in enumerate([*labels, "run"])
    ]
    videos[-1] = replace(videos[-1], n_frames=5)
    flows = (lambda i: np.zeros((videos[i].n_frames - 1, 8, 8, 2))) if flow else None
    return VideoSource(
        videos, SHAPE, lambda i: np.zeros((videos[i].n_frames, 8, 8, 3)), flows,
        "data set 'x' holds no optical flow. Run `workbench flow x` first.",
    )  # fmt: skip


def embed(*, middle):
    """Three directions: 0, 1 and 5, 6 by themselves, the rest together."""
    assert middle
    axis = np.array([0, 0, 1, 1, 1, 2, 2, 1])
    z = np.eye(3)[axis] + 0.01 * np.random.default_rng(0).normal(size=(8, 3))
    z[[3, 7]] += [0.2, 0, 0], [0.2, 0, 0]  # of one pair of the four, and still alike
    index = pd.DataFrame(dict.fromkeys(COLUMNS, None) | {"video": np.arange(8)})
    return Embeddings(z.astype(np.float32), index)


def clustered(**settings):
    data = source()
    return SameCluster(**settings).refresh(data, Clock(), embed), data


def drawn(sampler, data, i=0, n=400):
    rng = np.random.default_rng(0)
    return [sampler.sample(data, i, rng) for _ in range(n)]


def test_the_anchor_is_the_first_window_twice_and_the_positive_of_its_cluster():
    sampler, data = clustered(same_video=0.0, flow=0.0)
    clusters = dict(zip(*sampler.clustering(), strict=True))
    assert len(clusters) == 8  # not the one that is too short
    assert clusters[0] == clusters[1] != clusters[2]
    for i in range(8):
        examples = drawn(sampler, data, i, 60)
        assert {e.views[:2] for e in examples} == {(data.clip(i, 0),) * 2}
        partners = {e.views[2].video for e in examples}
        assert partners == {j for j in clusters if clusters[j] == clusters[i]} - {i}
        assert {e.group for e in examples} == {clusters[i]}


def test_shares_of_the_own_video_and_of_flow():
    sampler, data = clustered(same_video=0.2, flow=0.25)
    positives = [e.views[2] for e in drawn(sampler, data, n=1000)]
    own = sum(p.video == 0 for p in positives)
    flow = sum(p.stream == "flow" for p in positives)
    assert 160 < own < 240 and 205 < flow < 295
    both = sum(p.video == 0 and p.stream == "flow" for p in positives)
    assert 30 < both < 75  # independent of each other


def test_the_positive_does_not_overlap_the_anchor_where_it_fits():
    sampler, data = clustered(same_video=1.0, flow=0.5)
    starts = Counter(e.views[2].start for e in drawn(sampler, data))
    assert set(starts) == set(range(7, 30 - 7 - 1 + 1))  # flow needs one frame more
    short = source(frames=10)
    sampler = SameCluster(flow=0.0).refresh(short, Clock(), embed)
    assert {e.views[2].start for e in drawn(sampler, short)} == {3}


def test_before_the_first_clustering_every_video_is_by_itself():
    data = source()
    sampler = SameCluster(warmup=3, same_video=0.0)
    assert sampler.refresh(data, Clock(epoch=2), None) is sampler
    assert {(e.views[2].video, e.group) for e in drawn(sampler, data, 4)} == {(4, 4)}
    assert sampler.clustering() is None and sampler.logs() == {}
    assert sampler.refresh(data, Clock(epoch=3), embed).logs()["clusters"] >= 3


def test_clusters_are_found_again_every_so_many_epochs():
    data, asked = source(), []

    def counted(**how):
        asked.append(epoch)
        return embed(**how)

    sampler = SameCluster(every=4, warmup=2)
    for epoch in range(13):
        sampler = sampler.refresh(data, Clock(epoch=epoch), counted)
    assert asked == [2, 4, 8, 12]


def test_logs_against_labels():
    sampler, _ = clustered()
    logs = sampler.logs()
    recording, cluster = sampler.clustering()
    true = np.array(LABELS)[recording]
    i, j = np.triu_indices(8, 1)
    one, same = cluster[i] == cluster[j], true[i] == true[j]
    assert logs["clusters"] == len(set(cluster))
    assert logs["false_positives"] == pytest.approx((one & ~same).sum() / one.sum())
    assert logs["false_negatives"] == pytest.approx((~one & same).sum() / (~one).sum())
    assert 0 < logs["nmi"] < 1 and logs["own_share"] == 0.2
    unknown = SameCluster().refresh(source([None] * 8), Clock(), embed)
    assert set(unknown.logs()) == {"clusters", "own_share"}


def test_adaptive_takes_the_own_video_the_more_often_the_worse_the_clusters_are():
    sampler, data = clustered(adaptive=True)
    assert sampler.usable(data) == list(range(8))
    share = 1 - sampler.logs()["nmi"]
    assert sampler.own_share == share
    own = sum(e.views[2].video == 0 for e in drawn(sampler, data, n=1000))
    assert abs(own / 1000 - share) < 0.05
    with pytest.raises(ValueError, match=r"fewer than two of the 9 .*adaptive to false"):
        SameCluster(adaptive=True, flow=0).usable(source([None] * 8))


def test_flow_has_to_be_there_or_switched_off():
    data = source(flow=False)
    with pytest.raises(ValueError, match=r"Run `workbench flow x` first. Or set sampler.flow to 0"):
        SameCluster().usable(data)
    assert SameCluster(flow=0.0).usable(data) == list(range(8))


def test_a_resumed_sampler_draws_the_same():
    sampler, data = clustered()
    again = SameCluster().restored({k: v.copy() for k, v in sampler.state().items()})
    assert drawn(sampler, data) == drawn(again, data)
    assert sampler.logs() == again.logs()
    assert again.refresh(data, Clock(epoch=1), None) is again
    assert SameCluster().restored({}).clustering() is None
