"""A misspelt hyperparameter of LightGBM is refused, and every one of its own is taken."""

from __future__ import annotations

import lightgbm
import pytest
from qlib.contrib.model.gbdt import LGBModel

from qlib_ext.checks.lightgbm_parameters import MODULES, names_of_parameters
from qlib_ext.checks.names import check_names
from qlib_ext.errors import ConfigError

MODELS = dict(zip(MODULES, ("LGBModel", "DEnsembleModel", "HFLGBModel"), strict=True))


class Deeper(LGBModel):
    """A user's model with an option of its own."""

    def __init__(self, depth_of_all=3, **kwargs):
        super().__init__(max_depth=depth_of_all, **kwargs)


def check(name: str, module: str, **kwargs) -> None:
    check_names({"model": {"class": name, "module_path": module, "kwargs": kwargs}}, importable=True)


@pytest.mark.parametrize(("module", "name"), MODELS.items())
@pytest.mark.parametrize(
    ("wrong", "right"),
    [("learningrate", "learning_rate"), ("num_leafs", "num_leaf"), ("lamda_l1", "lambda_l1"), ("los", "loss")],
)
def test_a_misspelt_parameter_is_answered_with_the_nearest(module, name, wrong, right):
    with pytest.raises(ConfigError, match=f"{name} has no option {wrong!r} and .* did you mean {right!r}"):
        check(name, module, **{wrong: 1})
    check(name, module, **{right: 1})


def test_a_model_within_a_rolling_one_and_a_users_own_are_looked_at():
    inner = {"class": "LGBModel", "module_path": MODULES[0], "kwargs": {"learningrate": 0.2}}
    with pytest.raises(ConfigError, match="did you mean 'learning_rate'"):
        check("RollingModel", "qlib_ext.rolling", model=inner)
    with pytest.raises(ConfigError, match="Deeper has no option 'learningrate'"):
        check("Deeper", __name__, learningrate=0.2)
    check("Deeper", __name__, depth_of_all=2, eta=0.2, num_boost_round=3)


def test_what_lightgbm_has_a_name_for_is_taken():
    estimator = lightgbm.LGBMRegressor().get_params()  # under names of scikit-learn, of which two are its own
    check(
        "LGBModel", MODULES[0], **{k: v for k, v in estimator.items() if k not in ("class_weight", "importance_type")}
    )
    check("LGBModel", MODULES[0], **dict.fromkeys(names_of_parameters()))
    check("LGBModel", MODULES[0], loss="mse", early_stopping_rounds=5, num_boost_round=10)


def test_a_lightgbm_that_does_not_tell_its_parameters_is_not_asked(monkeypatch):
    monkeypatch.delattr(lightgbm.basic, "_ConfigAliases")
    check("LGBModel", MODULES[0], learningrate=0.2)
