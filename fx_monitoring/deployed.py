"""Which models are looked after: those that the deployment service answers with."""

from __future__ import annotations

from fx_assets.configuration import Configuration
from fx_serving.client.home import Stores
from fx_serving.client.rollout_log import RolloutLogError, deployed


def deployed_models(stores: Stores, configuration: Configuration) -> list[str]:
    """The models of models.yaml (deploy: true) that have a deployed version; all of them while none has, or where the
    controller's state cannot be read.

    A model whose every version was rejected has nothing to be asked, judged or traded.
    """
    meant = [name for name, entry in configuration.models.models.items() if entry.deploy]
    try:
        served = deployed(stores.state)
    except RolloutLogError:
        return meant
    return [name for name in meant if name in served] or meant
