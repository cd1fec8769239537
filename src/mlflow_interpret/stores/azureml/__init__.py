"""Explanations in Azure ML: where an upload goes, and how it gets there.

`targets` finds the Azure ML run. For runs outside of Azure, `looks` tells what names a workspace,
`credentials` logs in, `workspaces` opens one and `runs` makes runs in it.

`uploads` starts and watches a child process, and `child` is what runs in it: there
ExplanationClient uploads where it can be imported, else our own `writer`, with the files that
`assets` makes and the requests that `calls` and `blobs` send to what `services` describes.
`preparing` is for both. `renewal` keeps a job's token alive, `bounded` leaves behind what hangs,
and `redaction` keeps secrets out of all that is said.
"""
