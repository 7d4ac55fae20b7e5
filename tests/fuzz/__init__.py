"""Configs, tables and the files of a study, damaged at random: no traceback, no hang, no flood of memory, and no exit 0
with nonsense. `make fuzz` does so for ten minutes, `test_fuzz` for some seconds."""
