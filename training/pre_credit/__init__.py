"""Limits that a group offers before anybody asks: what each party can carry, and what serves the group best."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
