"""The texts of a report, in English and in Chinese; windows' columns are under their names in their table."""

from __future__ import annotations

from collections.abc import Mapping

from qlib_ext.analysis.report.enhancement_texts import ENHANCEMENT_EN, ENHANCEMENT_ZH
from qlib_ext.recorder.windows import (
    FIT,
    PREDICT,
    PROCESSING,
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

Texts = Mapping[str, str]

_RECORD = "qlib_ext.analysis.records"

_EN = {
    "html_lang": "en",
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
    "to": " to ",
    "heading": "{universe}, test {test}, label {label}",
    "best": "bold, shaded",
    "best_note": "the best mean of this test",
    "IC": "IC",
    "ICIR": "ICIR",
    "Rank IC": "Rank IC",
    "Rank ICIR": "Rank ICIR",
    "excess return without cost": "excess return without cost",
    "excess return with cost": "excess return with cost",
    "information ratio": "information ratio",
    "max drawdown": "max drawdown",
    # sections
    "strategy": "Strategy after cost",
    "strategy_note": (
        "The backtest of PortAnaRecord from the first trade on; Qlib also counts the day before. Returns are added up, "
        "not compounded, so that drawdowns are the table's; excess is over the benchmark. A year has 252 days, as in "
        "the reports, and 238 in the summary, as in Qlib; fewer than 20 days are not brought to a year."
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
    "correlation": "Correlation",
    "correlation_note": "Mean over days of the cross-sectional rank correlation.",
    "risk": "Risk factors",
    "risk_note": (
        "Exposures at the close of the score's day, taken every horizon, means over these days: to a style the "
        "correlation with the score, to an industry the mean standardised score of its stocks. The second Rank IC is "
        "of what a regression on all of them leaves of the score; explained is the share of its variance they take."
    ),
    "training": "Training curves",
    "training_note": "By epoch, or by tree; thin lines are the windows of a rolling model, or several seeds.",
    "windows": "Windows of the rolling model",
    "config": "Configuration",
    # figures and tables
    "net_value": "Net value",
    "excess_net_value": "Excess net value",
    "benchmark": "benchmark",
    "group": "group",
    "equal_weighted": "universe",
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
    "risk_exposures": "Exposures by year: ",
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
    "annual_return": "return p.a.",
    "volatility": "volatility",
    "sharpe": "Sharpe",
    "max_drawdown": "max drawdown",
    "annual_excess_return": "excess return p.a.",
    "excess_volatility": "excess volatility",
    "information_ratio": "information ratio",
    "excess_max_drawdown": "excess max drawdown",
    "monthly_win_rate": "months won",
    "turnover": "turnover",
    "days": "days",
    TRAIN_FROM: "train from",
    TRAIN_TO: "to",
    VALID_FROM: "valid from",
    VALID_TO: "to",
    TEST_FROM: "test from",
    TEST_TO: "to",
    TRAIN_LABELS_TO: "train labels to",
    VALID_LABELS_TO: "valid labels to",
    SEED: "seed",
    ROWS: "rows",
    TRAINED: "trained now",
    PROCESSING: "processing, s",
    FIT: "fit, s",
    PREDICT: "predict, s",
    # what is missing
    "no_factor": f"{{names}}: no factor analysis; add FactorRecord (module_path {_RECORD}) to the workflow's records.",
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

_ZH = {
    "html_lang": "zh-CN",
    "title": "因子测试报告：{names}",
    "lead": (
        "悬停查看数值，拖动放大，双击还原，点击图例隐藏曲线。图表均取自各实验最近一次完成的运行；汇总表为最近若干次运行的均值。"
    ),
    "tested": "测试设置",
    "run": "运行",
    "provider": "数据",
    "model": "模型",
    "test": "打分区间",
    "universe": "股票池",
    "label": "标签",
    "stocks_per_day": "每日打分股票数（中位数）",
    "horizon": "标签期限（交易日）",
    "groups": "分组数",
    "rebalance": "分组调仓间隔（交易日）",
    "price": "分组成交价（打分次日）",
    "test_days": "{first} 至 {last}，{days} 个交易日",
    "summary": "汇总",
    "runs": "运行数",
    "to": " 至 ",
    "heading": "{universe}，测试期 {test}，标签 {label}",
    "best": "加粗底纹",
    "best_note": "同一测试中均值最优",
    "IC": "IC",
    "ICIR": "ICIR",
    "Rank IC": "Rank IC",
    "Rank ICIR": "Rank ICIR",
    "excess return without cost": "超额收益（费前）",
    "excess return with cost": "超额收益（费后）",
    "information ratio": "信息比率",
    "max drawdown": "最大回撤",
    "strategy": "策略表现（费后）",
    "strategy_note": (
        "PortAnaRecord 的回测，自首次交易起（Qlib 另计其前一日）。日收益累加而非复利，故回撤与表中一致；超额相对基准。"
        "此处一年按 252 个交易日计（与研报一致），汇总表按 238 日（与 Qlib 一致）；不足 20 天的不年化。"
    ),
    "rank_ic": "Rank IC",
    "rank_ic_note": "柱：日频 Rank IC 的月均值；线（右轴）：日频 Rank IC 累计值。表中 Rank IC 每隔一个标签期限取一次。",
    "group_test": "分组测试",
    "group_test_note": "第 1 组得分最高。等权、不计费用、复利；超额收益相对等权股票池；多空为第 1 组减末组。",
    "correlation": "相关性",
    "correlation_note": "逐日截面秩相关系数的均值。",
    "risk": "风险因子",
    "risk_note": (
        "打分当日收盘时的暴露，每隔一个标签期限取一次并平均：风格为打分与暴露的截面相关系数，行业为该行业股票标准化打分的均值。"
        "第二个 Rank IC 取自打分对全部因子回归后的残差；解释度为因子所解释的打分方差占比。"
    ),
    "training": "训练曲线",
    "training_note": "按轮次（树模型为按棵数）；细线为滚动训练的各窗口或各随机种子。",
    "windows": "滚动训练窗口",
    "config": "配置",
    "net_value": "净值",
    "excess_net_value": "超额净值",
    "benchmark": "基准",
    "group": "组",
    "equal_weighted": "股票池等权",
    "excess_by_group": "各组年化超额收益",
    "top_excess": "第 1 组超额净值",
    "long_short_value": "多空净值",
    "monthly_mean": "月均值",
    "cumulative": "累计",
    "heat_map": "月均 Rank IC",
    "months": "1月 2月 3月 4月 5月 6月 7月 8月 9月 10月 11月 12月",
    "scores": "得分之间，测试期同 ",
    "between": "各实验得分之间；每一对取双方共有的交易日与股票",
    "styles": "价量因子与得分",
    "risk_exposures": "分年度暴露：",
    "risk_table": "分年度 Rank IC：剔除风险因子前后",
    "rank_ic_neutral": "剔除风险因子后",
    "explained": "解释度",
    "stocks": "股票数",
    "epoch": "轮次",
    "train": "训练",
    "valid": "验证",
    "all": "全部",
    "long_short": "多空",
    "year": "年份",
    "experiment": "实验",
    "ic_table": "分年 Rank IC（每隔一个标签期限取一次）",
    "yearly_table": "策略分年表现",
    "group_table": "分组全期表现",
    "group_years": "各组分年超额收益（多空为其收益）",
    "mean": "均值",
    "std": "标准差",
    "icir": "ICIR",
    "positive": ">0 占比",
    "annual_return": "年化收益",
    "volatility": "波动率",
    "sharpe": "夏普比率",
    "max_drawdown": "最大回撤",
    "annual_excess_return": "年化超额收益",
    "excess_volatility": "超额波动率",
    "information_ratio": "信息比率",
    "excess_max_drawdown": "超额最大回撤",
    "monthly_win_rate": "月胜率",
    "turnover": "换手率",
    "days": "天数",
    TRAIN_FROM: "训练起",
    TRAIN_TO: "止",
    VALID_FROM: "验证起",
    VALID_TO: "止",
    TEST_FROM: "测试起",
    TEST_TO: "止",
    TRAIN_LABELS_TO: "训练标签止",
    VALID_LABELS_TO: "验证标签止",
    SEED: "种子",
    ROWS: "行数",
    TRAINED: "本次训练",
    PROCESSING: "处理（秒）",
    FIT: "训练（秒）",
    PREDICT: "预测（秒）",
    "no_factor": f"{{names}}：没有因子分析；请在工作流的 record 中加入 FactorRecord（module_path {_RECORD}）。",
    "no_strategy": "{names}：没有策略结果；请在 FactorRecord 之前运行 PortAnaRecord。",
    "no_styles": "{names}：没有与价量因子的相关性；FactorRecord 的 styles 为 false。",
    "no_scores": (
        "{names}：没有与其他得分的相关性；请设置 FactorRecord 的 compare_with: [实验名, ...]，"
        "或在 qlib-ext report 中列出多个实验。"
    ),
    "no_risk": (
        "{names}：没有风险因子；请设置 FactorRecord 的 risk: {{kwargs: {{folder: DIR}}}}（qlib-ext risk --out DIR）。"
    ),
    "left_out": "{name}：未计算 {parts}，因为 {reason}。",
    "no_curves": "{names}：没有训练曲线；模型未按轮次向记录器写入指标。",
    "no_config": "{names}：没有配置；该运行不是由 qrun 或 task_train 启动的。",
}

LANGUAGES: Mapping[str, Texts] = {"en": _EN | ENHANCEMENT_EN, "zh": _ZH | ENHANCEMENT_ZH}
