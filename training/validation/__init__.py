"""Whether a model may be used: measures of it on rows it never saw, limits, and the report a committee reads."""

from training.validation.discrimination import Performance as Performance
from training.validation.discrimination import performance as performance
from training.validation.evidence import Challenger as Challenger
from training.validation.evidence import Rival as Rival
from training.validation.evidence import Validation as Validation
from training.validation.evidence import validate as validate
from training.validation.limits import Limits as Limits
from training.validation.limits import Verdict as Verdict
from training.validation.limits import read_limits as read_limits
from training.validation.rows import ScoredRows as ScoredRows
