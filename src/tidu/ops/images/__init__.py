"""Images in other sizes and shapes.

`resampling` works along one dimension, `interpolation` along all; `grid_sample` reads at arbitrary
positions, and `channels` trades pixels for channels.
"""
