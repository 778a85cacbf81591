"""A processor sees the training days when it is fitted, and no others."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from qlib.data.dataset.handler import DataHandlerLP
from qlib.data.dataset.loader import StaticDataLoader
from qlib.data.dataset.processor import Processor

from handlers.bars import DayBars
from qlib_ext.data.fitting import fit_ends, fit_on, refit_on, require_rows
from qlib_ext.data.segments import refuse_fitted_on_test
from qlib_ext.errors import ConfigError, DataError, SegmentError
from qlib_ext.processors.neutralise import Neutralise
from qlib_ext.testing.rows import random_rows

TRAIN = ("2020-01-06", "2020-02-14")


class Demean(Processor):
    """A user's processor: it learns a mean, and names no dates."""

    def fit(self, df=None):
        self.days = df.index.unique("datetime")
        self.mean = df["feature"].mean()

    def __call__(self, df):
        df["feature"] = df["feature"] - self.mean
        return df


def handler_with(processor, rows):
    """A handler that has read nothing yet."""
    return DataHandlerLP(data_loader=StaticDataLoader(rows), infer_processors=[processor], init_data=False)


def test_a_processor_without_dates_is_fitted_on_the_training_days_alone():
    rows, changed = random_rows(), random_rows()
    later = changed.index.get_level_values("datetime") > TRAIN[1]
    changed.loc[later, "feature"] = 1e6
    fitted = []
    for frame in (rows, changed):
        handler = handler_with(Demean(), frame)
        fit_on(handler, *TRAIN)
        handler.setup_data()
        fitted.append(handler.infer_processors[0].processor)
    assert fitted[0].days.min() >= pd.Timestamp(TRAIN[0])
    assert fitted[0].days.max() <= pd.Timestamp(TRAIN[1])
    pd.testing.assert_series_equal(fitted[0].mean, fitted[1].mean)
    days = rows.index.get_level_values("datetime")
    expected = rows.loc[(days >= TRAIN[0]) & (days <= TRAIN[1]), "feature"].mean()
    np.testing.assert_allclose(fitted[0].mean, expected)


def test_dates_of_its_own_are_kept_by_fit_on_and_replaced_by_refit_on():
    dates = {"fit_start_time": TRAIN[0], "fit_end_time": TRAIN[1]}
    handler = handler_with({"class": "ZScoreNorm", "kwargs": dates}, random_rows())
    fit_on(handler, "2020-03-02", "2020-03-06")
    assert handler.infer_processors[0].fit_end_time == TRAIN[1]
    refit_on(handler, "2020-03-02", "2020-03-06")
    assert handler.infer_processors[0].fit_end_time == "2020-03-06"


def test_a_processor_that_would_be_fitted_on_the_test_as_well_is_refused():
    with pytest.raises(ConfigError, match=r"Demean has a fit and no dates.*fit_start_time and fit_end_time"):
        fit_on(handler_with(Demean(), random_rows()), None, None)


def test_a_first_day_alone_does_not_keep_the_test_out():
    handler = handler_with(Demean(), random_rows())
    with pytest.raises(ConfigError, match="Demean has a fit and no dates"):
        fit_on(handler, TRAIN[0], None)
    days = random_rows().index.unique("datetime")
    segments = {"train": (days[0], days[20]), "test": (days[30], days[-1])}
    with pytest.raises(SegmentError, match="Demean is fitted on days up to the last, and the test begins"):
        refuse_fitted_on_test(fit_ends(handler), segments)
    with pytest.raises(ConfigError, match="fit_end_time of x is a day, such as 2015-12-31, not '2015'"):
        refuse_fitted_on_test([("2015", "x")], segments)


def test_a_processor_whose_fit_learns_nothing_needs_no_dates():
    handler = DataHandlerLP(
        data_loader=StaticDataLoader(random_rows()),
        learn_processors=[Neutralise(industry=("feature", "F0"), size=("feature", "F1"))],
    )
    fit_on(handler, None, None)
    assert type(handler.learn_processors[0]) is Neutralise


@pytest.mark.parametrize(
    "dates", [("2009-01-01", "2015-12-31"), ("2021-01-01", "2021-06-30"), ("2020-02-15", "2020-02-16")]
)
def test_dates_without_a_row_are_refused(dates):
    handler = handler_with(Demean(), random_rows())
    fit_on(handler, *dates)
    with pytest.raises(DataError, match=rf"Demean is to be fitted on {dates[0]} to .*no row of these days"):
        require_rows(random_rows().index.unique("datetime"), handler.get_all_processors())


def test_open_dates_have_all_rows():
    handler = handler_with(Demean(), random_rows())
    fit_on(handler, None, TRAIN[1])
    require_rows(random_rows().index.unique("datetime"), handler.get_all_processors())


def test_our_handlers_fit_on_their_own_dates(small, init):
    init(small[0])
    times = {"instruments": "all", "start_time": "2015-01-05", "end_time": "2015-06-30", "step_len": 5}
    fitted = DayBars(**times, infer_processors=[Demean()], fit_start_time="2015-02-02", fit_end_time="2015-03-31")
    days = fitted.infer_processors[0].processor.days
    assert (days.min(), days.max()) == (pd.Timestamp("2015-02-02"), pd.Timestamp("2015-03-31"))
    with pytest.raises(DataError, match="there is no row of these days: the rows run from 2015"):
        DayBars(**times, infer_processors=[Demean()], fit_start_time="2010-01-01", fit_end_time="2010-12-31")
    with pytest.raises(ConfigError, match="Demean has a fit and no dates"):
        DayBars(**times, infer_processors=[Demean()])
