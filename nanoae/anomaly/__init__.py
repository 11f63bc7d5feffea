"""Anomaly detection: learn what normal rows look like, and score new rows by how much they deviate."""
