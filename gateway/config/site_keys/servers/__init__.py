"""The keys of ``servers``; `section` joins them."""
