"""Explanations in Azure ML: stores.base's plug-in `store`, and everything that it needs.

- `targets`: the Azure ML run of an explanation; `mirror_runs` creates one for other MLflow stores.
- `workspace`: workspaces and runs; `resource_ids` recognises them, `auth` logs in.
- `upload_queue`: uploads beside the training, by processes of `worker_pool` that run
  `upload_worker`.
- `rest_writer`: the upload without ExplanationClient, with the files of `asset_format`.
- `asset_reader`: the download, decoded by `asset_decoder`.
- `http`, `pipeline`, `blobs`: requests, by azure-core and azure-storage-blob.
- `token_refresh`: a job's token, kept valid. `sanitize`: values that JSON can hold.
- `sdk_internals`: private interfaces of the Azure SDKs. `diagnosis`: findings for the doctor.
"""
