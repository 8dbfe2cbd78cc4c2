"""Keeping history for years: backup, restore, verify, stats, retention, import and export."""
