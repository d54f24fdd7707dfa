"""Plotwright: fine-tune a language model on film plots, measure it, write with it."""
