"""The only wiring: which adapters stand behind which port, started and stopped in order; a file a role."""
