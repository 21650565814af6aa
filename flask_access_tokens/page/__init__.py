"""The page where people generate, see and delete their own tokens."""
