"""Products of vectors and matrices, equations and factorizations.

`contract` declares the matrix product; in terms of it `linear`, `products`, `einsum` and `chains`;
`small_products` says how small ones are added up. What is done by NumPy: `kernels` computes,
`solvers` and `factorization` declare operations with their derivatives, and `inverses`, `factors`
and `least_squares` have the public functions. `matrices` has what all of them share.
"""
