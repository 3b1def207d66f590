"""Optimizers and learning-rate schedules, as in torch.optim."""

from tidu.base.deferred import on_demand
from tidu.optim.adagrad import Adagrad
from tidu.optim.adam import Adam
from tidu.optim.adamw import AdamW
from tidu.optim.optimizer import Optimizer
from tidu.optim.rmsprop import RMSprop
from tidu.optim.sgd import SGD

__all__ = [
    "ASGD",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "lr_scheduler",
]

# What few programs need. `swa_utils` averages models, so it stands above `nn`, which this package
# does not see.
__getattr__, __dir__ = on_demand(
    __name__,
    "lr_scheduler",
    "swa_utils",
    ASGD="asgd",
    Adadelta="adadelta",
    Adafactor="adafactor",
    Adamax="adamax",
    LBFGS="lbfgs",
    Muon="muon",
    NAdam="nadam",
    RAdam="radam",
    Rprop="rprop",
)
