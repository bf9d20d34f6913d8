"""Everything that a training changes in a model, as arrays: what is kept to go on as if it had never stopped."""

from __future__ import annotations

from typing import Any

import numpy as np

from eelbert_tf.errors import InputError


def state_variables(model: Any) -> dict[str, Any]:
    """Every variable of a compiled model that training changes, by a name that is the same in every process.

    These are weights, the optimizer's variables, and the states of random generators (dropout), but not frozen tables.
    """
    weights = [*model.trainable_variables]
    known = {id(variable) for variable in weights}
    seeds = [v for v in model.variables if "seed_generator" in v.path and id(v) not in known]
    kinds = {"weight": weights, "seed": seeds, "optimizer": model.optimizer.variables}
    return {f"{kind}/{i:04d}": variable for kind, group in kinds.items() for i, variable in enumerate(group)}


def take_state(model: Any) -> dict[str, np.ndarray]:
    """The values of `state_variables`."""
    return {name: np.asarray(variable.numpy()) for name, variable in state_variables(model).items()}


def put_state(model: Any, arrays: dict[str, np.ndarray]) -> None:
    """Assigns the values that `take_state` returned.

    Raises:
        InputError: the arrays belong to another model.
    """
    variables = state_variables(model)
    wrong = [name for name, v in variables.items() if name not in arrays or arrays[name].shape != tuple(v.shape)]
    if wrong or len(variables) != len(arrays):
        raise InputError("the checkpoint's arrays do not fit this model; was it written by another version?")
    for name, variable in variables.items():
        variable.assign(arrays[name])
