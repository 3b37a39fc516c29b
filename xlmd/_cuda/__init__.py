"""The native CTC library: `native` is a compiled extension module (C++ always, CUDA when nvcc was found at build time).

Use it through `xlmd.ctc`. Nothing is compiled at import.
"""
