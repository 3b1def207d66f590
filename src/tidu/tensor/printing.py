"""Temporary."""
def format_tensor(array, dtype_name, *, default_float="float32", requires_grad=False, grad_fn=None, kind="tensor"):
    return f"tensor({array.tolist()}, dtype={dtype_name}, grad_fn={grad_fn}, requires_grad={requires_grad})"
