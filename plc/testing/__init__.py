"""Tests of Structured Text: those written in it, and what pytest brings to those written in Python."""
