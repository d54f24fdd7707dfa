"""Plotwright: fine-tune a language model on film plots, measure it, write with it."""

import os

# PyTorch's fp32 products are oneMKL's, which promises the same bits in every run only where it is asked to before its
# first product, and with a fixed number of threads; that it reads when PyTorch is loaded, so import this package first.
# Here, because pipeline, app and command line must agree.
os.environ.setdefault("MKL_CBWR", "AUTO")
os.environ.setdefault("MKL_DYNAMIC", "FALSE")
