from .approval import approvals as approvals
from .approval import approve as approve
from .approval import challenge as challenge
from .approval import end_challenge as end_challenge
from .approval import roll_back as roll_back
from .approval import unmet_limits as unmet_limits
from .attribution import Explainer as Explainer
from .attribution import ReasonBook as ReasonBook
from .attribution import Reasons as Reasons
from .attribution import WeighedReason as WeighedReason
from .candidates import Candidate as Candidate
from .credit import CreditFrame as CreditFrame
from .credit import Origin as Origin
from .credit import credit_frame as credit_frame
from .credit import train_credit_candidate as train_credit_candidate
from .deployed import Mark as Mark
from .deployed import champion_mark as champion_mark
from .deployed import deploy as deploy
from .deployed import deployed as deployed
from .distributed import RayGrowth as RayGrowth
from .distributed import cross_validated_auc as cross_validated_auc
from .distributed import ray_session as ray_session
from .errors import ModelTampered as ModelTampered
from .errors import NoChampion as NoChampion
from .errors import NoEarlierChampion as NoEarlierChampion
from .errors import NoReference as NoReference
from .errors import PromotionRefused as PromotionRefused
from .errors import RayUnavailable as RayUnavailable
from .errors import RegistryUnavailable as RegistryUnavailable
from .errors import TooFewDefaults as TooFewDefaults
from .errors import TrainingError as TrainingError
from .errors import UnusableTable as UnusableTable
from .errors import WrongInput as WrongInput
from .errors import WrongTask as WrongTask
from .frames import Split as Split
from .frames import labels as labels
from .frames import matrix as matrix
from .frames import severities as severities
from .growth import BoosterParameters as BoosterParameters
from .growth import LocalGrowth as LocalGrowth
from .model import MODEL_NAME as MODEL_NAME
from .model import ScoringModel as ScoringModel
from .model import scores_parties as scores_parties
from .provenance import git_commit as git_commit
from .reference import ColumnProfile as ColumnProfile
from .reference import Reference as Reference
from .reference import ReferenceRows as ReferenceRows
from .registered import CHALLENGER as CHALLENGER
from .registered import CHAMPION as CHAMPION
from .registered import RegisteredModel as RegisteredModel
from .registration import register as register
from .registration import register_version as register_version
from .registry import VersionRow as VersionRow
from .registry import challenger as challenger
from .registry import champion as champion
from .registry import latest_candidate as latest_candidate
from .registry import model_version as model_version
from .registry import reference_of as reference_of
from .registry import report_page as report_page
from .registry import versions as versions
from .scale import grade_of as grade_of
from .scale import score_points as score_points
from .segment_runs import SegmentRuns as SegmentRuns
from .segments import Pooled as Pooled
from .segments import Segment as Segment
from .segments import SegmentPlan as SegmentPlan
from .segments import SmallSegment as SmallSegment
from .segments import segment_plans as segment_plans
from .validation import Performance as Performance
from .validation import Validation as Validation
from .validation import performance as performance

__all__ = [
    "CHAMPION",
    "MODEL_NAME",
    "BoosterParameters",
    "Candidate",
    "ColumnProfile",
    "CreditFrame",
    "Explainer",
    "LocalGrowth",
    "Mark",
    "ModelTampered",
    "NoChampion",
    "NoEarlierChampion",
    "NoReference",
    "Origin",
    "Performance",
    "Pooled",
    "PromotionRefused",
    "RayGrowth",
    "RayUnavailable",
    "ReasonBook",
    "Reasons",
    "Reference",
    "ReferenceRows",
    "RegisteredModel",
    "RegistryUnavailable",
    "ScoringModel",
    "Segment",
    "SegmentPlan",
    "SegmentRuns",
    "SmallSegment",
    "Split",
    "TooFewDefaults",
    "TrainingError",
    "UnusableTable",
    "Validation",
    "VersionRow",
    "WeighedReason",
    "WrongInput",
    "WrongTask",
    "approvals",
    "approve",
    "champion",
    "champion_mark",
    "credit_frame",
    "cross_validated_auc",
    "deploy",
    "deployed",
    "git_commit",
    "grade_of",
    "labels",
    "latest_candidate",
    "matrix",
    "model_version",
    "performance",
    "ray_session",
    "reference_of",
    "register",
    "register_version",
    "report_page",
    "roll_back",
    "score_points",
    "scores_parties",
    "segment_plans",
    "severities",
    "train_credit_candidate",
    "unmet_limits",
    "versions",
]
