"""The estimators that users import, composed of orthogonal parts."""
