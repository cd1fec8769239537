"""What people see of an explanation: figures, the report, and the files of a run; all pure."""
