"""A trained XLM-D as two ONNX graphs, and ONNX Runtime as what runs them."""
