"""The base of our handlers: a Qlib DataHandlerLP that knows its window and completes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from inspect import signature
from typing import TYPE_CHECKING, Any

import pandas as pd
from qlib.config import C
from qlib.contrib.data.handler import check_transform_proc
from qlib.data.dataset import processor as of_qlib
from qlib.data.dataset.handler import DataHandlerLP
from qlib.utils import init_instance_by_config

from qlib_ext.data import cache
from qlib_ext.data.blocks import copies, written_over
from qlib_ext.data.fitting import fit_on, require_rows, row_by_row
from qlib_ext.data.loader import HistoryLoader
from qlib_ext.data.needs import Needs
from qlib_ext.data.views import FEATURES, SharedViews, raw_rows
from qlib_ext.data.window import Window
from qlib_ext.errors import ConfigError, QlibExtError
from qlib_ext.keywords import check_types, keywords_of, refuse_unknown
from qlib_ext.provider.names import fields_in

if TYPE_CHECKING:
    import polars as pl  # which a handler without relations does without

Columns = tuple[list[str], list[str]]  # expressions, and the names of their columns


class WindowHandler(SharedViews):
    """A handler whose members' windows reach back to before they joined the universe.

    ``fetch`` returns members only, so that Qlib's own datasets see exactly what Qlib's handlers would give them.
    ``history()`` returns the rows that only complete windows. ``needs()`` tells what is read of the provider; a handler
    made with ``init_data: false`` tells it as well, and has read nothing yet.

    Features of history rows pass the fitted inference processors. A processor that works across a day's
    stocks sees them among the members of that day and those who join on the same day, never among stocks
    whose joining is still unknown when the window is read; one that is ``row_by_row`` sees them all at once.

    A subclass gives what its users do not:

    features  what nets read: expressions, and the names of their columns
    window    of the samples; None: the class attribute
    loader    what loads the rows: a subclass of HistoryLoader, or a function that is called as its class is
    others    further groups of columns, by name, before the features; for processors, no net reads them

    Its users give, beside the keywords of Qlib:

    label          expressions and names of the labels
    group          expression of a prior group of the stock, such as "$industry", or None
    relations      kinds that ``qlib-ext relations`` keeps beside the provider, and fields whose equal values relate,
                   such as ``[$industry, suppliers]``
    step_len       trading days of a window in place of the window's own length
    engine         what computes expressions: fast, or qlib, Qlib's own, which is slower
    seasoned_days  days with a close before a new stock is a member
    traded_only    leave out stocks on days without a close

    ``HistoryLoader`` says more of the last three. Inference processors read the history once for each day on which
    stocks join, so with them leave the last two alone in a universe that someone joins every day.
    """

    window: Window
    key_: str | None = None  # of the views in the cache; None where they are not kept

    def __init__(
        self,
        features: Columns,
        label: Columns,
        window: Window | None = None,
        loader: Callable[..., HistoryLoader] = HistoryLoader,
        others: Mapping[str, Columns] | None = None,
        group: str | None = None,
        relations: Sequence[str] = (),
        step_len: int | None = None,
        engine: str = "fast",
        seasoned_days: int = 0,
        traded_only: bool = False,
        instruments: Any = "csi300",
        start_time: Any = None,
        end_time: Any = None,
        freq: str = "day",
        infer_processors: Any = (),
        learn_processors: Any = (),
        fit_start_time: Any = None,
        fit_end_time: Any = None,
        process_type: str = DataHandlerLP.PTYPE_A,
        filter_pipe: list | None = None,
        inst_processors: Any = None,
        **kwargs: Any,
    ) -> None:
        of_subclasses = {"features", "window", "loader", "others", "data_loader"}
        of_subclasses -= signature(type(self)).parameters.keys()
        refuse_unknown(kwargs, keywords_of(type(self)) - of_subclasses, type(self).__name__)
        check_types(WindowHandler.__init__, locals())
        self.relations = list(relations)
        if kwargs.get("init_data", True):
            self.relation_tables()  # a kind that is not there is refused before the rows are loaded
        if window is not None:
            self.window = window
        if step_len is not None:
            self.window = replace(self.window, length=step_len)
        columns = {**(others or {}), "feature": features, "label": label}
        if group is not None:
            columns["group"] = ([group], ["GROUP"])
        data_loader = loader(
            columns,
            history=self.window.length - 1,
            engine=engine,
            seasoned_days=seasoned_days,
            traded_only=traded_only,
            filter_pipe=filter_pipe,
            freq=freq,
            inst_processors=inst_processors,
        )
        self.fit_start_time, self.fit_end_time = fit_start_time, fit_end_time
        super().__init__(
            instruments=instruments,
            start_time=start_time,
            end_time=end_time,
            data_loader=data_loader,
            infer_processors=made_processors("infer_processors", infer_processors, fit_start_time, fit_end_time),
            learn_processors=made_processors("learn_processors", learn_processors, fit_start_time, fit_end_time),
            process_type=process_type,
            **kwargs,
        )

    def relation_tables(self) -> dict[str, pl.DataFrame]:
        """The tables of the relations, read anew; none without ``relations``."""
        if not self.relations:
            return {}
        from qlib_ext.relations.tables import read_relations

        return read_relations(C.dpm.get_data_uri("day"), self.relations)

    def needs(self) -> Needs:
        """What is read of the provider, whether or not it has been read."""
        needs: Needs = self.data_loader.needs(self.instruments)
        fields = fields_in([relation for relation in self.relations if relation.startswith("$")])
        kinds = tuple(relation for relation in self.relations if not relation.startswith("$"))
        return replace(needs, fields=tuple(sorted({*needs.fields, *fields})), relations=kinds)

    def process_data(self, with_fit: bool = False) -> None:
        """Process the members as Qlib does, then their history with the fitted processors.

        Processors are fitted on fit_start_time..fit_end_time alone; raises DataError where there is no row of these
        days, ConfigError for a processor that has a ``fit`` where nobody says on which days. What processors have
        written is kept on disk, see ``qlib_ext.data.cache``.
        """
        members, history = raw_rows(self), self.data_loader.history_
        assert members is not None
        if with_fit:
            fit_on(self, self.fit_start_time, self.fit_end_time)
            require_rows(members.index.unique("datetime"), self.get_all_processors())
        key = self._views_key(with_fit)
        kept = None if key is None else cache.read(key)
        if kept is not None:
            (infer, history), beside = kept
            self.put_views(infer, beside)
            self._history = history[FEATURES]
        else:
            history = self._process(members, history, with_fit)
            infer, beside = self.views()
            if key is not None and beside is not None and history is not None:
                cache.write(key, [infer, history], beside)
        self.key_ = key
        if self.drop_raw:
            self.data_loader.history_ = None  # processed in place

    def _process(self, members: pd.DataFrame, history: pd.DataFrame, with_fit: bool) -> pd.DataFrame | None:
        """Make all views and the history's features; the processed history, None where it is not one piece."""
        processors = [*self.shared_processors, *self.infer_processors]
        cohorts = self._cohorts(processors) if processors else []  # before members are processed, perhaps in place
        if not self.drop_raw and self._writes():
            members, history = copies([members, history])
        self.make_views(members, with_fit)
        processed = []
        for frame, rows in cohorts:
            for processor in processors:
                frame = processor(frame)
            processed.append(frame[FEATURES].loc[frame.index.isin(rows)])  # a processor may have dropped some
        if not processed:
            if processors:  # no row is of a stock that joins: no window reads it, and no processor has seen it
                history = history.iloc[:0]
            self._history = history[FEATURES]
            return history
        new = pd.concat(processed).sort_index()
        self._history = written_over(history, FEATURES, new)
        return None if self._history is new else history

    def _writes(self) -> bool:
        """Whether an infer processor may write into rows."""
        return not self._is_proc_readonly([*self.shared_processors, *self.infer_processors])

    def _views_key(self, with_fit: bool) -> str | None:
        """The key in the cache of what processors make of the rows just loaded; None where it is not kept."""
        loaded, self.data_loader.key_ = self.data_loader.key_, None  # rows that somebody puts in later are others
        if loaded is None or not self._writes():
            return None
        processors = [self.shared_processors, self.infer_processors, self.learn_processors]
        return cache.key_of(type(self), loaded, processors, [self.process_type, self.drop_raw, with_fit])

    def history(self) -> pd.DataFrame:
        """Processed features of the days before each stock joined, by (datetime, instrument)."""
        return self._history

    def _cohorts(self, processors: Sequence[of_qlib.Processor]) -> list[tuple[pd.DataFrame, pd.MultiIndex]]:
        """Per joining day: the raw members of the days before it with the joiners' history, and the latter's index.

        All at once and without members, where no processor sees more than a row.
        """
        history = self.data_loader.history_
        if len(history) and all(map(row_by_row, processors)):
            return [(history.copy(), history.index)]
        raw = raw_rows(self)
        assert raw is not None
        joined = joining_days(history.index, raw.index)
        cohorts = []
        for _, rows in history.groupby(joined, sort=True):
            days = rows.index.unique("datetime")
            members = raw.loc[raw.index.isin(days, level="datetime")]
            cohorts.append((pd.concat([members, rows]).sort_index(), rows.index))
        return cohorts


def joining_days(history: pd.MultiIndex, members: pd.MultiIndex) -> pd.Index:
    """For each history row, the first day after it on which its stock is a member."""
    left = pd.DataFrame(index=history).reset_index()
    right = pd.DataFrame(index=members).reset_index()
    right["joined"] = right["datetime"]
    order = left.assign(place=range(len(left))).sort_values("datetime", kind="stable")
    matched = pd.merge_asof(
        order,
        right.sort_values("datetime", kind="stable"),
        on="datetime",
        by="instrument",
        direction="forward",
    )
    return pd.Index(matched.sort_values("place")["joined"])


def made_processors(name: str, configs: Any, fit_start_time: Any, fit_end_time: Any) -> list[of_qlib.Processor]:
    """The processors of their configurations, as Qlib makes them; raises ConfigError for one that cannot be made."""
    if isinstance(configs, str) or not isinstance(configs, Sequence):
        raise ConfigError(f"{name} is a list of processors, not {configs!r}.")
    made = []
    for config in configs:
        try:
            (whole,) = check_transform_proc([config], fit_start_time, fit_end_time)
            within = None if isinstance(whole, dict) and "module_path" in whole else of_qlib
            made.append(init_instance_by_config(whole, within, accept_types=of_qlib.Processor))
        except QlibExtError:
            raise
        except Exception as error:  # whatever a user's class raises
            raise ConfigError(
                f"{name}: the processor {config!r} cannot be made, {type(error).__name__}: {error}"
            ) from error
    return made
