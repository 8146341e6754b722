"""Videos in: manifests, readers, the frame store, batches of pixels."""
