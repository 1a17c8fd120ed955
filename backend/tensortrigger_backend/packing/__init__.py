"""``tt package``: a container build context that serves one version of one model, without TensorFlow."""
