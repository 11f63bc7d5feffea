"""Anomaly detection: learn the normal, and score what does not come back."""
