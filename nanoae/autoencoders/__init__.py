"""What users import: estimators, composed of orthogonal parts."""
