"""What whole layers compute: normalization, embedding, attention, recurrence.

Norms: `group_statistics`, then `standardize`, the one operation behind most of them, then the
public functions in `normalization`, `root_mean_square`, `local_response` and `native`. Recurrence:
`packed` and `recurrent`, then `rnn`, `lstm` and `gru`. Attention: `attention`, then `multi_head`.
Tables: `embedding`, then `embedding_bag`.
"""
