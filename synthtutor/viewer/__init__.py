"""A run in the browser of whoever made it: every sample, its calls, and what people say of it."""
