"""Limits that a group offers before anybody asks: what each party can carry, and what serves the group best."""

from training.pre_credit.affordability import affordable_principal as affordable_principal
from training.pre_credit.allocation import Allocation as Allocation
from training.pre_credit.allocation import Caps as Caps
from training.pre_credit.allocation import Prospects as Prospects
from training.pre_credit.allocation import ShadowPrice as ShadowPrice
from training.pre_credit.allocation import allocate_limits as allocate_limits
from training.pre_credit.products import Product as Product
from training.pre_credit.products import profit_rate as profit_rate
