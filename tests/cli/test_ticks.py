"""The commands ``qlib-ext ticks read`` and ``qlib-ext ticks build``, from an exchange's files to a provider."""

from __future__ import annotations

import subprocess
import sys

import polars as pl
import pytest

from qlib_ext.cli import main
from tests.ticks.days import DAYS, STOCKS, put, trades_of

SHANGHAI = {
    "SecurityID": ["600519", "600519", "600519", "510300"],
    "TradTime": ["09:25:00.010", "09:30:00.020", "09:31:00.000", "09:31:00.000"],
    "TradPrice": ["1854.98", "1855", "1856", "4"],
    "TradVolume": ["100", "200", "300", "100"],
    "TradeMoney": ["185498", "371000", "556800", "400"],
    "TradeBuyNo": ["1", "2", "3", "4"],
    "TradeSellNo": ["5", "6", "7", "8"],
    "TradeBSFlag": ["N", "B", "S", "B"],
    "BizIndex": ["1", "2", "3", "4"],
}


@pytest.fixture
def shanghai(tmp_path):
    """A file of Shanghai's trades."""
    file = tmp_path / "morning.csv"
    pl.DataFrame(SHANGHAI).write_csv(file)
    return file


def read(*more: str) -> int:
    return main(["ticks", "read", "--exchange", "shanghai", "--date", DAYS[0], *more])


def test_read_writes_a_partition_and_says_what_it_left_out(shanghai, tmp_path, capsys):
    assert read("--trades", str(shanghai), "--out", str(tmp_path / "ticks")) == 0
    (written,) = (tmp_path / "ticks/trades" / f"date={DAYS[0]}").glob("shanghai-morning-*.parquet")
    told = capsys.readouterr().out
    assert told.startswith(f"{written}: 2 trades of 1 stocks; left out: ")
    assert "not an A share 1 rows" in told
    assert "opening auction 1 rows" in told
    assert pl.read_parquet(written)["price"].to_list() == [1855.0, 1856.0]


def test_a_day_that_was_read_under_another_name_is_refused(shanghai, tmp_path, capsys):
    moved = tmp_path / "moved" / "trades.csv"
    moved.parent.mkdir()
    moved.write_bytes(shanghai.read_bytes())
    out = tmp_path / "ticks"
    assert read("--trades", str(shanghai), "--out", str(out)) == 0
    (written,) = out.rglob("*.parquet")
    assert read("--trades", str(moved), "--out", str(out)) == 2
    assert f"What {moved} holds is in {written} already, under another name" in capsys.readouterr().err
    assert [*out.rglob("*.parquet")] == [written]


def test_files_of_one_name_stand_side_by_side_and_the_same_file_is_replaced(tmp_path):
    """A folder for each stock, as they are often delivered, read in one call or in several."""
    files = []
    for code in ("600519", "600000"):
        files.append(tmp_path / code / "trades.csv")
        files[-1].parent.mkdir()
        pl.DataFrame(SHANGHAI | {"SecurityID": [code] * 4}).write_csv(files[-1])
    for calls in ([files], [files[:1], files[1:]], [files[1:]]):
        for paths in calls:
            assert read("--trades", *map(str, paths), "--out", str(tmp_path / "ticks")) == 0
        written = tmp_path / "ticks/trades" / f"date={DAYS[0]}"
        assert len(list(written.iterdir())) == 2
        assert set(pl.read_parquet(written)["instrument"]) == {"SH600000", "SH600519"}


def test_what_was_read_can_be_built(shanghai, tmp_path, provider, capsys):
    read("--trades", str(shanghai), "--out", str(tmp_path / "ticks"))
    build = ["ticks", "build", "--backend", "serial"]
    assert main([*build, "--trades", str(tmp_path / "ticks/trades"), "--out", str(provider)]) == 0
    assert f"{provider}: 1 days computed, 0 kept from before; 23 fields, " in capsys.readouterr().out
    assert (provider / "features/sh600519/hf_early_active_buy_perc.day.bin").exists()


def test_read_without_a_row_of_use(shanghai, tmp_path, capsys):
    pl.DataFrame(SHANGHAI).head(1).write_csv(shanghai)
    assert read("--trades", str(shanghai), "--out", str(tmp_path / "ticks")) == 2
    assert f"{shanghai} has no trades that can be used; left out: opening auction 1 rows" in capsys.readouterr().err
    assert not (tmp_path / "ticks").exists()


def test_read_knows_no_orders_of_shenzhen(tmp_path, capsys):
    args = ["--exchange", "shenzhen", "--date", DAYS[0], "--orders", "o.csv", "--out", str(tmp_path)]
    assert main(["ticks", "read", *args]) == 2
    assert "no reader for orders of shenzhen; there are readers for trades of shanghai" in capsys.readouterr().err


def test_read_into_a_place_that_is_a_file(shanghai, tmp_path, capsys):
    (tmp_path / "ticks").write_text("")
    assert read("--trades", str(shanghai), "--out", str(tmp_path / "ticks")) == 2
    assert "choose another --out" in capsys.readouterr().err


def test_build_counts_what_it_leaves_out(ticks, provider, capsys):
    put(ticks["trades"], DAYS[0], trades_of(0).with_columns(pl.col("instrument").replace(STOCKS[0], "SH510300")))
    args = ["ticks", "build", "--backend", "serial", "--trades", str(ticks["trades"]), "--end", DAYS[1]]
    args += ["--out", str(provider)]
    assert main(args) == 2
    assert "SH510300" in capsys.readouterr().err
    assert main([*args, "--skip-unknown"]) == 0
    told = capsys.readouterr()
    assert f"left out 1 instruments unknown to {provider}, first SH510300" in told.err
    assert "1 days computed, 1 kept" in told.out


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--n-jobs", "0"], "at least 1"),
        (["--start", "2023-2-30"], "a date such as 2023-02-01"),
        (["--families", "ticks"], "invalid choice"),
        (["--backend", "dask"], "invalid choice"),
    ],
)
def test_wrong_options(args, says, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["ticks", "build", "--out", "provider", *args])
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "parts"),
    [
        ("build", ("date=2023-02-01", "examples:", "--n-jobs 2", "On a cluster", "must reach", "Mean($hf_", "goes on")),
        ("read", ("shanghai", "shenzhen", "examples:", "left out", "qlib-ext ticks build")),
    ],
)
def test_help_teaches(command, parts, capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["ticks", command, "--help"])
    text = capsys.readouterr().out
    assert not [part for part in parts if part not in text]


def test_help_is_quick():
    """The parser must not wait for polars, pandas, Qlib or torch."""
    code = "import sys, qlib_ext.cli as c\ntry: c.main(['ticks', 'build', '--help'])\nexcept SystemExit: pass\n"
    code += "print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "PROVIDER" in done.stdout
    assert not any(f"'{heavy}'" in done.stdout for heavy in ("numpy", "polars", "pandas", "qlib", "torch"))
