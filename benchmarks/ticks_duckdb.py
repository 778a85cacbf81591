"""The 27 factors in SQL for ``benchmarks/ticks_speed.py``: all of them, as duckdb computes them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pandas as pd

MINUTE = """CASE WHEN of_day BETWEEN 570 AND 690 THEN least(of_day - 570, 119)
                 WHEN of_day BETWEEN 780 AND 900 THEN least(of_day - 660, 239) END"""
OF_DAY = "CAST(date_part('hour', time) * 60 + date_part('minute', time) AS SMALLINT)"

# file_row_number gives the order in which the trades of a stock happened: a stock lies in one file
TRADES = f"""
CREATE TEMP TABLE t AS
SELECT *, ln(price / lag(price) OVER (PARTITION BY instrument ORDER BY n)) AS step
FROM (SELECT * EXCLUDE of_day, {MINUTE} AS m
      FROM (SELECT instrument, {OF_DAY} AS of_day, price, volume, amount, buy_order, sell_order, side,
                   file_row_number AS n
            FROM read_parquet(?, file_row_number = true)))
WHERE m IS NOT NULL
"""
SIDE = """
CREATE TEMP TABLE {table} AS
WITH o AS (SELECT instrument, {number} AS id, sum(amount) AS amount,
                  sum(amount) FILTER (m < 30) AS early_amount,
                  sum(step) FILTER (side = '{active}') AS step,
                  sum(step) FILTER (side = '{active}' AND m < 30) AS early_step
           FROM t GROUP BY ALL),
     l AS (SELECT instrument, avg(ln(amount)) + stddev_samp(ln(amount)) + 1e-9 AS above FROM o GROUP BY ALL)
SELECT o.*, ln(amount) > above AS big FROM o JOIN l USING (instrument)
"""
SUMS = """
CREATE TEMP TABLE {table}_sums AS
SELECT instrument, sum(amount * amount) AS squares, sum(amount) FILTER (big) AS amount,
       coalesce(sum(early_amount) FILTER (big), 0) AS early_amount, sum(step) FILTER (big) AS step,
       sum(early_step) FILTER (big) AS early_step
FROM {table} GROUP BY ALL
"""
BARS = """
CREATE TEMP TABLE b AS
WITH found AS (SELECT instrument, m, arg_min(price, n) AS open, max(price) AS high, min(price) AS low,
                      arg_max(price, n) AS close, sum(volume) AS volume, sum(amount) AS amount, count(*) AS count,
                      coalesce(sum(amount) FILTER (side = 'B'), 0) - coalesce(sum(amount) FILTER (side = 'S'), 0) AS net
               FROM t GROUP BY ALL),
     grid AS (SELECT instrument, minutes.m, start
              FROM (SELECT instrument, min(m) AS start FROM found GROUP BY ALL), range(240) AS minutes(m)
              WHERE minutes.m >= start),
     filled AS (SELECT grid.*, last_value(close IGNORE NULLS) OVER day AS close, open, high, low,
                       coalesce(volume, 0) AS volume, coalesce(amount, 0) AS amount, coalesce(count, 0) AS count,
                       coalesce(net, 0) AS net
                FROM grid LEFT JOIN found USING (instrument, m) WINDOW day AS (PARTITION BY instrument ORDER BY m)),
     priced AS (SELECT * REPLACE (coalesce(open, close) AS open, coalesce(high, close) AS high,
                                  coalesce(low, close) AS low) FROM filled),
     r AS (SELECT *, close / CASE WHEN m = start THEN open ELSE lag(close) OVER day END - 1 AS r
           FROM priced WINDOW day AS (PARTITION BY instrument ORDER BY m))
SELECT *, lag(r) OVER day AS last_r, lead(r) OVER day AS next_r, lead(open) OVER day AS next_open,
       count > 0 AND amount / count >= quantile_cont(amount / count, 0.7) FILTER (count > 0) OVER
           (PARTITION BY instrument) * (1 - 1e-12) AS big
FROM r WINDOW day AS (PARTITION BY instrument ORDER BY m)
"""
FROM_BARS = """
CREATE TEMP TABLE minute_factors AS
SELECT instrument, skewness(r) FILTER (m >= 210) AS late_skew_ret,
       sum(r * r) FILTER (r < 0) / sum(r * r) AS down_vol_perc, corr(r, last_r) AS corr_ret_lastret,
       corr(close, next_open) AS corr_close_nextopen,
       sum(volume) FILTER (m // 30 = 1) / sum(volume) AS volume_perc2,
       sum(volume) FILTER (m // 30 = 2) / sum(volume) AS volume_perc3,
       sum(volume) FILTER (m // 30 = 3) / sum(volume) AS volume_perc4,
       sum(volume) FILTER (m // 30 = 4) / sum(volume) AS volume_perc5,
       sum(volume) FILTER (m // 30 = 5) / sum(volume) AS volume_perc6,
       sum(volume) FILTER (m // 30 = 6) / sum(volume) AS volume_perc7,
       corr(volume, count) AS corr_volume_item, corr(volume, r) FILTER (m < 30) AS early_corr_volume_ret,
       product(1 + r) FILTER (big) - 1 AS bigorder_ret,
       sum(amount) FILTER (r < 0) / sum(count) FILTER (r < 0) / (sum(amount) / sum(count)) AS down_single_amt_perc,
       corr(volume, high / low - 1) AS corr_volume_amplitude,
       corr(net, last_r) AS corr_netactivebuy_lastret, corr(net, next_r) AS corr_netactivebuy_nextret
FROM b GROUP BY ALL
"""
ORDERS = f"""
CREATE TEMP TABLE order_factors AS
WITH o AS (SELECT * EXCLUDE of_day, {MINUTE} AS m
           FROM (SELECT instrument, {OF_DAY} AS of_day, price, volume, side FROM read_parquet(?) WHERE kind = 'add'))
SELECT instrument, skewness(volume) FILTER (side = 'B') - skewness(volume) FILTER (side = 'S') AS skew_order_diff,
       kurtosis(volume) FILTER (side = 'B') - kurtosis(volume) FILTER (side = 'S') AS kurt_order_diff,
       kurtosis(volume) FILTER (m < 30) AS early_kurt_order,
       corr(volume, price) FILTER (side = 'B') AS corr_buyorder_volume_price
FROM o WHERE m IS NOT NULL GROUP BY ALL
"""
# the trades of no known side that have a big order on either side count in bigorder_ret2
RESULT = """
WITH either AS (SELECT t.instrument, sum(t.step) AS step
                FROM t LEFT JOIN buys ON t.instrument = buys.instrument AND t.buy_order = buys.id
                LEFT JOIN sells ON t.instrument = sells.instrument AND t.sell_order = sells.id
                WHERE side = 'N' AND (buys.big OR sells.big) GROUP BY ALL),
     day AS (SELECT instrument, sum(amount) AS amount, sum(amount) FILTER (m < 30) AS early,
                    sum(amount) FILTER (m < 30 AND side = 'B') AS early_bought FROM t GROUP BY ALL)
SELECT minute_factors.*, order_factors.* EXCLUDE instrument,
       (b.amount + s.amount) / (2 * day.amount) AS bigorder_amt_perc,
       b.early_amount / (b.early_amount + s.early_amount) AS early_bigorder_buy_perc,
       exp(coalesce(b.step, 0) + coalesce(s.step, 0) + coalesce(either.step, 0)) - 1 AS bigorder_ret2,
       exp(coalesce(b.early_step, 0) + coalesce(s.early_step, 0)) - 1 AS early_active_bigorder_ret,
       (b.squares - s.squares) / day.amount ** 2 AS concentration_diff, early_bought / early AS early_active_buy_perc
FROM day JOIN buys_sums b USING (instrument) JOIN sells_sums s USING (instrument)
JOIN minute_factors USING (instrument) JOIN order_factors USING (instrument) LEFT JOIN either USING (instrument)
ORDER BY instrument
"""


def factors(files: dict[str, Sequence[Path]], threads: int) -> pd.DataFrame:
    """The 27 factors of a day's files, one row an instrument."""
    with duckdb.connect(
        config={
            "threads": threads,
            "memory_limit": "16GB",
            "temp_directory": os.environ.get("TMPDIR", "/tmp"),
        }
    ) as connection:
        connection.execute("SET enable_progress_bar = false")
        connection.execute(TRADES, [[str(file) for file in files["trades"]]])
        for table, number, active in (("buys", "buy_order", "B"), ("sells", "sell_order", "S")):
            connection.execute(SIDE.format(table=table, number=number, active=active))
            connection.execute(SUMS.format(table=table))
        connection.execute(BARS)
        connection.execute(FROM_BARS)
        connection.execute(ORDERS, [[str(file) for file in files["orders"]]])
        return connection.execute(RESULT).df()
