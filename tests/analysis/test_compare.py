import pytest
from mlflow import MlflowClient

from qlib_ext.analysis.compare import COLUMNS, comparison, store_of
from qlib_ext.cli import main
from qlib_ext.errors import DataError


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A store with two finished runs of "net" and one that failed, and an experiment without runs."""
    folder = tmp_path_factory.mktemp("runs")
    client = MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db")
    net = client.create_experiment("net", artifact_location=str(folder))
    client.create_experiment("empty", artifact_location=str(folder))
    for start, (value, status) in enumerate([(0.04, "FINISHED"), (0.06, "FINISHED"), (9.0, "FAILED")]):
        run = client.create_run(net, start_time=1 + start)
        for name in COLUMNS:
            client.log_metric(run.info.run_id, name, value)
        client.set_terminated(run.info.run_id, status)
    return folder


def test_the_last_finished_run_is_shown(runs):
    table = comparison(store_of(runs), ["net"])
    assert table.loc["runs", "net"] == "1"
    assert table.loc["Rank IC", "net"] == "0.0600"
    assert table.loc["excess return with cost", "net"] == "6.00%"


def test_several_runs_are_averaged(runs):
    table = comparison(store_of(runs), ["net"], last=5)
    assert table.loc["runs", "net"] == "2"
    assert table.loc["IC", "net"] == "0.0500 ± 0.0141"


def test_the_command_prints_the_table_and_the_way_to_the_ui(runs, capsys):
    assert main(["compare", "net", "--runs", str(runs)]) == 0
    printed = capsys.readouterr().out
    for word in ("Rank ICIR", "information ratio", "max drawdown", f"mlflow ui --backend-store-uri sqlite:///{runs}"):
        assert word in printed


@pytest.mark.parametrize(
    ("experiment", "message"), [("nett", "no experiment 'nett'.*empty, net"), ("empty", "no finished run")]
)
def test_experiments_that_have_nothing_to_show(runs, experiment, message):
    with pytest.raises(DataError, match=message):
        comparison(store_of(runs), [experiment])


def test_a_folder_without_runs_is_told_in_one_line(tmp_path, capsys):
    assert main(["compare", "net", "--runs", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error:")
