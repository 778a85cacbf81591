"""The texts of a report in English; windows' columns are under their names in their table."""

from __future__ import annotations

from qlib_ext.recorder.windows import (
    FIT,
    PREDICT,
    PROCESSING,
    RANK_IC,
    ROWS,
    SEED,
    TEST_FROM,
    TEST_TO,
    TRAIN_FROM,
    TRAIN_LABELS_TO,
    TRAIN_TO,
    TRAINED,
    VALID_FROM,
    VALID_LABELS_TO,
    VALID_TO,
)

RECORD = "qlib_ext.analysis.records"

ENGLISH = {
    "html_lang": "en",
    "contents": "contents",
    "title": "Factor report: {names}",
    "lead": (
        "Hover for figures, drag to zoom, double-click to zoom out; a click on a legend hides a line. Every picture "
        "and figure is of each experiment's last finished run; the summary is the mean over its last runs."
    ),
    # what was tested
    "tested": "What was tested",
    "run": "run",
    "provider": "provider",
    "model": "model",
    "test": "days with scores",
    "universe": "universe",
    "label": "label",
    "stocks_per_day": "scores on a median day",
    "horizon": "horizon of the label, trading days",
    "groups": "groups",
    "rebalance": "groups rebalanced every, trading days",
    "price": "groups traded at, the day after the score",
    "test_days": "{first} to {last}, {days} trading days",
    # summary
    "summary": "Summary",
    "runs": "runs",
    "mark": "SIMULATED: ",
    "heading": "{universe}, test {test}, label {label}",
    "best": "bold, shaded",
    "best_note": "the best mean of this test",
    # sections
    "strategy": "Strategy after cost",
    "strategy_note": (
        "The backtest of PortAnaRecord from the first trade on; Qlib also counts the day before. Returns are added up, "
        "not compounded, so that drawdowns are the table's; excess is over the benchmark. A step is a day, a week or a "
        "month, as the configuration has it; figures are brought to a year of 252 trading days, and where there are "
        "fewer than 20, not at all."
    ),
    "rank_ic": "Rank IC",
    "rank_ic_note": (
        "Bars: monthly mean of the daily Rank IC. Line, right axis: sum of the daily Rank IC. "
        "The table takes the Rank IC once every horizon."
    ),
    "group_test": "Groups by score",
    "group_test_note": (
        "Group 1 has the highest scores. Equal weights, no cost, returns compounded; excess is over the equal-weighted "
        "universe; long-short is group 1 less the last group."
    ),
    "indices": "Inside indices",
    "indices_note": (
        "The score among those that are members on the day: five groups, excess over the mean of the members with a "
        "score, compounded; the Rank IC is taken every horizon."
    ),
    "index_groups": "annual excess return by group",
    "index_excess": "group 1: excess net value",
    "since_2018": "since 2018",
    "since_2020": "since 2020",
    "correlation": "Correlation",
    "correlation_note": "Mean over days of the cross-sectional rank correlation.",
    "risk": "Exposures and risk factors",
    "risk_note": (
        "Exposures at the close of the score's day, taken every horizon, means over these days: to a style the "
        "correlation with the score, to an industry the mean standardised score of its stocks. The second Rank IC is "
        "of what a regression on all of them leaves of the score; explained is the share of its variance they take. "
        "Without a risk model, size is the rank correlation of the score with the float market value."
    ),
    "networks": "Weights by the market's state",
    "networks_note": (
        "What each network of related stocks, or each family of factors, counts on a day, by the returns of the risk "
        "factors in the days up to it; the weights of a day are those of its own window, and their sum is 1."
    ),
    "training": "Training curves",
    "training_note": "By epoch, or by tree; thin lines are the windows of a rolling model, or several seeds.",
    "windows": "Windows of the rolling model",
    "limits": "Limits of the data, and what the codes mean",
    "limits_of_data": (
        "The backtest fills every order it may place at the day's price, whatever its size; the cost is what the "
        "configuration says.\n"
        "Groups and the Rank IC take every stock with a score, whether it could be bought or not, without cost.\n"
        "Members of an index are those of the provider's file; one that lists today's members for the past flatters "
        "every score.\n"
        "Figures of several experiments that were tried on the same days flatter the best one.\n"
        "Summary and strategy: returns added up. Groups and indices: returns compounded. All are brought to a year of "
        "252 trading days; what Qlib itself reports, by a year of 238, stands once, below the summary."
    ),
    "config": "Configuration",
    # figures and tables
    "net_value": "Net value",
    "excess_net_value": "Excess net value",
    "benchmark": "benchmark",
    "group": "group",
    "equal_weighted": "universe",
    "drawdown": "Return: below its highest",
    "excess_drawdown": "Excess return: below its highest",
    "monthly_returns": "Return after cost by month, added up",
    "mean_turnover": "Turnover a step, mean of 20 steps",
    "cash_share": "Cash, share of the account",
    "cost_table": "The same trades at other costs, times the configured ones",
    "cost_times": "cost times",
    "top_k_table": "The k highest scores in equal weights, rebalanced as the groups, without cost",
    "top_k": "k",
    "holdings": "The 20 largest holdings at the last close",
    "weight": "weight",
    "cash": "cash",
    "decay_rank_ic": "Rank IC by days of the return",
    "decay_icir": "ICIR by days of the return",
    "decay_autocorrelation": "Rank correlation with its own past",
    "excess_by_group": "Annual excess return by group",
    "top_excess": "Group 1: excess net value",
    "long_short_value": "Long-short: net value",
    "monthly_mean": "monthly mean",
    "cumulative": "cumulative",
    "heat_map": "Mean Rank IC by month",
    "months": "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec",
    "scores": "Scores, on the days of ",
    "between": "Scores among each other; each pair on the days and stocks that both have",
    "styles": "Price-volume factors with the scores",
    "exposures": "Exposures by year: {name}",
    "size": "size",
    "risk_table": "Rank IC by year, before and after the risk factors are taken out",
    "rank_ic_neutral": "without risk factors",
    "explained": "explained",
    "stocks": "stocks",
    "epoch": "epoch",
    "train": "train",
    "valid": "valid",
    "all": "all",
    "long_short": "long-short",
    "year": "year",
    "experiment": "experiment",
    "ic_table": "Rank IC by year, taken every horizon",
    "yearly_table": "Strategy by year",
    "group_table": "Groups over the whole test",
    "group_years": "Excess return by year; of long-short, its return",
    "mean": "mean",
    "std": "std",
    "icir": "ICIR",
    "positive": "share > 0",
    "annual_return": "annual return",
    "volatility": "volatility",
    "sharpe": "Sharpe",
    "max_drawdown": "max drawdown",
    "annual_excess_return": "annual excess return",
    "excess_volatility": "excess volatility",
    "information_ratio": "information ratio",
    "excess_max_drawdown": "excess max drawdown",
    "monthly_win_rate": "months won",
    "turnover": "turnover",
    "days": "days",
    "steps": "steps",
    TRAIN_FROM: "train from",
    TRAIN_TO: "to",
    VALID_FROM: "valid from",
    VALID_TO: "to",
    TEST_FROM: "test from",
    TEST_TO: "to",
    TRAIN_LABELS_TO: "train labels to",
    VALID_LABELS_TO: "valid labels to",
    RANK_IC: "Rank IC",
    SEED: "seed",
    ROWS: "rows",
    TRAINED: "trained now",
    PROCESSING: "processing, s",
    FIT: "fit, s",
    PREDICT: "predict, s",
    # what is missing
    "no_factor": f"{{names}}: no factor analysis; add FactorRecord (module_path {RECORD}) to the workflow's records.",
    "no_strategy": "{names}: no strategy; let PortAnaRecord run before FactorRecord.",
    "no_styles": "{names}: no correlation with price-volume factors; FactorRecord was given styles: false.",
    "no_scores": (
        "{names}: no correlation with other scores; give FactorRecord compare_with: [EXPERIMENT, ...], or name several "
        "experiments to qlib-ext report."
    ),
    "no_risk": (
        "{names}: no risk factors; give FactorRecord risk: {{kwargs: {{folder: DIR}}}}, of qlib-ext risk --out DIR."
    ),
    "left_out": "{name}: without {parts}, because {reason}.",
    "no_curves": "{names}: no training curves; the model logs no metric by epoch to the recorder.",
    "no_config": "{names}: no configuration; the run was not started by qrun or task_train.",
}
