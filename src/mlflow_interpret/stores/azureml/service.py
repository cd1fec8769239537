"""Where an Azure ML run is, and what opens it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from urllib.parse import quote

from mlflow_interpret.stores.azureml.resource_ids import scope_of


@dataclass(frozen=True)
class Service:
    """An Azure ML run and how to reach it.

    Attributes:
        endpoint: The base URL of the workspace's services.
        subscription: The workspace's subscription id.
        resource_group: Its resource group.
        workspace: Its name.
        experiment: The name of the run's experiment.
        run_id: The Azure ML run's id.
        token: A bearer token for the workspace.
        discovery: The URL that says where each service is, or None to ask for it.
        renewable: Whether the token is the run's own, which the run can renew.
    """

    endpoint: str
    subscription: str
    resource_group: str
    workspace: str
    experiment: str
    run_id: str
    token: str = field(repr=False)
    discovery: str | None = None
    renewable: bool = False

    @property
    def scope(self) -> str:
        """The workspace, as all its addresses name it."""
        return scope_of(self.subscription, self.resource_group, self.workspace)

    @property
    def run_url(self) -> str:
        """The run's own address in run history."""
        run = f"experiments/{quote(self.experiment, safe='')}/runs/{quote(self.run_id)}"
        return f"{self.endpoint.rstrip('/')}/history/v1.0{self.scope}/{run}"


def of_job(run_id: str, token: str | None = None) -> Service:
    """The run of the job that this process is, from its environment.

    Args:
        run_id: The run.
        token: A later token than that of the environment, if there is one.
    """
    return Service(
        endpoint=os.environ["AZUREML_SERVICE_ENDPOINT"],
        subscription=os.environ["AZUREML_ARM_SUBSCRIPTION"],
        resource_group=os.environ["AZUREML_ARM_RESOURCEGROUP"],
        workspace=os.environ["AZUREML_ARM_WORKSPACE_NAME"],
        experiment=os.environ["AZUREML_ARM_PROJECT_NAME"],
        run_id=run_id,
        token=token or os.environ["AZUREML_RUN_TOKEN"],
        discovery=os.environ.get("AZUREML_DISCOVERY_SERVICE_ENDPOINT"),
        renewable=True,
    )
