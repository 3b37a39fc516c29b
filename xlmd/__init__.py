"""XLM-D: a pre-trained cross-lingual masked language model, decorated into a non-autoregressive translator."""
