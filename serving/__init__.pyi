from .app import create_app as create_app
from .decisions import replay as replay
from .scored import Scored as Scored
from .scorer import Asked as Asked
from .scorer import Scorer as Scorer
from .server import serve as serve

__all__ = ["Asked", "Scored", "Scorer", "create_app", "replay", "serve"]
