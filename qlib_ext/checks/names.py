"""The names in a task of Qlib: its own keys, the classes that it names, and the keywords that each of them takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from inspect import Parameter, signature, unwrap
from typing import Any

from qlib.utils import get_module_by_module_path

from qlib_ext.checks.lightgbm_parameters import MODULES as MODULES_OF_LIGHTGBM
from qlib_ext.checks.lightgbm_parameters import refuse_unknown_parameters
from qlib_ext.errors import ConfigError
from qlib_ext.keywords import refuse_unknown

RECORDS = "qlib.workflow.record_temp"
OF_TASK = ("model", "dataset", "record", "reweighter")
OF_CLASS = ("class", "module_path", "kwargs")
OF_BACKTEST = ("strategy", "executor", "backtest")
# where Qlib looks for a class without module_path, by the key that it stands under
MODULES = {
    "record": RECORDS,
    "data_loader": "qlib.data.dataset.loader",
    "infer_processors": "qlib.data.dataset.processor",
    "learn_processors": "qlib.data.dataset.processor",
    "shared_processors": "qlib.data.dataset.processor",
}
CLOSE = 0.75  # of a name that is taken for a misspelt one; others may be a user's own


def check_names(task: Mapping[str, Any], importable: bool) -> None:
    """Raise ConfigError, with the nearest name, for a key, a class or a keyword of a task that there is not.

    importable: whether every module of the task can be imported by now, so that one that cannot be is an error
    """
    refuse_misspelt(task, OF_TASK, "The task")
    for config, module in classes_in(task):
        refuse_misspelt(config, OF_CLASS, f"The configuration of {config['class']}")
        klass = class_of(config, module, importable)
        if isinstance(klass, type):
            refuse_keywords(klass, config.get("kwargs") or {})
    for config in backtests(task):
        refuse_misspelt(config, OF_BACKTEST, "The config of a backtest")
        _refuse_backtest_keywords(config.get("backtest") or {})


def records_of(task: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The configurations of a task's records, of which Qlib takes one alone as well."""
    records = task.get("record") or []
    return [records] if isinstance(records, Mapping) else records


def backtests(task: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The configurations of the records that backtest: strategy, executor, backtest."""
    for record in records_of(task):
        config = (record.get("kwargs") or {}).get("config")
        if isinstance(config, Mapping) and config:
            yield config


def classes_in(part: Any, module: str | None = None) -> Iterator[tuple[Mapping[str, Any], str | None]]:
    """The configurations of classes within a part of a task, and the module that Qlib takes where they name none."""
    if isinstance(part, Mapping):
        if "class" in part:
            yield part, module
        for key, value in part.items():
            yield from classes_in(value, MODULES.get(key))
    elif isinstance(part, list | tuple):
        for value in part:
            yield from classes_in(value, module)


def class_of(config: Mapping[str, Any], module: str | None = None, importable: bool = True) -> Any:
    """The class that a configuration names; None where its module is not known here.

    Raises ConfigError for a module without such a class, and, where all are importable, for one that is not.
    """
    if not isinstance(config["class"], str):
        return config["class"]
    within, _, name = config["class"].rpartition(".")
    path = within or config.get("module_path", module)
    if path is None:
        return None
    try:
        found = get_module_by_module_path(path)
    except (ImportError, OSError) as error:
        if importable:
            raise ConfigError(
                f"The module {path} of the class {name} cannot be imported ({error}). Correct its module_path, or name "
                "its folder under sys, rel_path."
            ) from error
        return None
    if not hasattr(found, name):
        near = get_close_matches(name, [each for each in dir(found) if isinstance(getattr(found, each), type)], n=1)
        hint = f", but a class {near[0]!r}" if near else ""
        raise ConfigError(f"The module {path} has no class {name!r}{hint}.")
    return getattr(found, name)


def refuse_misspelt(given: Iterable[str], known: Sequence[str], owner: str) -> None:
    """Raise ConfigError for a key that Qlib would pass over and that is nearly one that it reads."""
    keys = list(given)
    for name in keys:
        near = get_close_matches(str(name), known, n=1, cutoff=CLOSE)
        if name not in known and near and near[0] not in keys:
            raise ConfigError(f"{owner} has a {name!r}, which Qlib would pass over; did you mean {near[0]!r}?")


def refuse_keywords(klass: type, kwargs: Mapping[str, Any]) -> None:
    """Raise ConfigError for a keyword that neither a class nor a base that it hands its others to takes.

    A class whose last constructor takes any keyword is not looked at, but for those that hand them to LightGBM. Our
    own name that parameter ``unknown``, since they refuse what is in it.
    """
    known, popped = set(), set()
    for base in klass.__mro__[:-1]:
        constructor = vars(base).get("__init__")
        if constructor is None:
            continue
        try:
            parameters = list(signature(constructor).parameters.values())[1:]
        except ValueError:  # of a class that is not written in Python
            return
        if not parameters:  # it is handed nothing: the constructors before keep what they take
            continue
        known |= {p.name for p in parameters if p.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)}
        unseen = [name for name in kwargs if name not in popped]
        others = next((p.name for p in parameters if p.kind is Parameter.VAR_KEYWORD), "")
        if others in ("", "unknown"):
            refuse_unknown(unseen, known, klass.__name__)
            return
        if base.__module__ in MODULES_OF_LIGHTGBM:
            refuse_unknown_parameters(unseen, known, klass.__name__)
            return
        # such as kwargs.pop("label", ...) of Qlib's Alpha158
        popped |= set(filter(lambda text: isinstance(text, str), unwrap(constructor).__code__.co_consts))


def _refuse_backtest_keywords(options: Mapping[str, Any]) -> None:
    from qlib.backtest import backtest, get_exchange  # takes its time: not before other names are known
    from qlib.backtest.exchange import Exchange

    refuse_unknown(options, signature(backtest).parameters.keys() - {"strategy", "executor"}, "The backtest")
    known = signature(get_exchange).parameters.keys() | signature(Exchange).parameters.keys()
    refuse_unknown(options.get("exchange_kwargs") or {}, known - {"kwargs"}, "exchange_kwargs")
