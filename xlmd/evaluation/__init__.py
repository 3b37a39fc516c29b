"""Measuring translations: BLEU and latency. Each public function writes or returns plain JSON values."""
