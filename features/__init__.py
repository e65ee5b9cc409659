"""Raw data -> contracts -> one customer -> windowed features -> Feast, offline and online."""

import lazy_loader

from group.libraries import switch_libraries

# A notebook that imports this first gets the same switches as the command.
switch_libraries()

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
