"""archgrad: gradient-based neural architecture search."""
