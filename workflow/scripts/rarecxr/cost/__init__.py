"""What a study will cost, learned from the benchmark files of a smaller one."""
