"""``check_model`` passes a sound model and names the promise that a broken one breaks."""

from __future__ import annotations

import random

import numpy as np
import pandas as pd
import pytest
import torch

from qlib_ext.errors import ContractError
from qlib_ext.models.astgnn import ASTGNN
from qlib_ext.models.gru import GRU
from qlib_ext.models.resnet_gru import ResNetGRU
from qlib_ext.testing import IMAGES, check_model
from qlib_ext.testing.contract import PROMISES, Case

SMALL = {"hidden_size": 6, "num_layers": 1, "num_factors": 3, "GPU": -1}


class Broken(GRU):
    """A GRU whose scores are changed after they are made."""

    def scored(self, dataset, segment="test"):
        score, factors = super().scored(dataset, segment)
        changed = self.change(score, dataset)
        return changed, factors if changed is score else pd.DataFrame({"net0_factor0": changed})

    def change(self, score, dataset):
        return score


class Fewer(Broken):
    def change(self, score, dataset):
        return score.iloc[:-1]


class Infinite(Broken):
    def change(self, score, dataset):
        return score.where(score > score.min(), np.inf)


class OtherFactors(GRU):
    def weak_factors(self, dataset, segment="test"):
        return super().weak_factors(dataset, segment) + 1


class Constant(Broken):
    def change(self, score, dataset):
        return score * 0


class Opposite(Broken):
    def change(self, score, dataset):
        return -score


class Noisy(Broken):
    def change(self, score, dataset):
        return score + np.random.default_rng().standard_normal(len(score)) * 1e-3


class ReSeeding(GRU):
    def fit(self, dataset, evals_result=None, save_path=None):
        torch.manual_seed(1)
        super().fit(dataset, evals_result, save_path)


class PythonsSeed(GRU):
    def build(self, *args):
        random.seed(3)
        return super().build(*args)


class FirstSeedAlone(Broken):
    def change(self, score, dataset):
        nets, self.nets_ = self.nets_, self.nets_[:1]
        score = GRU.scored(self, dataset)[0] if len(nets) > 1 else score
        self.nets_ = nets
        return score


class Forgetful(GRU):
    def __getstate__(self):
        return super().__getstate__() | {"nets_": [self.build(self.layout_, self.instruments_) for _ in self.nets_]}


class HalfSaved(GRU):
    def load_weights(self, path):
        super().load_weights(path)
        for net in self.nets_:
            torch.nn.init.zeros_(next(net.encoder.parameters()))


class OverTheSegment(Broken):
    """Standardised over all days asked for: yesterday's score depends on today's."""

    def change(self, score, dataset):
        return (score - score.mean()) / score.std()


class LooksAhead(Broken):
    """Each stock's score has a part of the score of its next day."""

    def change(self, score, dataset):
        return score + 0.1 * score.groupby(level="instrument").shift(-1).fillna(0)


class TrainsOnTheTest(GRU):
    def fit(self, dataset, evals_result=None, save_path=None):
        super().fit(dataset, evals_result, save_path)
        self.shift = float(dataset.prepare("test", col_set="label").mean().iloc[0])

    def predict(self, dataset, segment="test"):
        return super().predict(dataset, segment) + self.shift


class Unpurged(GRU):
    def fit(self, dataset, evals_result=None, save_path=None):
        dataset.purge = 0
        super().fit(dataset, evals_result, save_path)


class ByName(Broken):
    def change(self, score, dataset):
        return score + score.groupby(level="datetime").cumcount() * 0.01


class KnownAlone(Broken):
    def change(self, score, dataset):
        known = score.index.get_level_values("instrument").isin(self.instruments_)
        return score.where(known)


class FullPrecision(GRU):
    def fit(self, dataset, evals_result=None, save_path=None):
        self.options.autocast = False
        super().fit(dataset, evals_result, save_path)


class OneDayAlone(Broken):
    def change(self, score, dataset):
        return score if self.options.days_per_batch == 1 else score * np.nan


class TakesAnything(GRU):
    def __init__(self, **options):
        options.pop("a_keyword_that_no_model_has", None)
        super().__init__(**options)


BROKEN = {
    "scores_every_row": [Fewer, Infinite],
    "averages_weak_factors": [OtherFactors],
    "learns": [Constant, Opposite],
    "repeats_itself": [Noisy, Constant],
    "leaves_random_states_alone": [ReSeeding, PythonsSeed],
    "averages_seeds": [FirstSeedAlone],
    "survives_pickling": [Forgetful],
    "saves_its_weights": [HalfSaved],
    "scores_a_day_alone": [OverTheSegment],
    "takes_days_together": [OneDayAlone],
    "looks_at_nothing_later": [LooksAhead, OverTheSegment],
    "trains_without_the_test_days": [TrainsOnTheTest],
    "purges_labels": [Unpurged],
    "ignores_the_order_of_stocks": [ByName],
    "scores_newcomers": [KnownAlone],
    "stays_close_in_bfloat16": [FullPrecision],
    "refuses_unknown_keywords": [TakesAnything],
}


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_a_model_that_breaks_a_promise_is_found(promise):
    for broken in BROKEN[promise.__name__]:
        with pytest.raises(ContractError):
            promise(Case(broken(**SMALL)))


def test_a_sound_model_passes_whatever_it_reads():
    check_model(GRU(**SMALL))
    check_model(ResNetGRU(**SMALL, channels=[4]), window=IMAGES)


def test_the_promise_that_is_broken_is_named_with_the_first_score():
    message = (
        r"Unpurged breaks a promise of every model\. Labels that reach over a segment's border .* But: \d+ of \d+ "
        r"scores differ, the first on 2020-03-\d\d for SH6\d+: -?\d.*, not -?\d"
    )
    with pytest.raises(ContractError, match=message):
        check_model(Unpurged(**SMALL))


def test_a_transductive_model_is_told_from_one_that_reads_names():
    model = ASTGNN(**SMALL, node_embedding="instrument", embedding_size=3)
    with pytest.raises(ContractError, match="Stocks with their names exchanged"):
        check_model(model)
    check_model(model, transductive=True)
