"""Anomaly detection: learn what normal rows are like, and score new ones by how far they are from that."""
