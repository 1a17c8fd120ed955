"""The HTTP face: routes that translate, call one use case, and translate back."""
