"""Statistics of the past, made of a window's own days alone, for all stocks of a panel [days, stocks] side by side.

``first`` is the first day that is wanted: the days before it are history, and results are [days - first, stocks]. A
value is the same whatever else is computed with it, so that a day added later equals the day in a whole build bit for
bit. NaN stands for no value and is passed over. Panels are float64 and contiguous.
"""

from __future__ import annotations

import numpy as np

from qlib_ext.expressions.kernels import compiled

CARRIED_DAYS = 250  # that a suspended stock's last value is held
BLOCK = 128  # stocks at a time, whose window fits the processor's cache


@compiled
def carried(values, days=CARRIED_DAYS):
    """The newest value of the day and the ``days`` days before it: [days, stocks] -> the same."""
    out = np.empty_like(values)
    for stock in range(values.shape[1]):
        last, age = np.nan, 0
        for day in range(len(values)):
            if np.isnan(values[day, stock]):
                age += 1
            else:
                last, age = values[day, stock], 0
            out[day, stock] = last if age <= days else np.nan
    return out


@compiled
def window_sums(values, window, first=0):
    """The sum and the number of the values of the last ``window`` days: twice [days - first, stocks]."""
    days, stocks = values.shape
    total, count = np.zeros((days - first, stocks)), np.zeros((days - first, stocks))
    for low in range(0, stocks, BLOCK):
        high = min(low + BLOCK, stocks)
        for day in range(first, days):
            s, n = total[day - first, low:high], count[day - first, low:high]
            for past in range(max(day - window + 1, 0), day + 1):
                row = values[past, low:high]
                for i in range(len(row)):
                    known = row[i] == row[i]
                    s[i] += row[i] if known else 0.0
                    n[i] += 1.0 if known else 0.0
    return total, count


@compiled
def weighted_means(values, weights, lag=0, first=0):
    """``sum_k w_k x_{t-lag-k} / sum_k w_k`` over what is known, and the number known: twice [days - first, stocks].

    weights [window], the newest day's first.
    """
    days, stocks = values.shape
    mean, count = np.zeros((days - first, stocks)), np.zeros((days - first, stocks))
    weight = np.zeros(BLOCK)
    for low in range(0, stocks, BLOCK):
        high = min(low + BLOCK, stocks)
        for day in range(first, days):
            s, n = mean[day - first, low:high], count[day - first, low:high]
            weight[:] = 0.0
            for back in range(min(len(weights), day - lag + 1)):
                row, w = values[day - lag - back, low:high], weights[back]
                for i in range(len(row)):
                    known = row[i] == row[i]
                    s[i] += w * row[i] if known else 0.0
                    weight[i] += w if known else 0.0
                    n[i] += 1.0 if known else 0.0
            for i in range(len(s)):
                s[i] /= weight[i]  # 0 / 0 where nothing is known
    return mean, count


@compiled
def market_lines(returns, market, weights, first=0):
    """The weighted least-squares line of each stock's returns on the market's, on the stock's own days.

    ``beta = cov(r, m) / var(m)``, and the variance of what is left, ``var(r) - beta^2 var(m)``: with the number of
    days, [3, days - first, stocks]. returns [days, stocks], market [days], weights [window], the newest day's first.
    """
    days, stocks = returns.shape
    out = np.zeros((3, days - first, stocks))
    sums = np.zeros((6, BLOCK))
    for low in range(0, stocks, BLOCK):
        high = min(low + BLOCK, stocks)
        for day in range(first, days):
            sums[:] = 0.0
            sw, sr, sm, srr, smm, srm = sums[0], sums[1], sums[2], sums[3], sums[4], sums[5]
            n = out[2, day - first, low:high]
            for back in range(min(len(weights), day + 1)):
                row, m = returns[day - back, low:high], market[day - back]
                w = weights[back] if m == m else 0.0
                m = m if m == m else 0.0
                for i in range(len(row)):
                    known = row[i] == row[i]
                    r, own = (row[i], w) if known else (0.0, 0.0)
                    sw[i] += own
                    sr[i] += own * r
                    sm[i] += own * m
                    srr[i] += own * r * r
                    smm[i] += own * m * m
                    srm[i] += own * r * m
                    n[i] += 1.0 if own > 0 else 0.0
            beta, left = out[0, day - first, low:high], out[1, day - first, low:high]
            for i in range(len(beta)):
                mean_r, mean_m = sr[i] / sw[i], sm[i] / sw[i]
                var_m = smm[i] / sw[i] - mean_m * mean_m
                covariance = srm[i] / sw[i] - mean_r * mean_m
                beta[i] = covariance / var_m
                left[i] = max(srr[i] / sw[i] - mean_r * mean_r - beta[i] * covariance, 0.0)
    return out


@compiled
def ranges(values, window, first=0):
    """The highest less the lowest of the last ``window`` days, and the number known: twice [days - first, stocks]."""
    days, stocks = values.shape
    out, count = np.zeros((days - first, stocks)), np.zeros((days - first, stocks))
    top, bottom = np.zeros(BLOCK), np.zeros(BLOCK)
    for low in range(0, stocks, BLOCK):
        high = min(low + BLOCK, stocks)
        for day in range(first, days):
            n = count[day - first, low:high]
            top[:], bottom[:] = -np.inf, np.inf
            for past in range(max(day - window + 1, 0), day + 1):
                row = values[past, low:high]
                for i in range(len(row)):
                    top[i] = row[i] if row[i] > top[i] else top[i]
                    bottom[i] = row[i] if row[i] < bottom[i] else bottom[i]
                    n[i] += 1.0 if row[i] == row[i] else 0.0
            span = out[day - first, low:high]
            for i in range(len(span)):
                span[i] = top[i] - bottom[i] if n[i] > 0 else np.nan
    return out, count


def half_life_weights(half_life, window):
    """``0.5^(k / half_life)`` for k = 0 .. window - 1."""
    return 0.5 ** (np.arange(window) / half_life)
