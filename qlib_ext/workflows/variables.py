"""The variables of the environment that the workflows take, and what each means."""

from __future__ import annotations

from jinja2 import Environment, meta, nodes

# a line of the head of each file that takes them, in this order
MEANINGS = {
    "QLIB_DATA": "the provider's folder",
    "QLIB_RUNS": "the recorder's folder",
    "UNIVERSE": "the stocks: a file of the provider's instruments/, without its .txt",
    "BENCHMARK": "the index that returns are compared with",
    "START": "first day of the data; the windows of that day look further back",
    "TRAIN": "how long a model is trained: 6Y, 18M, or 250D, trading days",
    "VALID": "how long it is validated, between training and test: 1Y, 40D; 0.2: the last fifth of TRAIN",
    "TEST": "first day of the test, which lasts until END",
    "STEP": "how long a model scores until the next one is trained",
    "END": "last day of the data and of the test",
    "MODEL_TRAIN": "how much of the test of the experiments a weighting is found on: 240D, trading days",
    "MODEL_TEST": "the first day that a weighting scores, MODEL_TRAIN or more after TEST",
    "MODEL_STEP": "how long a weighting scores until the next one is found",
    "EPOCHS": "at most so many passes over the training days",
    "SEEDS": "a model for each, their standardised scores averaged: '[0, 1, 2]'",
    "AUTOCAST": "true: bfloat16, for a GPU, or a CPU with AVX512-BF16",
    "EMA_DECAY": "weights are averaged over the last steps, 100 of them with 0.99; 0: those of the last step",
    "FACTORS": "a file of expressions, a line NAME: expression each, such as qlib-ext search writes",
    "TURNOVER": "'$turnover' where the provider has it; the default is relative volume, over its mean of 60 days",
    "FLOAT_MV": "the float market value; '$total_mv', else 'Mean($amount, 60)', where the provider lacks it",
    "INDUSTRY": "a number for each industry",
    "RELATIONS": "who hears of whom: '[$industry, suppliers]', fields, and kinds that `qlib-ext relations` keeps",
    "STATE": "a folder of `qlib-ext risk`: its factors' returns weigh the networks, which else all count the same",
    "FAMILIES": "the experiments whose scores are weighted: '[market_day_gru, market_technical_gru]'",
    "SCORES": "the experiment whose score is held, any of the others: market_model0",
    "MEMBERS": "the members of the index: a file of the provider's instruments/",
    "WEIGHTS": "of the index: '$csi500_weight' or implied; by default the field where there is one, else implied",
    "RISK": "the folder of `qlib-ext risk`, made there where it has none; by default one that is made and removed",
    "REBALANCE": "day, week or month, on whose first trading day is traded",
    "TE": "the limit of the tracking error, of a year",
    "CPCT": "the share of the members; 0: none is asked for",
    "DELTA": "the limit of what is bought, and of what is sold, at a time; of both where the turnover is two-sided",
    "ACCOUNT": "yuan to begin with",
    "LIMIT": "one_price: no trade where the whole day stood at the price limit; close: where its close did",
    "GRAPH_GROUP": "'$industry': a graph of vectors, one a stock, drawn together by industry; by default of states",
}
# of a model that is trained once, whose segments are days and not lengths
TRAINED_ONCE = {
    "TRAIN": "first and last day of training: '2010-01-01, 2015-12-31'",
    "VALID": "first and last day of validation: after those of training, before TEST",
}


def variables_of(text: str) -> dict[str, str | None]:
    """The variables that the text of a workflow takes, in the order of ``MEANINGS``, others last, and their defaults.

    The default is what ``{{ NAME | default(..) }}`` says, as text; None where a variable has none.
    """
    tree = Environment().parse(text)
    defaults: dict[str, str | None] = dict.fromkeys(sorted(meta.find_undeclared_variables(tree)))
    for node in tree.find_all(nodes.Filter):
        if node.name == "default" and isinstance(node.node, nodes.Name) and isinstance(node.args[0], nodes.Const):
            defaults[node.node.name] = str(node.args[0].value)
    order = [name for name in MEANINGS if name in defaults]
    return {name: defaults[name] for name in order + [name for name in defaults if name not in MEANINGS]}


def meanings(trained_once: bool) -> dict[str, str]:
    """What each variable means to a model that is trained once, or to one that is retrained."""
    return MEANINGS | TRAINED_ONCE if trained_once else MEANINGS
