"""Whom a contact moves: the uplift of marketing, learnt from contacts that were held out at random."""

from training.uplift.choice import UpliftChoice as UpliftChoice
from training.uplift.choice import chosen_uplift_model as chosen_uplift_model
from training.uplift.evidence import uplift_evidence as uplift_evidence
from training.uplift.frame import UpliftFrame as UpliftFrame
from training.uplift.frame import uplift_frame as uplift_frame
from training.uplift.qini import qini as qini
from training.uplift.qini import qini_of_truth as qini_of_truth
