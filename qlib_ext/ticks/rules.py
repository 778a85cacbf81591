"""What a row must not be: source -> fault -> expression that is true for a faulty row."""

from __future__ import annotations

from datetime import time

import polars as pl

_CANCEL = pl.col("kind") == "cancel"


def _not_positive(name: str) -> pl.Expr:
    return ~((pl.col(name) > 0) & pl.col(name).is_finite())


def _not_of(name: str, *values: str) -> pl.Expr:
    return pl.all_horizontal(pl.col(name) != value for value in values)  # a third of the time of is_in


def _outside(morning: time) -> pl.Expr:
    """Whether a time has no minute in ``sessions``, from the morning's start on; by comparison, which is cheap."""
    return ~(
        pl.col("time").is_between(morning, time(11, 31), closed="left")
        | pl.col("time").is_between(time(13), time(15, 1), closed="left")
    )


FAULTS: dict[str, dict[str, pl.Expr]] = {
    "trades": {
        "price is not above 0": _not_positive("price"),
        "volume is not above 0": pl.col("volume") <= 0,
        "amount is not above 0": _not_positive("amount"),
        "time is outside the session": _outside(time(9, 15)),
        "side is none of B, S, N": _not_of("side", "B", "S", "N"),
    },
    "orders": {
        "price is not above 0": _not_positive("price") & ~_CANCEL,  # Shenzhen's cancels carry none
        "volume is not above 0": pl.col("volume") <= 0,
        "time is outside the session": _outside(time(9, 15)),
        "side is none of B, S": _not_of("side", "B", "S"),
        "kind is none of add, cancel": _not_of("kind", "add", "cancel"),
    },
    "minute": {
        **{f"{name} is not above 0": _not_positive(name) for name in ("open", "high", "low", "close")},
        "high is below low": pl.col("high") < pl.col("low"),
        "volume is negative": pl.col("volume") < 0,
        "amount is negative": ~((pl.col("amount") >= 0) & pl.col("amount").is_finite()),
        "count is negative": pl.col("count") < 0,
        "time is outside the session": _outside(time(9, 30)),
    },
}
