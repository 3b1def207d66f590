"""The ground floor: dtypes, shapes, devices, source positions, thread state and error texts."""

from tidu.base.collector import relax

relax()  # first of all: importing tidu makes so many objects that the collector would look at them
