"""The run of an Azure ML job, for scripts that ask for it without azureml-core."""

from __future__ import annotations

import os
from dataclasses import dataclass

from mlflow_interpret.core.errors import AzureMLError
from mlflow_interpret.stores.azureml.targets import is_job, missing_job_variables
from mlflow_interpret.stores.azureml.token_refresh import job_token
from mlflow_interpret.stores.azureml.workspace import AzureWorkspace, job_run


@dataclass(frozen=True)
class Experiment:
    """The experiment of a run.

    Attributes:
        name: Its name.
        workspace: Its workspace.
    """

    name: str
    workspace: AzureWorkspace


@dataclass(frozen=True)
class Run:
    """The run of this process's Azure ML job, in place of ``azureml.core.Run``.

    Pass it to `mlflow_interpret.ExplanationClient`. Log metrics, files and models with MLflow.

    Attributes:
        id: The run's id.
        experiment: Its experiment, with the workspace.

    Example:
        >>> run = mlflow_interpret.Run.get_context()  # doctest: +SKIP
    """

    id: str
    experiment: Experiment

    @classmethod
    def get_context(cls) -> Run:
        """Return the run of the job that this process belongs to.

        Raises:
            AzureMLError: This process belongs to no job.
        """
        if not is_job():
            missing = ", ".join(missing_job_variables())
            raise AzureMLError(
                "this process is no Azure ML job"
                + (f": {missing} are not set" if missing else "")
                + "; name the run with ExplanationClient.from_run_id(workspace, experiment, run_id)"
            )
        run = job_run(os.environ["AZUREML_RUN_ID"], job_token.token)
        return cls(run.run_id, Experiment(run.experiment, run.workspace))
