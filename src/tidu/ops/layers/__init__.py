"""What whole layers compute: normalization, embedding, attention, recurrence.

Norms: `group_statistics` and `standardize` for layer and group norm, `channel_order` and
`channel_norm` for batch and instance norm, then the public functions in `normalization`,
`root_mean_square`, `local_response` and `native`. Recurrence:
`packed` and `recurrent`, then `rnn`, `lstm` and `gru`. Attention: `attention`, then `multi_head`.
Tables: `embedding`, then `embedding_bag`.
"""
