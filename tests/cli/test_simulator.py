from __future__ import annotations

import subprocess
import sys

import pytest

from qlib_ext.cli import main
from qlib_ext.provider.writer import read_about

SMALL = ["--stocks", "10", "--days", "40"]


def test_writes_once(tmp_path, capsys, digest):
    out = str(tmp_path / "market")
    assert main(["market", "--out", out, *SMALL]) == 0
    assert f"QLIB_DATA={out} qrun" in capsys.readouterr().out
    before = digest(tmp_path)
    about = read_about(out)
    assert about is not None
    same = {"stocks": 10, "days": 40, "seed": 0, "start": "2014-09-01", "accruals": None}
    assert about | {"version": "?"} == same | {"version": "?"}
    written = (tmp_path / "market/market.json").stat().st_mtime_ns
    assert main(["market", "--out", out, *SMALL]) == 0
    assert "already holds" in capsys.readouterr().out
    assert digest(tmp_path) == before
    assert (tmp_path / "market/market.json").stat().st_mtime_ns == written


def test_other_parameters_need_overwrite(tmp_path, capsys):
    out = str(tmp_path / "market")
    main(["market", "--out", out, *SMALL])
    assert main(["market", "--out", out, *SMALL, "--seed", "1"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "--overwrite" in error
    assert main(["market", "--out", out, *SMALL, "--seed", "1", "--overwrite"]) == 0
    about = read_about(out)
    assert about is not None
    assert about["seed"] == 1


@pytest.mark.parametrize(
    ("args", "says"),
    [(["--stocks", "3"], "too small"), (["--seed", "-1"], "negative"), (["--start", "soon"], "'soon'")],
)
def test_errors_are_one_line(tmp_path, capsys, args, says):
    assert main(["market", "--out", str(tmp_path / "m"), *args]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_file_in_the_way(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["market", "--out", str(tmp_path / "file"), *SMALL]) == 2
    assert "is a file" in capsys.readouterr().err


def test_ticks_of_the_same_market(tmp_path, capsys):
    out, ticks = tmp_path / "market", tmp_path / "ticks"
    args = ["market", "--out", str(out), *SMALL, "--seed", "3", "--start", "2015-01-05", "--ticks", str(ticks)]
    assert main([*args, "--ticks-days", "2"]) == 0
    told = capsys.readouterr().out
    assert f"{ticks}: wrote the ticks of this market" in told
    assert f"next: qlib-ext ticks build --minute {ticks}/minute --out {out}\n" in told
    about = read_about(ticks)
    assert about == {**(read_about(out) or {}), "ticks_days": 2}
    assert [len(list((ticks / part).iterdir())) for part in ("minute", "trades", "orders")] == [40, 2, 2]
    assert main([*args, "--ticks-days", "2"]) == 0
    assert f"{ticks}: already holds the ticks of this market" in capsys.readouterr().out
    assert main(args) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([*args, "--overwrite"]) == 0
    assert {path.name for path in ticks.iterdir()} == {"minute", "market.json"}
    assert main(["ticks", "build", "--minute", f"{ticks}/minute", "--end", "2015-01-06", "--out", str(out)]) == 0
    assert "2 days computed" in capsys.readouterr().out


def test_days_of_ticks_without_a_folder(tmp_path, capsys):
    assert main(["market", "--out", str(tmp_path / "m"), *SMALL, "--ticks-days", "0"]) == 2
    assert "--ticks-days says how many days of trades and orders --ticks DIR gets" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_help_teaches(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["market", "--help"])
    text = capsys.readouterr().out
    for part in (
        "simulated A-share market",
        "examples:",
        "qlib-ext market --out",
        "--ticks-days 20",
        "ticks build",
        "QLIB_DATA=",
        "qrun workflows/",
    ):
        assert part in text


def test_no_command(capsys):
    with pytest.raises(SystemExit, match="2"):
        main([])
    assert "COMMAND" in capsys.readouterr().err


def test_help_is_quick():
    """The parser must not wait for pandas, Qlib or torch."""
    code = "import sys, qlib_ext.cli as c\ntry: c.main(['--help'])\nexcept SystemExit: pass\nprint(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "market" in done.stdout
    assert not any(f"'{heavy}'" in done.stdout for heavy in ("numpy", "pandas", "qlib", "torch"))
