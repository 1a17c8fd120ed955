"""SavedModels: only what computes is taken out, as a frozen graph with plain values."""
