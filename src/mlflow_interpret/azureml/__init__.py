"""Explanations in Azure ML: where an upload goes, and how it gets there.

`targets` finds the Azure ML run, `uploads` starts and watches a child process, and `child` is what
runs in it, the only place where ExplanationClient is called.
"""
