from .candidates import Candidate as Candidate
from .candidates import CreditFrame as CreditFrame
from .candidates import credit_frame as credit_frame
from .candidates import train_candidate as train_candidate
from .distributed import RayGrowth as RayGrowth
from .distributed import cross_validated_auc as cross_validated_auc
from .distributed import ray_session as ray_session
from .errors import ModelTampered as ModelTampered
from .errors import NoChampion as NoChampion
from .errors import RayUnavailable as RayUnavailable
from .errors import RegistryUnavailable as RegistryUnavailable
from .errors import TooFewDefaults as TooFewDefaults
from .errors import TrainingError as TrainingError
from .frames import labels as labels
from .frames import matrix as matrix
from .growth import BoosterParameters as BoosterParameters
from .growth import LocalGrowth as LocalGrowth
from .model import ScoringModel as ScoringModel
from .registry import CHAMPION as CHAMPION
from .registry import MODEL_NAME as MODEL_NAME
from .registry import RegisteredModel as RegisteredModel
from .registry import champion as champion
from .registry import git_commit as git_commit
from .registry import model_version as model_version
from .registry import promote as promote
from .registry import register as register
from .scale import score_points as score_points
from .validation import Performance as Performance
from .validation import Validation as Validation
from .validation import performance as performance

__all__ = [
    "CHAMPION",
    "MODEL_NAME",
    "BoosterParameters",
    "Candidate",
    "CreditFrame",
    "LocalGrowth",
    "ModelTampered",
    "NoChampion",
    "Performance",
    "RayGrowth",
    "RayUnavailable",
    "RegisteredModel",
    "RegistryUnavailable",
    "ScoringModel",
    "TooFewDefaults",
    "TrainingError",
    "Validation",
    "champion",
    "credit_frame",
    "cross_validated_auc",
    "git_commit",
    "labels",
    "matrix",
    "model_version",
    "performance",
    "promote",
    "ray_session",
    "register",
    "score_points",
    "train_candidate",
]
