"""Losses, and distances between tensors.

`reduction` has what all share. Then by what is compared: numbers (`regression`), yes and no
(`binary`), classes (`negative_log_likelihood`, then `classification`), margins (`margin`,
`class_margin`), sequences of labels (`ctc`), directions (`distance`).
"""
