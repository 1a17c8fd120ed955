"""ONNX: uploaded files judged and written anew, and TensorFlow graphs converted."""
