"""Models of marketing: who answers, whom a contact moves, what a customer brings in twelve months."""

from training.marketing.response import RESPONSE_MODEL as RESPONSE_MODEL
from training.marketing.response import train_response_candidate as train_response_candidate
from training.marketing.uplift_model import UPLIFT_MODEL as UPLIFT_MODEL
from training.marketing.uplift_model import train_uplift_candidate as train_uplift_candidate
from training.marketing.value import VALUE_MODEL as VALUE_MODEL
from training.marketing.value import ValueFrame as ValueFrame
from training.marketing.value import train_value_candidate as train_value_candidate
from training.marketing.value import value_frame as value_frame
