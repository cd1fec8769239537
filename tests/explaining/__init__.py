"""Tests of mlflow_interpret.explaining."""
