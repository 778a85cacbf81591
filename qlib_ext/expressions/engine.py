"""The fast engine: the rows that Qlib's expression engine gives, computed from .bin files into one float32 block.

It reads day bars of Qlib's local provider. A column or a stock that it does not compute is asked of Qlib's engine, and
where that would not have the same rows, all of it is left to Qlib's engine: NotNative is raised, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from qlib.config import C
from qlib.data import D
from qlib.log import get_module_logger

from qlib_ext.cross_section.cells import cells_of, index_of
from qlib_ext.expressions.operators import expression_of
from qlib_ext.expressions.program import NotNative, Program
from qlib_ext.expressions.spans import Spans, grid
from qlib_ext.provider.names import feature_folder, fields_in

LOCAL = {f"{part}_provider": f"Local{part.title()}Provider" for part in ("feature", "expression", "dataset")}

ByQlib = Callable[[list[int], list[str]], pd.DataFrame]  # (columns, instruments) -> rows by (datetime, instrument)
logger = get_module_logger("qlib_ext.engine")


def load_rows(
    expressions: Sequence[str], members: Spans, extended: Spans, by_qlib: ByQlib
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of ``members``, and those that ``extended`` has beyond them, a column for each expression.

    Both frames are sorted by (datetime, instrument), and share one block ``[rows, columns]`` of float32 in which a row
    lies in one piece, the members' rows before the others'. Raises NotNative as the module says.
    """
    if any(C[name] != local for name, local in LOCAL.items()):
        raise NotNative("the provider is not Qlib's local one")
    programs, native, foreign = compile_programs(expressions)
    fields = fields_in(expressions)
    bars = {name: StockBars.read(name, fields) for name in sorted(extended)}
    layout = Layout.of(bars, members, extended)
    values = np.empty((layout.count, len(expressions)), dtype=np.float32)
    declined = compute(values, programs, native, bars, layout)
    computed = [name for name in bars if name not in declined]
    for columns, names in ((foreign, computed), (list(range(len(expressions))), declined)):
        if columns and names:
            fill(values, by_qlib(columns, names), columns, names, layout)
    return layout.frames(values)


@dataclass(frozen=True)
class Programs:
    """The same columns computed together, each subexpression once, or apart, a program each."""

    together: Program
    apart: list[Program]


def compile_programs(expressions: Sequence[str]) -> tuple[Programs, list[int], list[int]]:
    """Programs of the expressions that have one, the columns of these, and the columns of the others."""
    trees = [expression_of(expression) for expression in expressions]
    apart, native, foreign, reasons = [], [], [], []
    for column, tree in enumerate(trees):
        try:
            apart.append(Program([tree]))
            native.append(column)
        except NotNative as reason:
            foreign.append(column)
            reasons.append(reason)
    if not native:
        raise NotNative(str(reasons[0]))
    if foreign:
        logger.warning(f"Qlib's engine computes {len(foreign)} of {len(expressions)} columns: {reasons[0]}.")
    return Programs(Program([trees[column] for column in native]), apart), native, foreign


@dataclass(frozen=True)
class StockBars:
    """A stock's bars of several fields: "$close" -> values, and the position of the first one in the calendar."""

    starts: dict[str, int]
    values: dict[str, np.ndarray]

    @classmethod
    def read(cls, instrument: str, fields: Sequence[str]) -> StockBars:
        """The bars of a provider's .bin files; a field without a file has none."""
        folder = feature_folder(Path(C.dpm.get_data_uri("day")), instrument)
        starts, values = {}, {}
        for field in fields:
            try:
                content = np.fromfile(f"{folder}/{field.lower()}.day.bin", dtype="<f4")
            except FileNotFoundError:
                content = np.zeros(1, dtype=np.float32)
            starts[f"${field}"], values[f"${field}"] = int(content[0]), content[1:]
        return cls(starts, values)

    @property
    def aligned(self) -> bool:
        """Whether all fields have the same days."""
        return len({(self.starts[field], len(values)) for field, values in self.values.items()}) == 1

    def select(self, fields: set[str]) -> StockBars:
        """The bars of some of the fields."""
        return StockBars({name: self.starts[name] for name in fields}, {name: self.values[name] for name in fields})


@dataclass(frozen=True)
class Layout:
    """Where the row of (day, instrument) stands: by (day, instrument), the members' rows before the others'.

    positions [days, instruments] int32: the row's position, -1 where there is no row; members, others: the rows in
    their order, as cells of ``positions.ravel()``; first: the first day's position in the calendar.
    """

    days: pd.DatetimeIndex
    names: pd.Index
    positions: np.ndarray
    members: np.ndarray
    others: np.ndarray
    first: int

    @classmethod
    def of(cls, bars: dict[str, StockBars], members: Spans, extended: Spans) -> Layout:
        """The layout of all rows of ``extended`` on which a stock has a bar of any field."""
        calendar, names = pd.DatetimeIndex(D.calendar(freq="day")), pd.Index(list(bars))
        bounds = [day for times in extended.values() for span in times for day in span]
        first, last = calendar.searchsorted(min(bounds)), calendar.searchsorted(max(bounds), side="right")
        days = calendar[first:last]
        present = np.zeros((len(days), len(names)), dtype=bool)
        for column, stock in enumerate(bars.values()):
            for field, start in stock.starts.items():
                low, high = start - first, start - first + len(stock.values[field])
                present[max(low, 0) : max(high, 0), column] = True
        present &= grid(extended, days, names)
        member = grid(members, days, names)
        cells = np.flatnonzero(present & member), np.flatnonzero(present & ~member)
        positions = np.full(present.shape, -1, dtype=np.int32)
        positions.ravel()[np.concatenate(cells)] = np.arange(sum(map(len, cells)), dtype=np.int32)
        return cls(days, names, positions, *cells, int(first))

    @property
    def count(self) -> int:
        """The number of rows."""
        return len(self.members) + len(self.others)

    def frames(self, values: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The members' rows and the others', as frames over the values themselves."""
        border = len(self.members)
        return self._frame(values[:border], self.members), self._frame(values[border:], self.others)

    def _frame(self, values: np.ndarray, cells: np.ndarray) -> pd.DataFrame:
        index = index_of(cells, self.days, self.names).remove_unused_levels()
        return pd.DataFrame(values, index=index, copy=False)


def compute(
    values: np.ndarray, programs: Programs, native: list[int], bars: dict[str, StockBars], layout: Layout
) -> list[str]:
    """Write what the programs give into the native columns of ``values``; the stocks that they decline."""
    declined = []
    for number, (name, stock) in enumerate(bars.items()):
        days = np.flatnonzero(layout.positions[:, number] >= 0)
        if not len(days):
            continue
        try:
            results = run_programs(programs, stock, layout.first + days)
        except NotNative as reason:
            declined.append((name, reason))
            continue
        rows = layout.positions[days, number]
        with np.errstate(over="ignore"):  # beyond 3e38 a float32 is infinite, as Qlib's is
            own = np.stack(results, axis=1, dtype=np.float32, casting="unsafe")  # [days, native columns]
        if len(native) == values.shape[1]:
            values[rows] = own
        else:
            values[rows[:, None], native] = own
    if declined:
        name, why = declined[0]
        logger.warning(f"Qlib's engine computes {len(declined)} of {len(bars)} stocks, the first {name}: {why}.")
    return [name for name, _ in declined]


def run_programs(programs: Programs, bars: StockBars, days: np.ndarray) -> list[np.ndarray]:
    """One stock's results on some days of the calendar, ``[days]`` each."""
    if bars.aligned:
        return run(programs.together, bars, days)
    return [run_apart(program, bars.select(program.fields), days) for program in programs.apart]


def run_apart(program: Program, bars: StockBars, days: np.ndarray) -> np.ndarray:
    """A column of fields with days of their own, NaN on the others, where Qlib has no row of it: ``[days]``."""
    if not bars.aligned:
        raise NotNative("its fields have bars of different days")
    field, start = next(iter(bars.starts.items()))
    inside = (days >= start) & (days < start + len(bars.values[field]))
    result = np.full(len(days), np.nan)
    if inside.any():
        result[inside] = run(program, bars, days[inside])[0]
    return result


def run(program: Program, bars: StockBars, days: np.ndarray) -> list[np.ndarray]:
    """The results on some days of the calendar, of fields that have bars of all of them: ``[days]`` each."""
    rows = days - next(iter(bars.starts.values()))  # of the bars
    begin = max(rows[0] - program.rows_before, 0)
    read = slice(begin, rows[-1] + 1 + program.rows_after)
    results = program.run({field: value[read] for field, value in bars.values.items()})
    without_gaps = rows[-1] - rows[0] + 1 == len(rows)
    wanted = slice(rows[0] - begin, rows[-1] - begin + 1) if without_gaps else rows - begin
    return [result[wanted] for result in results]


def fill(values: np.ndarray, frame: pd.DataFrame, columns: list[int], names: list[str], layout: Layout) -> None:
    """Write what Qlib's engine gave for some columns and stocks; NotNative where it has other rows for them."""
    targets = layout.positions.ravel()[cells_of(frame.index, layout.days, layout.names)]
    expected = layout.positions[:, layout.names.get_indexer(names)]
    if (targets < 0).any() or len(targets) != np.count_nonzero(expected >= 0):
        raise NotNative(f"{len(columns)} columns of {len(names)} stocks have rows where there are no bars")
    for number, column in enumerate(columns):
        values[targets, column] = frame.iloc[:, number].to_numpy()
