"""Optimizers and learning-rate schedules, as in torch.optim."""

from tidu.base.deferred import on_demand
from tidu.optim import lr_scheduler as lr_scheduler
from tidu.optim.adadelta import Adadelta
from tidu.optim.adafactor import Adafactor
from tidu.optim.adagrad import Adagrad
from tidu.optim.adam import Adam
from tidu.optim.adamax import Adamax
from tidu.optim.adamw import AdamW
from tidu.optim.asgd import ASGD
from tidu.optim.lbfgs import LBFGS
from tidu.optim.muon import Muon
from tidu.optim.nadam import NAdam
from tidu.optim.optimizer import Optimizer
from tidu.optim.radam import RAdam
from tidu.optim.rmsprop import RMSprop
from tidu.optim.rprop import Rprop
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

# It averages models, so it stands above `nn`, which this package does not see.
__getattr__ = on_demand(__name__, "swa_utils")
