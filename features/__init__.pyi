from .catalogue.reasons import Reason as Reason
from .catalogue.reasons import reason_of as reason_of
from .catalogue.views import CREDIT_SERVICE as CREDIT_SERVICE
from .catalogue.views import MARKETING_SERVICE as MARKETING_SERVICE
from .catalogue.views import VIEWS as VIEWS
from .catalogue.views import View as View
from .catalogue.views import risk_directions as risk_directions
from .compute import Fingerprints as Fingerprints
from .compute import compute_views as compute_views
from .compute import computed_instants as computed_instants
from .compute import feature_file as feature_file
from .compute import rows_if_current as rows_if_current
from .contracts import CONTRACTS as CONTRACTS
from .contracts import TableLoad as TableLoad
from .contracts import load_tables as load_tables
from .contracts import write_report as write_report
from .contracts.ledger import missing_parts as missing_parts
from .contracts.ledger import parts_are_there as parts_are_there
from .errors import ContractBroken as ContractBroken
from .errors import FeatureStoreUnavailable as FeatureStoreUnavailable
from .errors import UnknownParty as UnknownParty
from .errors import UnknownSource as UnknownSource
from .fingerprints import canonical_state as canonical_state
from .fingerprints import feature_fingerprints as feature_fingerprints
from .group_view import GroupView as GroupView
from .group_view import group_view as group_view
from .identity.parties import Resolution as Resolution
from .identity.parties import resolve_parties as resolve_parties
from .online.layout import read_layout as read_layout
from .online.reader import OnlineReader as OnlineReader
from .online.reader import OnlineRows as OnlineRows
from .place import feast_home as feast_home
from .place import online_reader as online_reader
from .push import Pushed as Pushed
from .push import PushTarget as PushTarget
from .push import complete_pushes as complete_pushes
from .push import push as push
from .push import push_target as push_target
from .query import query as query
from .scale_out import compute_views_on_ray as compute_views_on_ray
from .snapshots import plus_months as plus_months
from .snapshots import snapshot_instants as snapshot_instants
from .sources.deliveries import DEFAULT_SEED as DEFAULT_SEED
from .sources.deliveries import FolderSource as FolderSource
from .sources.deliveries import Landing as Landing
from .sources.deliveries import SimulatedSource as SimulatedSource
from .sources.deliveries import Source as Source
from .sources.deliveries import UciBankMarketingSource as UciBankMarketingSource
from .sources.deliveries import UciCreditCardSource as UciCreditCardSource
from .sources.files import table_files as table_files
from .sources.foreign import DatabaseTables as DatabaseTables
from .sources.foreign import FolderTables as FolderTables
from .sources.foreign_source import ForeignSource as ForeignSource
from .sources.foreign_source import TablePreview as TablePreview
from .sources.foreign_source import preview as preview
from .sources.manifest import read_manifest as read_manifest
from .sources.mapping import read_mapping as read_mapping
from .store import apply_definitions as apply_definitions
from .store import forget as forget
from .store import materialise as materialise
from .store import open_store as open_store
from .store import point_in_time_frame as point_in_time_frame
from .store import service_features as service_features
from .supplier_peers import write_supplier_peers as write_supplier_peers
from .windows import DeclaredView as DeclaredView

__all__ = [
    "CONTRACTS",
    "CREDIT_SERVICE",
    "DEFAULT_SEED",
    "MARKETING_SERVICE",
    "VIEWS",
    "ContractBroken",
    "DatabaseTables",
    "DeclaredView",
    "FeatureStoreUnavailable",
    "Fingerprints",
    "FolderSource",
    "FolderTables",
    "ForeignSource",
    "Landing",
    "OnlineReader",
    "OnlineRows",
    "PushTarget",
    "Pushed",
    "Reason",
    "Resolution",
    "SimulatedSource",
    "Source",
    "TableLoad",
    "TablePreview",
    "UciBankMarketingSource",
    "UciCreditCardSource",
    "UnknownParty",
    "UnknownSource",
    "View",
    "apply_definitions",
    "canonical_state",
    "complete_pushes",
    "compute_views",
    "compute_views_on_ray",
    "computed_instants",
    "feast_home",
    "feature_file",
    "feature_fingerprints",
    "forget",
    "load_tables",
    "materialise",
    "missing_parts",
    "online_reader",
    "open_store",
    "parts_are_there",
    "plus_months",
    "point_in_time_frame",
    "preview",
    "push",
    "query",
    "read_layout",
    "read_manifest",
    "read_mapping",
    "reason_of",
    "resolve_parties",
    "risk_directions",
    "rows_if_current",
    "service_features",
    "snapshot_instants",
    "table_files",
    "write_report",
    "write_supplier_peers",
]
