from .app import create_app as create_app
from .scorer import Scored as Scored
from .scorer import Scorer as Scorer
from .scorer import replay as replay
from .server import serve as serve

__all__ = ["Scored", "Scorer", "create_app", "replay", "serve"]
