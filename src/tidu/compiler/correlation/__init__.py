"""Direct convolution."""

from tidu.compiler.correlation.backward import (
    CorrelateWeightParams,
    WeightCut,
    WeightTile,
    correlate_weight_text,
    positions,
    weight_cut,
)
from tidu.compiler.correlation.forward import CorrelateParams, Cut, Tile, correlate_text, cut
from tidu.compiler.correlation.text import Vector
