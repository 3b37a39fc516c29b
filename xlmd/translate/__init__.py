"""Using trained models: decoding, distillation, timing, and other engines."""
