"""A Qlib dataset whose batches are true cross-sections of a trading day."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from qlib.data.dataset import DatasetH, TSDatasetH
from qlib.data.dataset.handler import DataHandler, DataHandlerLP
from qlib.utils import get_callable_kwargs

from qlib_ext.data import cache
from qlib_ext.data.batch import Samples
from qlib_ext.data.fitting import fit_ends
from qlib_ext.data.gather import home_of
from qlib_ext.data.kept_panel import read_panel, write_panel
from qlib_ext.data.panel import Panel
from qlib_ext.data.purging import last_known_day, next_start, trading_days
from qlib_ext.data.segments import Bounds, bounds_of, refuse_fitted_on_test, refuse_overlap, span_of
from qlib_ext.data.views import require_loaded
from qlib_ext.data.window import Window
from qlib_ext.errors import ConfigError, SegmentError, WindowError
from qlib_ext.expressions.reach import check_purge, label_reach
from qlib_ext.keywords import check_types, keywords_of, refuse_unknown

DEFAULT_STEP_LEN = TSDatasetH.DEFAULT_STEP_LEN


class CrossSectionDataset(DatasetH):
    """Qlib's DatasetH, with windows gathered day by day from one panel.

    handler, segments: as in Qlib. step_len: length of the windows in trading days; by default the
    handler's own. sample_every: train on every n-th day of ``train``; the other segments stay complete, and so does
    ``train`` where it is scored.
    purge: trading days before the start of the next segment whose samples are left out of training and
    validation, because their label reaches into it; "auto" reads the reach from the label's expression,
    ``Ref($vwap, -2)/Ref($vwap, -1) - 1`` reaching two days. ``prepare`` with DK_L purges as well, so that
    tabular models are trained on the same samples.

    Features come from the inference view (DK_I), complete; samples and labels of training from the
    learning view (DK_L), so that a row without a label is still part of other samples' windows.
    """

    def __init__(
        self,
        handler: Any = None,
        segments: dict | None = None,
        step_len: int | None = None,
        sample_every: int = 1,
        purge: int | str = "auto",
        fetch_kwargs: dict | None = None,
        **unknown: Any,
    ) -> None:
        refuse_unknown(unknown, keywords_of(type(self)), type(self).__name__)
        if handler is None or segments is None:  # no positional argument, so that a misspelt one is named above
            raise ConfigError(f"{type(self).__name__} needs a handler and segments.")
        check_types(CrossSectionDataset.__init__, locals())
        stored = isinstance(handler, str) and handler.startswith("file://")  # a pickled handler, as Qlib reads it
        if not (isinstance(handler, DataHandler) or stored or (isinstance(handler, dict) and "class" in handler)):
            raise ConfigError(f"The handler names its class, module_path and kwargs, not {handler!r}.")
        if sample_every < 1:
            raise ConfigError(f"sample_every is the step between training days, at least 1; it is {sample_every}.")
        check_purge(purge)
        for name in segments:
            bounds_of(name, segments[name])
        self.step_len = step_len
        self.sample_every = sample_every
        self.purge = purge
        by_config = step_len is not None and isinstance(handler, dict)
        if by_config and "step_len" in keywords_of(get_callable_kwargs(handler)[0]):
            handler = handler | {"kwargs": handler.get("kwargs", {}) | {"step_len": step_len}}
        if isinstance(handler, dict):  # before it costs minutes to load
            refuse_overlap(segments)
            if (end := (handler.get("kwargs") or {}).get("fit_end_time")) is not None:
                refuse_fitted_on_test([(end, "the handler")], segments)
        super().__init__(handler, segments, fetch_kwargs or {})
        refuse_overlap(self.segments)
        refuse_fitted_on_test(fit_ends(self.handler), self.segments)
        self.window = self._window()

    @classmethod
    def of(cls, dataset: Any) -> CrossSectionDataset:
        """The dataset itself, or a view of a Qlib TSDatasetH that shares its handler, segments and step_len."""
        if isinstance(dataset, cls):
            return dataset
        if not isinstance(dataset, TSDatasetH):
            raise ConfigError(
                f"A net reads windows: give it qlib_ext.data.dataset.CrossSectionDataset or Qlib's TSDatasetH, "
                f"not {type(dataset).__name__}."
            )
        if dataset.flt_col is not None:
            raise ConfigError("flt_col of TSDatasetH is not read; drop the rows with a processor of learn_processors.")
        return cls(handler=dataset.handler, segments=dataset.segments, step_len=dataset.step_len)

    def setup_data(self, handler_kwargs: dict | None = None, **kwargs: Any) -> None:
        """As in Qlib; what was built from earlier data is forgotten."""
        super().setup_data(handler_kwargs=handler_kwargs, **kwargs)
        self._panel: Panel | None = None
        self._stays_for: torch.device | None = None  # the GPU that the panel is too large for

    def panel(self, device: torch.device | str = "cpu") -> Panel:
        """The panel of all rows of the handler, built once and kept on the device last asked for.

        One that would take most of a GPU's memory stays on the host, see ``data.gather``.
        """
        device = torch.device(device)
        panel = getattr(self, "_panel", None) or self._build_panel()
        if getattr(self, "_stays_for", None) != device and panel.away_from(device):
            home = home_of(panel, device)
            self._stays_for = device if home != device else None
            panel = panel.to(home)
        self._panel = panel
        return panel

    def samples(self, segment: str | slice, learn: bool, device: torch.device | str = "cpu") -> Samples:
        """The samples of a segment: with a label and purged where ``learn``, else every member on every day.

        ``slice(first, last)`` are those days, both included, of the rows that are loaded; nothing is purged there.

        Raises SegmentError where there are none.
        """
        first, last = self._bounds(segment)
        asked = slice(first, last) if isinstance(segment, slice) else segment
        if learn:
            labels = self.prepare(asked, col_set="label", data_key=DataHandlerLP.DK_L)
            index = labels.index[np.isfinite(labels).all(axis=1)]
        else:
            index = self.prepare(asked, col_set="label", data_key=DataHandlerLP.DK_I).index
        if not len(index):
            raise self._without_samples(segment, learn)
        return Samples(self.panel(device), index)

    def prepare(
        self,
        segments: Any,
        col_set: Any = DataHandlerLP.CS_ALL,
        data_key: str = DataHandlerLP.DK_I,
        **kwargs: Any,
    ) -> Any:
        """As in Qlib; the learning view of a named segment ends before labels reach into the next one.

        Raises SegmentError where train, valid and test have a day in common, and where a named segment has no trading
        day; DataError where the rows are not loaded.
        """
        refuse_overlap(self.segments)
        require_loaded(self.handler)
        if isinstance(segments, list | tuple) and all(isinstance(s, str) and s in self.segments for s in segments):
            return [self.prepare(segment, col_set, data_key, **kwargs) for segment in segments]
        if not (isinstance(segments, str) and segments in self.segments):
            return super().prepare(segments, col_set, data_key, **kwargs)
        start, end = self._bounds(segments)
        days = slice(start, self.purged_end(segments) if data_key == DataHandlerLP.DK_L else end)
        rows = super().prepare(days, col_set, data_key, **kwargs)
        if segments == "train" and data_key == DataHandlerLP.DK_L and self.sample_every > 1:
            sampled = rows.index.unique("datetime").sort_values()[:: self.sample_every]
            rows = rows[rows.index.get_level_values("datetime").isin(sampled)]
        if not len(rows) and not len(self._days_of(segments)):
            raise self._without_samples(segments, learn=False)
        return rows

    def purged_end(self, segment: str) -> pd.Timestamp | None:
        """The last day of a segment whose label is known before the next segment begins."""
        _, end = self._bounds(segment)
        border = next_start(self.segments, segment)
        if border is None:
            return end
        return min(end, last_known_day(trading_days(self.handler), border, label_reach(self.handler, self.purge)))

    def _without_samples(self, segment: str | slice, learn: bool) -> SegmentError:
        start, end = (None if day is None else f"{day:%Y-%m-%d}" for day in self._bounds(segment))
        days = trading_days(self.handler)
        stocks = self.handler.fetch(col_set="label", data_key=DataHandlerLP.DK_I).index.unique("instrument")
        hint = " None of its days is a trading day." if self._days_of(segment).empty else ""
        if len(stocks) == 1 and learn:
            hint += f" All are of {stocks[0]}: among one stock a label has no rank and no z-score."
        name = "The slice" if isinstance(segment, slice) else f"Segment {segment!r}"
        return SegmentError(
            f"{name}, {start} to {end}, has no sample{' with a label' if learn else ''}; "
            f"the handler's rows run from {days[0]:%Y-%m-%d} to {days[-1]:%Y-%m-%d}.{hint}"
        )

    def _days_of(self, segment: str | slice) -> pd.DatetimeIndex:
        days = trading_days(self.handler)
        return days[days.slice_indexer(*self._bounds(segment))]

    def _bounds(self, segment: str | slice) -> Bounds:
        if isinstance(segment, slice):
            return span_of(segment)
        if segment not in self.segments:
            raise SegmentError(f"There is no segment {segment!r}; the dataset has {sorted(self.segments)}.")
        return bounds_of(segment, self.segments[segment])

    def _window(self) -> Window:
        own: Window | None = getattr(self.handler, "window", None)
        if own is None:
            return Window(DEFAULT_STEP_LEN if self.step_len is None else self.step_len)
        if self.step_len is not None and self.step_len > own.length:
            raise ConfigError(
                f"step_len {self.step_len} asks for more days than the {own.length} that the ready handler loaded; "
                f"give the handler step_len: {self.step_len} too."
            )
        return own if self.step_len is None else replace(own, length=self.step_len)

    def _build_panel(self) -> Panel:
        features = [self.handler.fetch(col_set="feature", data_key=DataHandlerLP.DK_I)]
        if hasattr(self.handler, "history"):
            features.append(self.handler.history())
        panel = self._panel_of(features)
        tables = self.handler.relation_tables() if hasattr(self.handler, "relation_tables") else {}
        if tables:
            from qlib_ext.relations.dated import (
                DatedRelations,  # polars, which a handler without relations does without
            )

            panel = replace(panel, relations=DatedRelations.of(tables, panel.days, panel.instruments))
        if self.window.standardise and len(panel.days) < self.window.length:
            raise WindowError(
                f"No window of {self.window.length} days is complete: there are rows of {len(panel.days)} days, from "
                f"{panel.days[0]:%Y-%m-%d} to {panel.days[-1]:%Y-%m-%d}. Take a provider that begins earlier, a later "
                "end_time, or a smaller step_len."
            )
        return panel

    def _panel_of(self, features: list[pd.DataFrame]) -> Panel:
        """The panel over frames of features, read where it is kept."""
        views = getattr(self.handler, "key_", None)
        key = None if views is None else cache.key_of(Panel, views)
        kept = None if key is None else read_panel(key, features)
        if kept is not None:
            return kept
        labels = self.handler.fetch(col_set="label", data_key=DataHandlerLP.DK_L)
        groups = None
        columns = self.handler.get_cols(col_set=DataHandlerLP.CS_RAW, data_key=DataHandlerLP.DK_I)
        if "group" in {column[0] for column in columns}:
            groups = self.handler.fetch(col_set="group", data_key=DataHandlerLP.DK_I).iloc[:, 0]
        panel = Panel.from_frames(features, labels, groups)
        return panel if key is None else write_panel(key, features, panel)
