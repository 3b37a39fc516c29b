"""The paper, and nothing else: decorator, model, mask policy, Algorithm 1, decoding (§2)."""
