"""The intermediate representation: operations, values, and what can be asked of a graph of them."""
