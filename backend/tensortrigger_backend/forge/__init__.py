"""What runs inside the guest process that has TensorFlow: check, rebuild, verify one untrusted model."""
