"""What runs in the trainer's child process: one training of one version, then it ends."""
