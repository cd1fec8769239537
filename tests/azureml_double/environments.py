"""Environment variables for processes that use the double."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .tokens import RUN, TokenIssuer
from .workspace import API_URL, Workspace

_FOREIGN = ("AZUREML_", "AZURE_", "ARM_", "MLFLOW_")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_AUTHORITIES = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE")


@dataclass(frozen=True)
class Environments:
    """Environments for one double.

    Attributes:
        workspace: The double's workspace.
        tokens: Issues the tokens of jobs.
        port: Where the double is a proxy.
        ca_file: The authority to trust.
    """

    workspace: Workspace
    tokens: TokenIssuer
    port: int
    ca_file: Path

    def base(self, home: Path) -> dict[str, str]:
        """Return this process's environment behind the proxy, without variables of Azure and MLflow.

        Args:
            home: The home directory.
        """
        home.mkdir(parents=True, exist_ok=True)
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(_FOREIGN)
            and name.upper() not in _PROXIES
            and name not in _AUTHORITIES
        }
        proxy = f"http://127.0.0.1:{self.port}"
        local = "127.0.0.1,localhost,::1"
        environment.update(HTTPS_PROXY=proxy, https_proxy=proxy, NO_PROXY=local, no_proxy=local)
        environment.update(dict.fromkeys(_AUTHORITIES, str(self.ca_file)))
        environment.update(HOME=str(home), USERPROFILE=str(home), XDG_CACHE_HOME=f"{home}/.cache")
        environment.update(AZURE_CONFIG_DIR=f"{home}/.azure", AZUREML_CURRENT_CLOUD="AzureCloud")
        # The double does not serve the host of MLflow's telemetry.
        environment.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true")
        return environment

    def job(
        self,
        run: dict[str, Any],
        experiment: str,
        home: Path,
        *,
        mlflow: bool,
        token_lifetime: float,
    ) -> dict[str, str]:
        """Return the environment of a job on Azure ML's compute.

        Args:
            run: The run it is.
            experiment: The name of the run's experiment.
            home: The home directory.
            mlflow: Whether MLflow is to be set up for the run, as in a real job.
            token_lifetime: Seconds until the run's token expires.
        """
        own = self.workspace
        token, expiry = self.tokens.issue_dated(RUN, run["runId"], token_lifetime)
        environment = self.base(home)
        environment.update(
            AZUREML_RUN_ID=run["runId"],
            AZUREML_RUN_TOKEN=token,
            AZUREML_RUN_TOKEN_EXPIRY=expiry,
            AZUREML_SERVICE_ENDPOINT=API_URL,
            AZUREML_DISCOVERY_SERVICE_ENDPOINT=own.discovery_url,
            AZUREML_ARM_SUBSCRIPTION=own.subscription_id,
            AZUREML_ARM_RESOURCEGROUP=own.resource_group,
            AZUREML_ARM_WORKSPACE_NAME=own.name,
            AZUREML_ARM_PROJECT_NAME=experiment,
            AZUREML_EXPERIMENT_ID=run["experimentId"],
            AZUREML_WORKSPACE_ID=own.workspace_id,
        )
        if mlflow:
            environment.update(
                MLFLOW_TRACKING_URI=own.tracking_uri,
                MLFLOW_TRACKING_TOKEN=token,
                MLFLOW_RUN_ID=run["runId"],
                MLFLOW_EXPERIMENT_ID=run["experimentId"],
                MLFLOW_EXPERIMENT_NAME=experiment,
            )
        return environment

    def laptop(self, home: Path) -> dict[str, str]:
        """Return the environment of a user who logs in as a service principal.

        Args:
            home: The home directory.
        """
        own = self.workspace
        environment = self.base(home)
        environment.update(
            AZURE_TENANT_ID=own.tenant_id,
            AZURE_CLIENT_ID=own.client_id,
            AZURE_CLIENT_SECRET=own.client_secret,
            MLFLOW_TRACKING_URI=own.tracking_uri,
        )
        return environment
