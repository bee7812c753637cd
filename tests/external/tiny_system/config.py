"""python -m experiments.train --config tiny_system/config.py --config.data.train=train.npz --workdir run"""

from ml_collections import ConfigDict

from symjax.train.config import apply, base


def get_config() -> ConfigDict:
    config = base()
    config.model.name = "tiny"
    config.model.tiny = ConfigDict({"scale": 0.1})  # of the first logits
    small = {
        "steps": 20,
        "batch_size": 16,
        "steps_per_dispatch": 10,
        "warmup": 0,
        "learning_rate": 0.3,
        "log_every": 10,
    }
    return apply(config, {f"train.{name}": value for name, value in small.items()})
