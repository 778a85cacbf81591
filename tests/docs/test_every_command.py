"""Every command line of README and docs has a test that runs it; a new one is entered here beside its test."""

from __future__ import annotations

import ast
from fnmatch import fnmatchcase
from functools import cache

import pytest

from tests.docs.pages import PAGES, ROOT, command_lines

README, HOUR, DATA = (f"tests/docs/test_{name}.py" for name in ("readme", "first_hour", "data_commands"))
CSI300, MARKET = "tests/test_workflows.py::finished", "tests/test_market_workflows.py::predictions"
RUN_BY = {
    "make quickstart": f"{HOUR}::quickstart",
    "make test": f"{README}::test_make_test_lints_checks_types_and_runs_the_tests",
    "make lint": f"{README}::test_make_test_lints_checks_types_and_runs_the_tests",
    ".venv/bin/pytest tests/portfolio -q": f"{README}::test_make_test_lints_checks_types_and_runs_the_tests",
    "make docs": "tests/docs/test_site.py::test_the_site_is_built_without_a_warning_and_without_network",
    "make reports *": f"{README}::test_the_reports_are_made_by_the_runner",
    "pip install *": f"{README}::test_an_installed_wheel_is_found_from_any_folder",
    "python -m qlib.cli.data *": f"{README}::test_the_data_of_qlib_are_downloaded_by_qlib",
    "export *": f"{HOUR}::terminal",
    "echo *": f"{HOUR}::test_tomorrows_orders",
    "qlib-ext init workflows": f"{HOUR}::test_real_data_in_four_lines",
    "qlib-ext run csi300_astgnn csi300_lightgbm": f"{HOUR}::test_real_data_in_four_lines",
    "qlib-ext compare *": f"{HOUR}::test_a_second_model_is_compared",
    "qlib-ext report *": f"{HOUR}::test_the_page_is_one_file",
    "qlib-ext analyse *": f"{HOUR}::test_a_second_model_is_compared",
    "qlib-ext check csi300_astgnn": f"{HOUR}::test_tomorrows_orders",
    "qlib-ext predict csi300_astgnn *": f"{HOUR}::test_tomorrows_orders",
    "qlib-ext orders csi300_astgnn *": f"{HOUR}::test_tomorrows_orders",
    "qlib-ext check csi300_gru *": f"{HOUR}::test_every_evening",
    "qlib-ext predict csi300_gru *": f"{HOUR}::test_every_evening",
    "qlib-ext orders csi300_gru *": f"{HOUR}::test_every_evening",
    "update-the-bars *": f"{HOUR}::test_every_evening",
    "qlib-ext provider *": f"{DATA}::test_bars_of_ones_own_train_a_net",
    "qlib-ext fields * --hold --out *": f"{DATA}::test_bars_of_ones_own_train_a_net",
    "QLIB_DATA=~/.qlib/my_data qrun *": f"{DATA}::test_bars_of_ones_own_train_a_net",
    "qlib-ext fields * --digits 2 *": f"{README}::test_a_table_becomes_fields",
    "qlib-ext fields --table moneyflow.parquet *": "tests/handlers/test_flows.py"
    "::test_a_vendors_table_becomes_the_same_fields",
    "qlib-ext fundamentals --table *": f"{README}::test_a_table_becomes_fields",
    "qlib-ext fundamentals --pit *": f"{DATA}::test_qlibs_point_in_time_data",
    "qlib-ext factor *": f"{DATA}::test_factors_are_tested_and_searched",
    "qlib-ext group-mean *": f"{DATA}::test_factors_are_tested_and_searched",
    "qlib-ext search *": f"{DATA}::test_factors_are_tested_and_searched",
    "qlib-ext relations *": f"{DATA}::test_networks_of_reports_are_weighed_by_the_risk_model",
    "qlib-ext weights *": f"{DATA}::test_networks_of_reports_are_weighed_by_the_risk_model",
    "qlib-ext risk *": f"{DATA}::test_networks_of_reports_are_weighed_by_the_risk_model",
    "RELATIONS=* STATE=* qrun *": f"{DATA}::test_networks_of_reports_are_weighed_by_the_risk_model",
    "qlib-ext ticks *": f"{README}::test_ticks_are_read_and_built_into_a_provider",
    "qlib-ext workflows*": f"{README}::test_the_workflows_are_listed_run_with_variables_and_written",
    "qlib-ext init my_workflows": f"{README}::test_the_workflows_are_listed_run_with_variables_and_written",
    "EPOCHS=2 * qrun *": f"{README}::test_the_workflows_are_listed_run_with_variables_and_written",
    "qrun workflows/csi300_*": CSI300,
    "qrun workflows/market_*": MARKET,
    "QLIB_DATA=* qrun workflows/market_*": MARKET,
    "FACTORS=* qrun workflows/market_*": MARKET,
    "GRAPH_GROUP=* qrun *": "tests/test_market_workflows.py::test_a_graph_of_industries_gives_other_scores",
    "RELATIONS=* qrun workflows/market_rsr.yaml": MARKET,
    "qlib-ext run *market_*": "tests/test_market_workflows.py::test_a_combination_is_run_once",
    "STATE=* qlib-ext run market_families*": MARKET,
    "* qlib-ext run csi500_enhanced": "tests/portfolio/test_workflows.py"
    "::test_a_workflow_holds_the_score_of_another_experiment",
    "qlib-ext enhance *": "tests/portfolio/test_grid.py::test_the_command_prints_the_tables",
}
LINES = sorted({line for page in PAGES for line in command_lines(page)})


@cache
def functions(file: str) -> set[str]:
    """The functions of a file of tests."""
    return {node.name for node in ast.walk(ast.parse((ROOT / file).read_text())) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("line", LINES)
def test_a_command_is_run_by_a_test(line):
    assert any(fnmatchcase(line, pattern) for pattern in RUN_BY), f"which test runs this? {line}"


@pytest.mark.parametrize("pattern", RUN_BY)
def test_the_tests_and_the_commands_that_are_named_are_there(pattern):
    file, name = RUN_BY[pattern].split("::")
    assert name in functions(file)
    assert any(fnmatchcase(line, pattern) for line in LINES)
