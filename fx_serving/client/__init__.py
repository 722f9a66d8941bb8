"""The part of the service other packages may import: the HTTP client and the formats of the shared stores.

home            where everything lives (FX_HOME)
clock           the replay clock (FX_CLOCK)
files           atomic writes; state files read back
environment     the result of the environment check: whether trading steps may run
bundle          the exported model: manifest, hashes, golden rows
snapshot        the feature blob that the refresher publishes and the workers read
blob_store      where the blobs are published: a folder, or Redis
prediction_log  prediction, feedback and shadow records: segments and database read as one
rollout_log     what the controller recorded: rollouts, deployed versions, audit trail
policy_keys     the names of a rollout policy's settings
http            ServingClient

Importing this package loads httpx and msgspec only. Nothing here scores a model or opens a port.
"""

from fx_serving.client.bundle import BundleError, FeatureRef, LabelInfo, Manifest, read_manifest
from fx_serving.client.clock import now
from fx_serving.client.home import Stores, fx_home
from fx_serving.client.http import ServiceError, ServiceUnreachable, ServingClient
from fx_serving.client.prediction_log import FeedbackRecord, PredictionRecord, read_feedback, read_predictions
from fx_serving.client.snapshot import BlobError, FeatureBlob

__all__ = [
    "BlobError",
    "BundleError",
    "FeatureBlob",
    "FeatureRef",
    "FeedbackRecord",
    "LabelInfo",
    "Manifest",
    "PredictionRecord",
    "ServiceError",
    "ServiceUnreachable",
    "ServingClient",
    "Stores",
    "fx_home",
    "now",
    "read_feedback",
    "read_manifest",
    "read_predictions",
]
