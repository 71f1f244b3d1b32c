"""What the predictions say: AUROC and other metrics, intervals, and verdicts."""
