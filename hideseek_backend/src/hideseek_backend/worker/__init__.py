"""The backend as a long-lived process: JSON lines on standard input and output."""
