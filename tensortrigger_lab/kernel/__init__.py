"""What a front end asks of the notebook's kernel: its models, and to publish one of them."""
