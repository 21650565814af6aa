"""What is wrong with how the package is set up on an application."""
