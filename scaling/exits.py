"""Exit codes, one meaning and one value each: of a command towards its shell, and of a run towards who launched it."""

EXIT_DONE = 0  # all is done, and answered
EXIT_FAILED = EXIT_SOME_FAILED = 1  # a run, or some runs of a sweep, have no loss
EXIT_BAD_CONFIG = 2  # refused before anything was spent
EXIT_NO_ANSWER = 3  # all went well, and the study, the table or the rounds still do not answer
EXIT_REQUEUE = 75  # a run was told to go and has saved itself: start it again
EXIT_BUSY = 76  # another process has the run
EXIT_INTERRUPTED = 130  # as of a shell's commands that INT ends
EXIT_NOBODY_LISTENS = 141  # as of those that PIPE ends
