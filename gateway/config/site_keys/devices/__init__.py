"""The keys of devices and of what is in them; `section` joins what each protocol has."""
