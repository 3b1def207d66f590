"""What looks through sliding windows: convolution and pooling.

`sliding` says how windows lie; read it first. Convolution: `convolution` declares the operations,
`columns` computes them on NumPy, `convolving` has the public functions, `convolution_gradients`
those of the gradients alone. Pooling: `max_pooling` with `max_positions`, and `mean_pooling`,
declare the operations; `max_pools`, `average_pools` and `adaptive` have the
public functions. `blocks` has fold and unfold.
"""
