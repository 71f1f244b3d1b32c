"""What the predictions say: AUROC and its kin, their intervals, and the verdict of a cell."""
