"""Fits, forecasts and studies as objects, for a notebook: what `scaling` and `scaling.laws` name as theirs."""
