"""Samples of another historian, from CSV or Parquet: read whole, then taken by the historian through its inbox."""
