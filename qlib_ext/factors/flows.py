"""Indicators and states of flows by order size: expressions of ``$flow_<size>_<side>``.

Fields are amounts in yuan, those of ``qlib-ext ticks build --families flows`` or of a vendor's table that ``qlib-ext
fields`` has written; never of both. ``main`` is large and very large together.
Source: Orient Securities, market microstructure series 23, 26 and 32 (2026-01-28), the family C; which indicators are
in it is ours.
"""

from __future__ import annotations

SIZES = ("small", "medium", "large", "very_large")
GROUPS = {size: (size,) for size in SIZES} | {"main": ("large", "very_large")}
RETURN = "($close / Ref($close, 1) - 1)"
STATE_DAYS, STATE_VALUES = 120, 3


def summed(side: str, sizes: tuple[str, ...] = SIZES) -> str:
    """What orders of these sizes bought, or sold."""
    return "(" + " + ".join(f"$flow_{size}_{side}" for size in sizes) + ")"


AMOUNT = f"(({summed('buy')} + {summed('sell')}) / 2)"


def net_of(sizes: tuple[str, ...]) -> str:
    """What orders of these sizes bought more than they sold, over the amount of all."""
    return f"(({summed('buy', sizes)} - {summed('sell', sizes)}) / {AMOUNT})"


def indicators_of(name: str, sizes: tuple[str, ...]) -> dict[str, str]:
    """The indicators of one group of orders, B what they bought, S what they sold, A the amount of all, r the return.

    NET        (B - S) / A
    BALANCE    (B - S) / (B + S)
    SHARE      (B + S) / (2 A)
    NET5, 20   sum (B - S) / sum A, of so many days
    LOG20      the mean of 20 days of log(B / S)
    RETURN20   corr(NET, r) over 20 days
    RESIDUAL   NET - m - b (r - mean r), m its mean, b = cov(NET, r) / var(r), over 20 days

    The last two are of the days that know both.
    """
    bought, sold = summed("buy", sizes), summed("sell", sizes)
    net = f"({bought} - {sold})"
    share = net_of(sizes)
    # on the days that know both: Qlib's Corr wants both series to begin on one day
    x, r = f"({share} + 0 * {RETURN})", f"({RETURN} + 0 * {share})"
    slope = f"(Cov({x}, {r}, 20) / Var({r}, 20))"
    expressions = {
        "NET": share,
        "BALANCE": f"{net} / ({bought} + {sold})",
        "SHARE": f"({bought} + {sold}) / (2 * {AMOUNT})",
        "NET5": f"Sum({net}, 5) / Sum({AMOUNT}, 5)",
        "NET20": f"Sum({net}, 20) / Sum({AMOUNT}, 20)",
        "LOG20": f"Mean(Log({bought} / {sold}), 20)",
        "RETURN20": f"Corr({x}, {r}, 20)",
        "RESIDUAL": f"{x} - Mean({x}, 20) - {slope} * ({r} - Mean({r}, 20))",
    }
    return {f"{name.upper()}_{key}": expression for key, expression in expressions.items()}


def state_of(sizes: tuple[str, ...]) -> str:
    """2 where NET is above its mean of 120 days by half a standard deviation or more, 0 where it is below, else 1."""
    net = net_of(sizes)
    mean, reach = f"Mean({net}, {STATE_DAYS})", f"(0.5 * Std({net}, {STATE_DAYS}))"
    known = f"(0 * {net})"  # NaN where the flow is
    return f"If({net} > {mean} + {reach}, 2, If({net} < {mean} - {reach}, 0, 1)) + {known}"


INDICATORS = {
    column: expression for name, sizes in GROUPS.items() for column, expression in indicators_of(name, sizes).items()
}
STATES = {f"{name.upper()}_STATE": state_of(sizes) for name, sizes in GROUPS.items()}
