"""The views of a handler hold what Qlib's hold, and share their features where that is possible."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from qlib.data.dataset import DatasetH
from qlib.data.dataset import processor as of_qlib
from qlib.data.dataset.handler import DataHandlerLP
from qlib.data.dataset.loader import StaticDataLoader

from handlers.alpha158vwap import Alpha158vwap
from handlers.bars import DayBars
from qlib_ext.data import views
from qlib_ext.data.dataset import CrossSectionDataset
from qlib_ext.data.handler import WindowHandler
from qlib_ext.data.views import OF_ONE_GROUP, raw_rows
from qlib_ext.data.window import Window
from qlib_ext.errors import DataError
from qlib_ext.rolling.rows import RawData

OURS = "qlib_ext.processors.normalise"
TIMES = {"start_time": "2014-12-15", "end_time": "2015-10-30"}
FIT = {"fit_start_time": "2014-12-15", "fit_end_time": "2015-03-31"}
ROBUST = {"class": "RobustZScoreNorm", "module_path": OURS, "kwargs": {"fields_group": "feature"}}
FILL = {"class": "Fillna", "module_path": OURS, "kwargs": {"fields_group": "feature"}}
RANK = [{"class": "DropnaLabel"}, {"class": "CSRankNorm", "kwargs": {"fields_group": "label"}}]
INFER = {
    "none": [],
    "in place": [ROBUST, FILL],
    "Qlib's": [
        {"class": "ZScoreNorm", "kwargs": {"fields_group": "feature"}},
        {"class": "Fillna", "kwargs": {"fields_group": "feature"}},
    ],
    "rows dropped": [{"class": "DropnaProcessor", "kwargs": {"fields_group": "feature"}}],
    "labels as well": [ROBUST, {"class": "Fillna", "kwargs": {"fields_group": "label", "fill_value": 0.5}}],
}
LEARN = {
    "none": [],
    "labels": RANK,
    "labels by z-score": [{"class": "DropnaLabel"}, {"class": "CSZScoreNorm", "kwargs": {"fields_group": ["label"]}}],
    "features as well": [*RANK, {"class": "CSZScoreNorm", "kwargs": {"fields_group": ["feature", "label"]}}],
    "all columns": [{"class": "Fillna", "kwargs": {"fill_value": 2.0}}],
    "rows by features": [{"class": "DropnaProcessor", "kwargs": {"fields_group": "feature"}}],
}
KEYS = (DataHandlerLP.DK_R, DataHandlerLP.DK_I, DataHandlerLP.DK_L)
COLUMNS = (DataHandlerLP.CS_ALL, DataHandlerLP.CS_RAW, "feature", "label", ["label"], ["feature", "label"])
SELECTORS = (
    slice(None),
    slice("2015-02-02", "2015-03-06"),
    slice(pd.Timestamp("2015-09-01"), None),
    slice("2015-03", "2015-04"),
    slice("2016-01-01", None),
    ["2015-02-02", "2015-03-06"],
    "2015-02-04",
    pd.Timestamp("2015-02-04"),
)


class Returns(WindowHandler):
    window = Window(6)

    def __init__(self, **kwargs):
        features = (["$close/Ref($close, 1) - 1", "$turnover", "$volume"], ["RETURN", "TURNOVER", "VOLUME"])
        label = (["Ref($vwap, -2)/Ref($vwap, -1) - 1"], ["LABEL0"])
        super().__init__(features, label, **{"instruments": "csi300", "group": "$industry"} | TIMES | FIT | kwargs)


def by_qlib(handler: WindowHandler, infer, learn, process_type) -> DataHandlerLP:
    """A handler of Qlib's over the same raw rows."""
    made = Returns(infer_processors=infer, learn_processors=learn, init_data=False)
    return DataHandlerLP(
        data_loader=StaticDataLoader(handler.fetch(col_set=DataHandlerLP.CS_RAW, data_key=DataHandlerLP.DK_R)),
        infer_processors=made.infer_processors,
        learn_processors=made.learn_processors,
        process_type=process_type,
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("process_type", [DataHandlerLP.PTYPE_A, DataHandlerLP.PTYPE_I])
@pytest.mark.parametrize("learn", LEARN)
@pytest.mark.parametrize("infer", INFER)
def test_every_view_gives_what_qlibs_gives(small, init, infer, learn, process_type):
    init(small[0])
    options = {"infer_processors": INFER[infer], "learn_processors": LEARN[learn], "process_type": process_type}
    raw = Returns()
    theirs = by_qlib(raw, INFER[infer], LEARN[learn], process_type)
    for drop_raw in (False, True):
        mine = Returns(**options, drop_raw=drop_raw)
        for key in KEYS[1:] if drop_raw else KEYS:
            for columns in COLUMNS:
                assert mine.get_cols(columns, key) == theirs.get_cols(columns, key)
                for selector in SELECTORS:
                    own, expected = (
                        handler.fetch(selector, col_set=columns, data_key=key) for handler in (mine, theirs)
                    )
                    pd.testing.assert_frame_equal(own, expected, check_exact=True)
        label = theirs.fetch(col_set="label", data_key=DataHandlerLP.DK_R)
        pd.testing.assert_frame_equal(mine.fetch(col_set="label", data_key=DataHandlerLP.DK_R), label, check_exact=True)


def test_other_ways_to_ask_give_what_qlib_gives(small, init):
    init(small[0])
    mine = Returns(infer_processors=INFER["in place"], learn_processors=RANK)
    theirs = by_qlib(Returns(), INFER["in place"], RANK, DataHandlerLP.PTYPE_A)
    some = theirs.fetch(data_key=DataHandlerLP.DK_L).index[5::7]
    asked = [
        {"selector": some, "level": None},
        {"selector": "SH600003", "level": "instrument"},
        {"selector": slice("2015-02-02", "2015-03-06"), "proc_func": lambda frame: frame * 2, "col_set": "feature"},
        {"selector": "2015-02-04", "col_set": "label", "squeeze": True},
    ]
    for options in asked:
        own, expected = (handler.fetch(**options, data_key=DataHandlerLP.DK_L) for handler in (mine, theirs))
        assert own.equals(expected)
    cast = DataHandlerLP.cast(mine)
    pd.testing.assert_frame_equal(cast.fetch(data_key="learn"), theirs.fetch(data_key="learn"), check_exact=True)


def memory(handler: DataHandlerLP, key: str, columns: str = "feature") -> np.ndarray:
    return handler.fetch(col_set=columns, data_key=key).to_numpy()


@pytest.mark.parametrize("universe", ["csi300", "all"])
@pytest.mark.parametrize("drop_raw", [True, False])
def test_the_panel_reads_the_memory_of_the_inference_view(small, init, drop_raw, universe):
    init(small[0])
    times = TIMES if universe == "csi300" else {"start_time": None}
    handler = Alpha158vwap(
        instruments=universe, infer_processors=[ROBUST, FILL], learn_processors=RANK, drop_raw=drop_raw, **times | FIT
    )
    panel = CrossSectionDataset(handler, {"days": (None, None)}).panel()
    assert np.shares_memory(panel.values.numpy(), memory(handler, DataHandlerLP.DK_I))
    assert len(handler.history()) == (panel.places is not None) * len(handler.history())
    assert (len(handler.history()) > 0) == (universe == "csi300"), "both kinds of rows are to be seen"
    if len(handler.history()):
        assert np.shares_memory(panel.values.numpy(), handler.history().to_numpy())


def test_one_block_serves_all_views_where_the_raw_features_are_dropped(small, init, monkeypatch):
    init(small[0])
    loaded = []

    def load(loader, *args, **kwargs):
        loaded.append(loader.load_(*args, **kwargs))
        return loaded[-1]

    loader = type(Returns(init_data=False).data_loader)
    monkeypatch.setattr(loader, "load_", loader.load, raising=False)
    monkeypatch.setattr(loader, "load", load)
    handler = Returns(infer_processors=[ROBUST, FILL], learn_processors=RANK, drop_raw=True)
    assert np.shares_memory(memory(handler, DataHandlerLP.DK_I), loaded[0].to_numpy())
    assert raw_rows(handler) is None
    assert handler.data_loader.history_ is None, "processed in place, it is not raw any more"


def test_without_infer_processors_nothing_is_copied(small, init):
    init(small[0])
    handler = Returns(learn_processors=RANK)
    assert np.shares_memory(memory(handler, DataHandlerLP.DK_I), memory(handler, DataHandlerLP.DK_R))


def test_raw_rows_are_as_loaded_where_they_are_kept(small, init):
    init(small[0])
    plain = Returns()
    processed = Returns(infer_processors=[ROBUST, FILL])
    pd.testing.assert_frame_equal(
        processed.fetch(col_set="feature", data_key="raw"), plain.fetch(col_set="feature"), check_exact=True
    )
    pd.testing.assert_frame_equal(processed.data_loader.history_, plain.data_loader.history_, check_exact=True)
    data = RawData.of(CrossSectionDataset(processed, {"test": ("2015-08-01", "2015-09-30")}))
    np.testing.assert_array_equal(data.members.values, plain.fetch(col_set=DataHandlerLP.CS_RAW).to_numpy())


def test_dropped_raw_features_are_refused_as_in_qlib(small, init):
    init(small[0])
    handler = Returns(infer_processors=[ROBUST], drop_raw=True)
    for columns in ("feature", ["feature", "label"], DataHandlerLP.CS_RAW):
        with pytest.raises(AttributeError, match="drop_raw = False"):
            handler.fetch(col_set=columns, data_key=DataHandlerLP.DK_R)


@pytest.mark.parametrize(("learn", "named"), [("features as well", True), ("labels", False)])
def test_processors_that_make_a_copy_are_named(small, init, monkeypatch, learn, named):
    init(small[0])
    lines = []
    monkeypatch.setattr(views.logger, "info", lines.append)
    Returns(learn_processors=LEARN[learn])
    assert any("may be changed by CSZScoreNorm" in line for line in lines) == named


OURS = "qlib_ext.processors.normalise"
IN_PLACE = [
    {"class": name, "module_path": OURS, "kwargs": {"fields_group": "feature"}} for name in ("CSZScoreNorm", "Fillna")
]


@pytest.mark.parametrize("drop_raw", [False, True])
@pytest.mark.parametrize(("infer", "named"), [(["DropnaProcessor"], True), ([], False)])
def test_infer_processors_that_leave_the_block_are_named_once(small, init, monkeypatch, drop_raw, infer, named):
    init(small[0])
    lines = []
    monkeypatch.setattr(views.logger, "info", lines.append)
    handler = Returns(infer_processors=[*infer, *IN_PLACE], drop_raw=drop_raw)
    assert len(handler.fetch()) > 1000
    assert [line for line in lines if "inference view" in line and "DropnaProcessor did not" in line] == lines[
        : int(named)
    ]
    assert len([line for line in lines if "inference view" in line]) == named


def test_a_users_own_subclass_of_a_known_processor_may_change_features(small, init):
    init(small[0])

    class Doubled(of_qlib.DropnaLabel):
        def __call__(self, df):
            df["feature"] = df["feature"] * 2
            return df

        def readonly(self):
            return False

    plain, doubled = Returns(), Returns(learn_processors=[Doubled()])
    pd.testing.assert_frame_equal(
        doubled.fetch(col_set="feature", data_key="learn"), plain.fetch(col_set="feature") * 2, check_exact=True
    )
    pd.testing.assert_frame_equal(doubled.fetch(col_set="feature"), plain.fetch(col_set="feature"), check_exact=True)


@pytest.mark.parametrize("kind", OF_ONE_GROUP)
def test_a_known_processor_leaves_other_groups_alone(kind):
    random = np.random.default_rng(0)
    index = pd.MultiIndex.from_product(
        [pd.bdate_range("2020-01-01", periods=9), ["A", "B", "C"]], names=["datetime", "instrument"]
    )
    columns = pd.MultiIndex.from_tuples([("feature", "F0"), ("feature", "F1"), ("label", "LABEL0")])
    frame = pd.DataFrame(random.standard_normal((27, 3)).astype(np.float32), index, columns)
    frame.iloc[[3, 8], 0], frame.iloc[[4, 9], 2] = np.nan, np.nan
    fit = (
        {"fit_start_time": None, "fit_end_time": None} if "fit_start_time" in kind.__init__.__code__.co_varnames else {}
    )
    if "rows" in kind.__init__.__code__.co_varnames:
        fit["rows"] = frame.index[::2]
    apart = []
    for features in (frame["feature"], frame["feature"] * np.float32(3) + 1):
        own = frame.copy()
        own["feature"] = features
        processor = kind(fields_group="label", **fit)
        processor.fit(own)
        result = processor(own)
        pd.testing.assert_frame_equal(result["feature"], features.loc[result.index], check_exact=True)
        apart.append(result["label"])
    pd.testing.assert_frame_equal(*apart, check_exact=True)


@pytest.mark.parametrize("dataset", [DatasetH, CrossSectionDataset])
def test_a_recorded_dataset_says_how_its_rows_are_loaded(small, init, dataset):
    init(small[0])
    days = {"fit_start_time": "2014-10-01", "fit_end_time": "2014-12-31", "end_time": "2015-03-31"}
    norm = [{"class": "ZScoreNorm", "kwargs": {"fields_group": "feature"}}]
    handler = DayBars(instruments="csi300", start_time="2014-10-01", infer_processors=norm, **days)
    data = dataset(handler, {"train": ("2014-10-01", "2014-12-31"), "test": ("2015-01-05", "2015-03-31")})
    recorded = pickle.loads(pickle.dumps(data))
    with pytest.raises(DataError, match=r"DayBars .* has no rows.*setup_data\(handler_kwargs="):
        recorded.prepare("test")
    recorded.setup_data(handler_kwargs={"init_type": "load_state"})  # as the error says
    pd.testing.assert_frame_equal(recorded.prepare("test"), data.prepare("test"))
