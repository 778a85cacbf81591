"""How factors are prepared and tested."""

from __future__ import annotations

from dataclasses import dataclass

from qlib_ext.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How factors are prepared and tested; the defaults are the report's.

    universe    the provider's instruments
    start, end  first and last day of the test; None: the provider's
    mean_days   a factor is the mean of its last days, of those that have it; 1: its own day alone
    clip        whether to clip it at 3 scaled MADs
    neutral     whether to take out industry and size
    zscore      whether to standardise it
    industry    the expression of a number for each industry; None: size alone is taken out
    size        the expression of the market value, whose log is taken
    price       the field that stocks are bought, sold and valued at, the day after
    groups      how many groups
    rebalance   trading days from one test day to the next
    limit       whoever closes the next day this much higher cannot be bought, a fraction; None: everybody can
    turn        whether a factor whose mean Rank IC is below 0 is sold where it is high; it is known only afterwards

    Source: Huatai Securities, artificial intelligence series 72 (2023-12-08), the test above exhibit 7: all A-shares
    without those that are suspended or at their upper limit the next day, weekly, five groups, no cost. A provider
    does not say who is ST, and the limit here is one for all boards, which leaves out a little more than the report.
    """

    universe: str = "all"
    start: str | None = None
    end: str | None = None
    mean_days: int = 20
    clip: bool = True
    neutral: bool = True
    zscore: bool = True
    industry: str | None = "$industry"
    size: str = "$float_mv"
    price: str = "$close"
    groups: int = 5
    rebalance: int = 5
    limit: float | None = 0.095
    turn: bool = False

    def __post_init__(self) -> None:
        least = {"mean_days": 1, "groups": 2, "rebalance": 1}
        for name, smallest in least.items():
            if getattr(self, name) < smallest:
                raise ConfigError(f"{name} is at least {smallest}; it is {getattr(self, name)}.")
        if self.limit is not None and not self.limit > 0:
            raise ConfigError(f"limit is a return above 0, such as 0.095; it is {self.limit}.")
        if not self.price.startswith("$"):
            raise ConfigError(f"price is a field of the provider, such as $close; it is {self.price!r}.")
