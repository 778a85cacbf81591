"""A field that tells a stock of others: the mean of their values in its group, written into a provider."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from qlib_ext.errors import DataError
from qlib_ext.provider.fields import write_field
from qlib_ext.provider.panels import checked_folder, fields_known, read_panels, read_spans


def mean_of_others(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """``x[t, i] = sum_j v[t, j] / n``, over the n other stocks j of i's group that have a value on day t.

    values, groups [days, stocks] -> [days, stocks]; a group is any number, NaN for none. NaN where a stock has no value
    or no group of its own, or is alone in it.
    """
    result = np.full(values.shape, np.nan)
    for day, (own, group) in enumerate(zip(values, groups, strict=True)):
        known = np.flatnonzero(~np.isnan(own) & ~np.isnan(group))
        _, place = np.unique(group[known], return_inverse=True)
        total, count = np.bincount(place, own[known]), np.bincount(place)
        others = count[place] - 1
        result[day, known] = np.divide(
            total[place] - own[known], others, out=np.full(len(known), np.nan), where=others > 0
        )
    return result


def add_group_mean(provider: str | Path, field: str, group: str, overwrite: bool = False) -> tuple[str, int]:
    """Write ``$group_field`` of all stocks, see ``mean_of_others``: its name, and how many files have changed.

    field, group  of the provider, without $; a value of a day is made of the values of that day alone

    Raises DataError for a field that no stock has, and where ``group_field`` is there already and not to be
    overwritten, ProviderError and OutputError as ``write_field`` does.
    """
    folder = checked_folder(provider)
    stocks = sorted({*read_spans(folder, "all")["instrument"]})
    known = fields_known(folder, (field, group), stocks)
    if missing := [name for name in (field, group) if name not in known]:
        raise DataError(f"None of the {len(stocks)} stocks of {folder} has the field ${missing[0]}; write it first.")
    name = f"{group}_{field}"
    if not overwrite and fields_known(folder, (name,), stocks):
        raise DataError(f"{folder} has the field ${name} already; give --overwrite to compute it anew.")
    panels = read_panels(folder, (field, group), stocks)
    means = mean_of_others(panels[field], panels[group])
    return name, write_field(folder, name, range(len(means)), dict(zip(stocks, means.T, strict=True)))
