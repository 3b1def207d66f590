"""Activations, softmax and dropout.

`rectifiers` are linear in pieces, with the derivative in `slope`; `smooth` are the others.
"""
