"""Where everything lies below the home folder."""

from dataclasses import dataclass
from pathlib import Path

from features.place import canonical_folder, features_folder
from group.settings import Settings
from serving.metrics import monitoring_metrics


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folders and files of one home. Nothing is made by asking for a path."""

    home: Path

    @classmethod
    def of(cls, settings: Settings) -> "Workspace":
        """The workspace that the settings name."""
        return cls(settings.home.absolute())

    @property
    def data(self) -> Path:
        """Raw, canonical and quarantined tables; the manifest and the report of the last load."""
        return self.home / "data"

    @property
    def raw(self) -> Path:
        """Tables as a source delivered them."""
        return self.data / "raw"

    @property
    def canonical(self) -> Path:
        """Tables that keep their contracts, and the resolved parties."""
        return canonical_folder(self.home)

    @property
    def quarantine(self) -> Path:
        """Rejected rows with the reason, one file a table."""
        return self.data / "quarantine"

    @property
    def load_report(self) -> Path:
        """Rows read, kept and rejected by table."""
        return self.data / "load.json"

    @property
    def truth(self) -> Path:
        """What only the simulation knows. No feature and no model reads it."""
        return self.home / "truth"

    @property
    def arriving(self) -> Path:
        """The home of another source's data until they are whole."""
        return self.home / "arriving"

    @property
    def features(self) -> Path:
        """Feature rows, a folder for each view, a file for each instant."""
        return features_folder(self.home)

    @property
    def online_source(self) -> Path:
        """Names the data set whose parties are online."""
        return self.home / "online_source.txt"

    @property
    def training(self) -> Path:
        """The training frame and the scored test rows of the last training."""
        return self.home / "training"

    @property
    def frame(self) -> Path:
        """Labelled rows with their features and folds."""
        return self.training / "frame.parquet"

    @property
    def parameters(self) -> Path:
        """What the last search chose for the credit model's trees."""
        return self.training / "parameters.json"

    @property
    def tuning(self) -> Path:
        """Searches for parameters, a folder each; one that was stopped goes on there."""
        return self.home / "tuning"

    @property
    def test_pd(self) -> Path:
        """PDs and outcomes of the test fold."""
        return self.training / "test_pd.parquet"

    @property
    def unseen(self) -> Path:
        """Raw scores that the training rows got from trees which never saw them."""
        return self.training / "unseen.parquet"

    @property
    def monitoring(self) -> Path:
        """Scored rows, copies of references, Evidently's workspace."""
        return self.home / "monitoring"

    @property
    def scored(self) -> Path:
        """Scored rows as monitoring reads them."""
        return self.monitoring / "scored"

    @property
    def monitoring_metrics(self) -> Path:
        """What was last watched, for Prometheus; the API's ``/metrics`` shows it too."""
        return monitoring_metrics(self.home)

    @property
    def evidently(self) -> Path:
        """Evidently's workspace: a project a model, a run a period."""
        return self.monitoring / "evidently"

    @property
    def reports(self) -> Path:
        """Reports as HTML."""
        return self.home / "reports"

    @property
    def steps(self) -> Path:
        """What each step did last, and from what."""
        return self.home / "steps"

    @property
    def scratch(self) -> Path:
        """Checkpoints and other files that may be deleted between runs."""
        return self.home / "scratch"
