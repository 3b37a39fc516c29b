"""A local page that shows how a trained XLM-D translates: `xlmd demo`."""
