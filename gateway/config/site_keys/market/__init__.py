"""The keys of ``market``; `section` joins them."""
