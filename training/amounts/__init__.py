"""Models of amounts, not probabilities: what a contact causes, what a customer is worth, what a default costs."""

from training.amounts.candidate import AmountCandidate as AmountCandidate
from training.amounts.evidence import AmountEvidence as AmountEvidence
from training.amounts.evidence import EvidenceTable as EvidenceTable
from training.amounts.evidence import amount_evidence as amount_evidence
from training.amounts.growth import AmountRows as AmountRows
from training.amounts.growth import grown_amount as grown_amount
from training.amounts.model import AmountModel as AmountModel
from training.amounts.model import Line as Line
from training.amounts.model import Term as Term
