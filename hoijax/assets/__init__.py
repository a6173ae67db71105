"""Shipped data: see the README beside each file for source and licence."""
