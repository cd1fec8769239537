"""What happens around a fit: noticing it, its run, explaining it beside the training."""
