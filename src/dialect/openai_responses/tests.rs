//! Small cases after the official documentation.
