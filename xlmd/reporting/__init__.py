"""Tables, their captions and where each number comes from. Reads result files only; knows no model."""
