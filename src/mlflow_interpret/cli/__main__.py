"""Entry point of ``python -m mlflow_interpret.cli``."""

from mlflow_interpret.cli import main

if __name__ == "__main__":
    main(prog_name="mlflow-interpret")
