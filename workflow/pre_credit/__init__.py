"""Pre-credit: may the party have the product, how much, at what price, and by which rules."""

from workflow.pre_credit.decision import Assessed as Assessed
from workflow.pre_credit.decision import Decision as Decision
from workflow.pre_credit.decision import Verdict as Verdict
from workflow.pre_credit.decision import decide as decide
from workflow.pre_credit.offers import Offer as Offer
from workflow.pre_credit.offers import accept as accept
from workflow.pre_credit.offers import accepted_offer as accepted_offer
from workflow.pre_credit.offers import find_offer as find_offer
from workflow.pre_credit.offers import make_offer as make_offer
from workflow.pre_credit.offers import offers_of_party as offers_of_party
from workflow.pre_credit.policy import EXAMPLE_FILE as EXAMPLE_FILE
from workflow.pre_credit.policy import Policy as Policy
from workflow.pre_credit.policy import Product as Product
from workflow.pre_credit.policy import policy_of as policy_of
from workflow.pre_credit.policy import read_policy as read_policy
from workflow.pre_credit.releases import ReleasedPolicy as ReleasedPolicy
from workflow.pre_credit.releases import all_policies as all_policies
from workflow.pre_credit.releases import policy_in_force as policy_in_force
from workflow.pre_credit.releases import policy_version as policy_version
from workflow.pre_credit.releases import release_policy as release_policy
