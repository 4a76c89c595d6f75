# The compiled half of layout.py: see there.
cdef enum:
    START = 2
    END = 3
    WHO = 4
    CHAIN = 5
    TIMES = 6
    CALLS = 7
    REQUESTED = 1
    SEVERAL = 2
    CONVERSED = 1
    KEY = 1
    TOOK = 2
    TOKENS_1 = 3
    TOKENS_2 = 4
    TOKENS_3 = 5
    MORE = 6
    COST = 7
    SPAN = 8
    PARENT = 9
    ENDED = 10
    TALK = 11
    WIDTH = 12
    IS_REQUEST = 1
    IS_CALL = 2
    IS_TOOL = 4
    IS_MCP = 8
    IS_TWICE = 16
