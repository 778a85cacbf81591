"""A search finds what is planted and nothing in shuffled labels, goes on as it would have, and knows no future."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import qlib

from handlers.expressions import Expressions
from qlib_ext.errors import ConfigError, DataError, OutputError, WorkerError
from qlib_ext.provider.calendar import read_calendar
from qlib_ext.search import search
from qlib_ext.search.choice import write_factors
from qlib_ext.search.search import Limits, Search
from qlib_ext.search.state import CONTROL, SEARCH, STATE
from qlib_ext.system import files
from qlib_ext.system.locks import locked
from tests.search.conftest import VALID

BEFORE = {"start_time": "2015-06-01", "end_time": "2016-06-01", "instruments": "all"}


def results(folder):
    """What a search found and tried, without the time that it took."""
    state = json.loads((folder / STATE).read_text())
    state.pop("seconds")
    return state, {str(path.relative_to(folder)): path.read_bytes() for path in folder.glob("*/*.parquet")}


def test_planted_factors_are_found_and_none_in_shuffled_labels(searched):
    found, _ = searched
    assert found.chosen
    assert found.control == []
    assert found.progress.tried(SEARCH) == 120
    assert found.progress.tried(CONTROL) == 40
    best = found.chosen[0].factor
    assert abs(best.t) > found.bar
    assert best.valid_icir * np.sign(best.icir) > 0.5 * abs(best.icir)


def test_a_search_that_was_stopped_finds_the_same_in_any_number_of_processes(searched, initialised, settings, tmp_path):
    def stop(progress, evolutions):
        raise KeyboardInterrupt

    folder = tmp_path / "state"
    for done in ((1, 0), (1, 1), (2, 1)):
        with pytest.raises(KeyboardInterrupt):
            Search(settings(), folder).run(Limits(generations=3), stop)
        history = json.loads((folder / STATE).read_text())["history"]
        assert (len(history[SEARCH]), len(history[CONTROL])) == done
    again = Search(settings(), folder).run(Limits(generations=3, n_jobs=2))
    assert results(folder) == results(searched[1])
    assert [each.factor for each in again.chosen] == [each.factor for each in searched[0].chosen]


@pytest.fixture
def begun(searched, tmp_path):
    """A copy of a search that may be spoilt."""
    folder = tmp_path / "state"
    shutil.copytree(searched[1], folder)
    return folder


def test_a_finished_search_goes_on(begun, initialised, settings):
    more = Search(settings(), begun).run(Limits(generations=4))
    assert more.progress.tried(SEARCH) == 160


def test_a_folder_of_another_search_is_refused(begun, initialised, settings):
    with pytest.raises(DataError, match="holds a search with seed 0, not 1: start anew with --overwrite"):
        Search(settings(seed=1), begun)
    with pytest.raises(DataError, match="holds a search with rules"):
        Search(settings(rules=settings().rules.__class__(margin=1.0)), begun)
    Search(settings(seed=1), begun, overwrite=True)
    assert not (begun / STATE).exists()


def test_a_search_of_other_code_is_refused(begun, initialised, settings, monkeypatch):
    monkeypatch.setattr(search, "code_hash", lambda: "changed")
    with pytest.raises(DataError, match=r"holds a search with code .*, not 'changed': start anew with --overwrite"):
        Search(settings(), begun)


def test_a_folder_of_something_else_is_left_alone(initialised, settings, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(DataError, match="something that is no search"):
        Search(settings(), tmp_path, overwrite=True)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize("name", [STATE, "search/00001.parquet", "about.json"])
def test_a_damaged_file_is_named(begun, initialised, settings, name):
    content = bytearray((begun / name).read_bytes())
    content[len(content) // 2] ^= 1
    (begun / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{name} is missing or is not what was written"):
        Search(settings(), begun).run(Limits(generations=4))


def test_a_full_disk_keeps_the_last_whole_generation(begun, initialised, settings, monkeypatch):
    before = results(begun)
    write = files.Path.write_bytes

    def full(path, content):
        if path.suffix == ".part" and "state" in path.name:
            raise OSError(28, "No space left on device")
        return write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(files.Path, "write_bytes", full)
        with pytest.raises(OutputError, match=r"No space left on device.*goes on after the last whole generation"):
            Search(settings(), begun).run(Limits(generations=4))
    assert results(begun)[0] == before[0]
    Search(settings(), begun).run(Limits(generations=4))
    assert len(results(begun)[0]["history"][SEARCH]) == 4


def test_two_processes_do_not_search_in_one_folder(begun, initialised, settings):
    with locked(begun / ".lock"), pytest.raises(WorkerError, match="Another process searches in"):
        Search(settings(), begun)


def test_a_search_needs_an_end_and_a_backend_that_there_is(begun, initialised, settings):
    with pytest.raises(ConfigError, match="minutes or generations"):
        Search(settings(), begun).run(Limits())
    with pytest.raises(ConfigError, match="backend is one of"):
        Search(settings(), begun).run(Limits(generations=4, backend="slurm"))


@pytest.fixture(scope="module")
def truncated(provider, tmp_path_factory):
    """The provider without the days after the validation, and with other bars on none of the days before."""
    folder = tmp_path_factory.mktemp("truncated") / "provider"
    shutil.copytree(provider, folder)
    last = read_calendar(provider).searchsorted(np.datetime64(VALID[1]), side="right")
    for path in (folder / "features").glob("*/*.bin"):
        content = np.fromfile(path, dtype="<f4")
        days = max(last - int(content[0]), 0)
        content[1 + days :] = np.nan
        content.tofile(path)
    return folder


def test_no_later_day_is_read(truncated, searched, settings, tmp_path):
    """Without the sealed days the search finds the same, and the chosen have the same values to the bit."""
    qlib.init(provider_uri=str(truncated), region="cn", kernels=1, logging_level=40)
    found = Search(settings(), tmp_path / "state").run(Limits(generations=3))
    assert results(tmp_path / "state") == results(searched[1])
    assert [each.factor for each in found.chosen] == [each.factor for each in searched[0].chosen]


def test_the_chosen_are_columns_of_a_handler_that_the_future_does_not_change(truncated, provider, searched, tmp_path):
    file = tmp_path / "factors.yaml"
    write_factors(file, searched[0].chosen, ["found in a test"])
    values = []
    for folder in (provider, truncated):
        qlib.init(provider_uri=str(folder), region="cn", kernels=1, logging_level=40)
        values.append(Expressions(str(file), **BEFORE).fetch(col_set="feature"))
    assert list(values[0].columns) == [each.name for each in searched[0].chosen]
    assert values[0].notna().any().all()
    np.testing.assert_array_equal(values[0].to_numpy(), values[1].to_numpy())
