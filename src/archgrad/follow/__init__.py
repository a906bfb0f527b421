"""The room for following and finding runs: lists, comparisons, a look at a run in progress, and a page of them all."""
