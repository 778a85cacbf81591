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
from qlib.data.data import ExpressionD
from qlib.log import get_module_logger

from qlib_ext.cross_section.cells import cells_of, index_of
from qlib_ext.expressions.kernels import compiled
from qlib_ext.expressions.program import NotNative, Program
from qlib_ext.expressions.spans import Spans, grid
from qlib_ext.provider.names import feature_folder, fields_in

LOCAL = {f"{part}_provider": f"Local{part.title()}Provider" for part in ("feature", "expression", "dataset")}

ByQlib = Callable[[list[int], list[str]], pd.DataFrame]  # (columns, instruments) -> rows by (datetime, instrument)
logger = get_module_logger("qlib_ext.engine")


def load(
    expressions: Sequence[str], members: Spans, extended: Spans, by_qlib: ByQlib
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of ``members``, and those that ``extended`` has beyond them, a column for each expression.

    Both frames are sorted by (datetime, instrument), and share one block ``[columns, rows]`` of float32. Raises
    NotNative as the module says.
    """
    if any(C[name] != local for name, local in LOCAL.items()):
        raise NotNative("the provider is not Qlib's local one")
    programs, native, foreign = compose(expressions)
    fields = fields_in(expressions)
    bars = {name: Bars.read(name, fields) for name in sorted(extended)}
    rows = Rows.of(bars, members, extended)
    values = np.empty((len(expressions), rows.count), dtype=np.float32)
    left = compute(values, programs, native, bars, rows)
    computed = [name for name in bars if name not in left]
    for columns, names in ((foreign, computed), (list(range(len(expressions))), left)):
        if columns and names:
            place(values, by_qlib(columns, names), columns, names, rows)
    reorder(values, rows.order)
    return rows.frames(values)


@dataclass(frozen=True)
class Programs:
    """The same columns computed together, each subexpression once, or apart, a program each."""

    together: Program
    apart: list[Program]


def compose(expressions: Sequence[str]) -> tuple[Programs, list[int], list[int]]:
    """Programs of the expressions that have one, their places, and the places of the others."""
    trees = [ExpressionD.get_expression_instance(expression) for expression in expressions]
    apart, native, foreign, reasons = [], [], [], []
    for at, tree in enumerate(trees):
        try:
            apart.append(Program([tree]))
            native.append(at)
        except NotNative as reason:
            foreign.append(at)
            reasons.append(reason)
    if not native:
        raise NotNative(str(reasons[0]))
    if foreign:
        logger.warning(f"Qlib's engine computes {len(foreign)} of {len(expressions)} columns: {reasons[0]}.")
    return Programs(Program([trees[at] for at in native]), apart), native, foreign


@dataclass(frozen=True)
class Bars:
    """A stock's bars of several fields: "$close" -> values, and the place of the first one in the calendar."""

    starts: dict[str, int]
    values: dict[str, np.ndarray]

    @classmethod
    def read(cls, instrument: str, fields: Sequence[str]) -> Bars:
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
        return len(set(self.starts.values())) == 1 and len({len(value) for value in self.values.values()}) == 1

    def of(self, fields: set[str]) -> Bars:
        """The bars of some of the fields."""
        return Bars({name: self.starts[name] for name in fields}, {name: self.values[name] for name in fields})


@dataclass(frozen=True)
class Rows:
    """Where (day, instrument) stands: while it is computed stock after stock, in the result by (day, instrument).

    place [days, instruments] int32: its place stock after stock, -1 where there is no row; members, others: the
    rows' positions in the flattened place, in the order of the result; first: the first day's place in the calendar.
    """

    days: pd.DatetimeIndex
    names: pd.Index
    place: np.ndarray
    members: np.ndarray
    others: np.ndarray
    first: int

    @classmethod
    def of(cls, bars: dict[str, Bars], members: Spans, extended: Spans) -> Rows:
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
        place = np.cumsum(present.T, dtype=np.int32).reshape(present.shape[::-1]).T - 1
        place[~present] = -1
        member = grid(members, days, names)
        members_at, others_at = np.flatnonzero(present & member), np.flatnonzero(present & ~member)
        return cls(days, names, np.ascontiguousarray(place), members_at, others_at, int(first))

    @property
    def count(self) -> int:
        return len(self.members) + len(self.others)

    @property
    def order(self) -> np.ndarray:
        """The place, stock after stock, of each row of the result."""
        return self.place.ravel()[np.concatenate([self.members, self.others])]

    def frames(self, values: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The members' rows and the others', as frames over the values themselves."""
        border = len(self.members)
        return self._frame(values[:, :border], self.members), self._frame(values[:, border:], self.others)

    def _frame(self, values: np.ndarray, cells: np.ndarray) -> pd.DataFrame:
        index = index_of(cells, self.days, self.names).remove_unused_levels()
        return pd.DataFrame(values.T, index=index, copy=False)


def compute(values: np.ndarray, programs: Programs, native: list[int], bars: dict[str, Bars], rows: Rows) -> list[str]:
    """Write what the programs give into the native columns of ``values``; the stocks that they decline."""
    declined = []
    for column, (name, stock) in enumerate(bars.items()):
        days = np.flatnonzero(rows.place[:, column] >= 0)
        if not len(days):
            continue
        try:
            results = results_of(programs, stock, rows.first + days)
        except NotNative as reason:
            declined.append((name, reason))
            continue
        start = rows.place[days[0], column]
        with np.errstate(over="ignore"):  # beyond 3e38 a float32 is infinite, as Qlib's is
            for at, result in zip(native, results, strict=True):
                values[at, start : start + len(days)] = result
    if declined:
        name, why = declined[0]
        logger.warning(f"Qlib's engine computes {len(declined)} of {len(bars)} stocks, the first {name}: {why}.")
    return [name for name, _ in declined]


def results_of(programs: Programs, bars: Bars, days: np.ndarray) -> list[np.ndarray]:
    """One stock's results on some days of the calendar, ``[days]`` each."""
    if bars.aligned:
        return run(programs.together, bars, days)
    return [run_apart(program, bars.of(program.fields), days) for program in programs.apart]


def run_apart(program: Program, bars: Bars, days: np.ndarray) -> np.ndarray:
    """A column of fields with days of their own, NaN on the others, where Qlib has no row of it: ``[days]``."""
    if not bars.aligned:
        raise NotNative("its fields have bars of different days")
    ((first, values),) = {(start, len(bars.values[field])) for field, start in bars.starts.items()}
    inside = (days >= first) & (days < first + values)
    result = np.full(len(days), np.nan)
    if inside.any():
        (result[inside],) = run(program, bars, days[inside])
    return result


def run(program: Program, bars: Bars, days: np.ndarray) -> list[np.ndarray]:
    """The results on some days of the calendar, of fields that have bars of all of them: ``[days]`` each."""
    own = days - next(iter(bars.starts.values()))
    begin = max(own[0] - program.rows_before, 0)
    read = slice(begin, own[-1] + 1 + program.rows_after)
    results = program.run({field: value[read] for field, value in bars.values.items()})
    gapless = own[-1] - own[0] + 1 == len(own)
    wanted = slice(own[0] - begin, own[-1] - begin + 1) if gapless else own - begin
    return [result[wanted] for result in results]


def place(values: np.ndarray, frame: pd.DataFrame, columns: list[int], names: list[str], rows: Rows) -> None:
    """Write what Qlib's engine gave for some columns and stocks; NotNative where it has other rows for them."""
    target = rows.place.ravel()[cells_of(frame.index, rows.days, rows.names)]
    own = rows.place[:, rows.names.get_indexer(names)]
    if (target < 0).any() or len(target) != np.count_nonzero(own >= 0):
        raise NotNative(f"{len(columns)} columns of {len(names)} stocks have rows where there are no bars")
    for at, column in enumerate(columns):
        values[column, target] = frame.iloc[:, at].to_numpy()


@compiled
def reorder(values, order):
    """``values[c, i] = values[c, order[i]]``, column after column in place."""
    for c in range(len(values)):
        column = values[c].copy()
        for i in range(len(order)):
            values[c, i] = column[order[i]]
