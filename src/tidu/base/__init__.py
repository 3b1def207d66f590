"""The ground floor: dtypes, shapes, devices, source positions, thread state and error texts."""

from tidu.base.ahead import install
from tidu.base.collector import relax

relax()  # first of all: importing tidu makes so many objects that the collector would look at them
install()  # before a module is loaded that may be there in compiled form
