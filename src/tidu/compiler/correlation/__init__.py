"""Direct convolution: kernels that correlate lines of numbers with weights.

`planes` tells how to store images so that a convolution of any number of dimensions, with any
stride and dilation, is a correlation of lines. With x in that layout (float32 or float64, zeros
around the data) there are three kernels, all with the interface of native kernels:

- `correlate_text(Tile(vector, cut.tile_rows))`, with `CorrelateParams` and `cut`:
      y[n, g, q, p] (+)= bias[g, q] + Σ over c, t of a[g, q, c, t] · x[n, g, c, p + x_taps[t]]
- `chained_weight_text(ChainTile(vector, cut.tile_lines))`, with `ChainedWeightParams` and
  `chain_cut`: for each share of the positions of all images, one product after the other,
      w[share, g, q, c, t] = Σ over n, p of the share of g[n, g, q, p] · x[n, g, c, p + x_taps[t]]
- `correlate_weight_text(WeightTile(vector, cut.tile_rows, cut.tile_columns))`, with
  `CorrelateWeightParams` and `weight_cut`: the same for chunks of the positions, whose products
  are summed side by side; better where there are few q and c, as with groups

p runs over `Planes.positions`. The result at index i[0], i[1], ... of the convolution stands at
p = Σ i[d] * pitches[d]. What is between those places is written by the first kernel and means
nothing; the others use it of neither g nor x, so anything may be there.

The derivative in the input is the first kernel too, on planes of the cotangent with stride 1, pads
of span - 1 - pad and mirrored taps, with the rows and channels of the weights exchanged; for each
phase of a strided convolution it is one such correlation, with the taps that meet the phase.

The weights need not be rearranged for any of this: `a_row`, `a_channel` and `a_taps` say where they
are. Nothing outside of x[..., p + x_taps[t]], g[..., p] and y[..., p] for existing p is touched.
Work is cut by the arguments of the functions that cut it alone, and sums have a fixed order.
"""

from tidu.compiler.correlation.chained_weight import (
    ChainCut,
    ChainedWeightParams,
    ChainTile,
    Lines,
    chain_cut,
    in_lanes,
)
from tidu.compiler.correlation.chained_weight_kernel import chained_weight_text
from tidu.compiler.correlation.correlate import CorrelateParams, Cut, Tile, cut
from tidu.compiler.correlation.correlate_kernel import correlate_text
from tidu.compiler.correlation.correlate_weight import (
    CorrelateWeightParams,
    WeightCut,
    WeightTile,
    weight_cut,
)
from tidu.compiler.correlation.correlate_weight_kernel import correlate_weight_text
from tidu.compiler.correlation.planes import Phase, Planes, pitches, planes, positions
from tidu.compiler.correlation.vectors import Vector
