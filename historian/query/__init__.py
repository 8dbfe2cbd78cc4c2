"""Reading the files, from any process, while they are being written."""
