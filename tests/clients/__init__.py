"""Clients that others wrote, in their own languages, against a real server; see preparing.py for what they need."""
